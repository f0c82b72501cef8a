"""The console connector: the law of connectors over a pipe, and how a terminal shows streamed text."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from processsupervisor.connectors.console import PLACE, ConsoleConnector
from processsupervisor.storage.records import Outgoing
from processsupervisor.testing.connectorlaw import ConnectorLaw
from processsupervisor.testing.lawbot import STATEMENT
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability


class Terminal(io.StringIO):
    """A screen that remembers everything written to it."""

    def isatty(self) -> bool:
        return True


class Paper(io.StringIO):
    """A file: only final texts are printed."""


class ConsoleRig:
    """A person who types and reads a screen; each life of the bot has keys of its own, as a process has."""

    place = PLACE

    def __init__(self, screen: io.StringIO) -> None:
        self._screen = screen
        self._ends: list[TextIO] = []
        self._is_cut = False
        self._heard = 0
        screen.write = self._written(screen.write)

    def _written(self, write):
        def written(text: str) -> int:
            if self._is_cut:
                raise BrokenPipeError
            return write(text)

        return written

    def connect(self, folder: Path) -> ConsoleConnector:
        read_end, write_end = os.pipe()
        self._ends.append(os.fdopen(write_end, "w", encoding="utf-8", errors="surrogateescape"))
        return ConsoleConnector(os.fdopen(read_end, "r", encoding="utf-8"), self._screen, folder=folder)

    async def say(self, text: str, *, to: str = "") -> str:
        await asyncio.to_thread(self._type, text)
        return ""

    def _type(self, text: str) -> None:
        self._ends[-1].write(text + "\n")
        self._ends[-1].flush()

    async def garble(self) -> None:
        await asyncio.to_thread(self._type, "gr\udcfcn \udcff\udcfe")

    async def told_refused(self) -> str:
        await until(lambda: self._screen.getvalue().count("(not accepted: ") > self._heard, "the refusal")
        self._heard += 1
        return self._screen.getvalue()

    def shown(self, *, to: str = "") -> list[str]:
        return [line for line in self._screen.getvalue().split("\n")[:-1] if line and not line.startswith("(not accepted")]

    def buttons(self) -> list[str]:
        lines = [line for line in self.shown() if line.startswith("[1] ")]
        return re.findall(r"\[\d+\] (\S+)", lines[-1]) if lines else []

    async def press(self, label: str) -> None:
        await self.say(str(self.buttons().index(label) + 1))

    def files(self) -> dict[str, bytes]:
        found = [re.fullmatch(r"\[(\S+)\] (/.+)", line) for line in self.shown()]
        return {file[1]: Path(file[2]).read_bytes() for file in found if file is not None}

    def pieces(self) -> list[str]:
        return [self._screen.getvalue().split("\n")[-1]]

    def cut(self) -> None:
        self._is_cut = True

    def close(self) -> None:
        for end in self._ends:
            end.close()


class ConsoleLaw(ConnectorLaw):
    """The law on a console."""

    abilities = frozenset({Ability.REFUSES, Ability.BYTES, Ability.PULLS, Ability.REOPENS, Ability.KEYS, Ability.BUTTONS, Ability.FILES})
    screen: type[io.StringIO]

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[ConsoleRig]:
        rig = ConsoleRig(self.screen())
        yield rig
        rig.close()


class TestLawOnAPipe(ConsoleLaw):
    """Final texts alone are printed."""

    screen = Paper


class TestLawOnATerminal(ConsoleLaw):
    """Texts grow before one's eyes."""

    abilities = ConsoleLaw.abilities | {Ability.DRAFTS}
    screen = Terminal


async def test_end_of_input_is_known(tmp_path):
    """`ended` is set, so that a console run can end."""
    engine = Engine(ConsoleConnector(io.StringIO("hi\n"), io.StringIO()), tmp_path)
    await engine.start()
    await until(engine.connector.ended.is_set, "the end")
    await engine.quiet()
    assert engine.stored() == ["hi"]
    await engine.stop()


async def test_a_line_without_end_is_refused_and_not_kept(tmp_path, monkeypatch):
    """It is read in pieces of the longest message; the line behind it is a message again."""
    source, screen = io.StringIO("x" * 1_000_000 + "\nhi\n" + "y" * 200_000), io.StringIO()
    read = source.readline
    lengths: list[int] = []
    monkeypatch.setattr(source, "readline", lambda size: lengths.append(len(line := read(size))) or line)
    engine = Engine(ConsoleConnector(source, screen), tmp_path)
    await engine.start()
    await until(engine.connector.ended.is_set, "the end")
    await engine.quiet()
    assert engine.stored() == ["hi"] and screen.getvalue().count("(not accepted: a message has at most 64 KiB)") == 2
    assert max(lengths) < 70_000
    await engine.stop()


async def test_what_is_no_text_is_refused_whatever_stands_before_and_behind_it(tmp_path):
    """Lines that were read in one piece with it are taken."""
    screen = io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(b"one\ngr\xfcn\ntwo\n"), encoding="utf-8")
    engine = Engine(ConsoleConnector(source, screen), tmp_path)
    await engine.start()
    await until(engine.connector.ended.is_set, "the end")
    await engine.quiet()
    assert engine.stored() == ["one", "two"] and "(not accepted: the line is no text in utf-8)" in screen.getvalue()
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
