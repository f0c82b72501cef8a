"""The console connector: the law of connectors over a pipe, and how a terminal shows streamed text."""

from __future__ import annotations

import asyncio
import io
import os

import pytest
from tests.connectors.law import DEADLINE_S, STATEMENT, ConnectorLaw, Engine

from processsupervisor.connectors.console import PLACE, ConsoleConnector
from processsupervisor.storage.records import Outgoing


class Terminal(io.StringIO):
    """A screen that remembers everything written to it."""

    def isatty(self) -> bool:
        return True


class ConsoleRig:
    """A person who types into a pipe and reads a screen."""

    place = PLACE

    def __init__(self, engine: Engine, screen: io.StringIO, keys: io.TextIOBase) -> None:
        self.engine = engine
        self._screen = screen
        self._keys = keys

    async def say(self, text: str) -> None:
        await asyncio.to_thread(self._type, text)

    def _type(self, text: str) -> None:
        self._keys.write(text + "\n")
        self._keys.flush()

    async def _wait(self, condition) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def told_refused(self) -> str:
        await self._wait(lambda: "(not accepted: " in self._screen.getvalue())
        return self._screen.getvalue()

    async def seen(self, text: str) -> None:
        await self._wait(lambda: text in self.shown())

    def shown(self) -> list[str]:
        return [line for line in self._screen.getvalue().split("\n") if line and not line.startswith("(not accepted")]


@pytest.fixture(params=[io.StringIO, Terminal], ids=["pipe", "terminal"])
async def rig(tmp_path, request):
    read_end, write_end = os.pipe()
    source, keys = os.fdopen(read_end, "r", encoding="utf-8"), os.fdopen(write_end, "w", encoding="utf-8")
    screen = request.param()
    engine = Engine(tmp_path, ConsoleConnector(source, screen))
    await engine.start()
    yield ConsoleRig(engine, screen, keys)
    keys.close()
    await engine.stop()


class TestLaw(ConnectorLaw):
    """The law on a console."""


async def test_end_of_input_is_known(tmp_path):
    """`ended` is set, so that a console run can end."""
    engine = Engine(tmp_path, ConsoleConnector(io.StringIO("hi\n"), io.StringIO()))
    await engine.start()
    async with asyncio.timeout(DEADLINE_S):
        await engine.connector.ended.wait()
    await engine.pump.wait_quiet()
    assert [text for text, _ in engine.stored()] == ["hi"]
    await engine.stop()


def test_a_terminal_shows_pieces_as_they_grow():
    """Each piece adds to the line; the final text ends it without repeating what stands there."""
    screen = Terminal()
    console = ConsoleConnector(io.StringIO(), screen)
    for text, final in (("one", False), ("one two", False), ("one two three", True), ("next", True)):
        console.publish(Outgoing(None, "r1" if text != "next" else "r2", PLACE, "m1", text, 0.0, final))
    assert screen.getvalue() == "one two three\nnext\n"


def test_a_changed_draft_begins_a_new_line():
    """A retried handler starts over; what was shown is not glued to it."""
    screen = Terminal()
    console = ConsoleConnector(io.StringIO(), screen)
    console.publish(Outgoing(None, "r1", PLACE, "m1", "wrong start", 0.0, False))
    console.publish(Outgoing(5, "r1", PLACE, "m1", "right", 0.0, True))
    assert screen.getvalue() == "wrong start\nright\n"


def test_the_statement_is_a_line_like_any_other():
    """The disclosure is shown on a console too."""
    screen = io.StringIO()
    ConsoleConnector(io.StringIO(), screen).publish(Outgoing(1, "program-1", PLACE, None, STATEMENT, 0.0))
    assert screen.getvalue() == STATEMENT + "\n"
