"""The console connector: the law of connectors over a pipe, and how a terminal shows streamed text."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

from processsupervisor.connectors.console import PLACE, ConsoleConnector
from processsupervisor.storage.records import Outgoing
from processsupervisor.testing.connectorlaw import ConnectorLaw
from processsupervisor.testing.lawrig import STATEMENT, Ability, Engine, until


class Terminal(io.StringIO):
    """A screen that remembers everything written to it."""

    def isatty(self) -> bool:
        return True


class ConsoleRig:
    """A person who types into a pipe and reads a screen."""

    place = PLACE

    def __init__(self, screen: io.StringIO) -> None:
        read_end, write_end = os.pipe()
        self._source = os.fdopen(read_end, "r", encoding="utf-8")
        self._keys = os.fdopen(write_end, "w", encoding="utf-8")
        self._screen = screen

    def connect(self, folder: Path) -> ConsoleConnector:
        return ConsoleConnector(self._source, self._screen)

    async def say(self, text: str, *, to: str = "") -> str:
        await asyncio.to_thread(self._type, text)
        return ""

    def _type(self, text: str) -> None:
        self._keys.write(text + "\n")
        self._keys.flush()

    async def told_refused(self) -> str:
        await until(lambda: "(not accepted: " in self._screen.getvalue(), "the refusal")
        return self._screen.getvalue()

    def shown(self, *, to: str = "") -> list[str]:
        return [line for line in self._screen.getvalue().split("\n") if line and not line.startswith("(not accepted")]


    def close(self) -> None:
        self._keys.close()


class ConsoleLaw(ConnectorLaw):
    """The law on a console."""

    abilities = frozenset({Ability.REFUSES, Ability.PULLS})
    screen: type[io.StringIO]

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[ConsoleRig]:
        rig = ConsoleRig(self.screen())
        yield rig
        rig.close()


class TestLawOnAPipe(ConsoleLaw):
    """Final texts alone are printed."""

    screen = io.StringIO


class TestLawOnATerminal(ConsoleLaw):
    """Texts grow before one's eyes."""

    screen = Terminal


async def test_end_of_input_is_known(tmp_path):
    """`ended` is set, so that a console run can end."""
    engine = Engine(ConsoleConnector(io.StringIO("hi\n"), io.StringIO()), tmp_path)
    await engine.start()
    await until(engine.connector.ended.is_set, "the end")
    await engine.quiet()
    assert engine.stored() == ["hi"]
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
