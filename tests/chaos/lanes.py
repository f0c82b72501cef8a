"""One bot with its people in the runs with messages in flight: how it is started, who writes to it, what its database says.

A lane knows how to say one message by each of its people, whether anything can still come, and which process dies. Lanes of bots under
psv are tables of one fleet.toml; a bare lane is a process that is started again at once whenever it ends, as a service manager would.
"""

from __future__ import annotations

import abc
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from tests.chaos.fleet import ChaosFleet
from tests.chaos.people import Person

from processsupervisor.chat.points import Point
from processsupervisor.kernel.crashing import VARIABLE
from processsupervisor.kernel.identity import Identity

PROGRAMS = Path(__file__).parents[2] / "benchmarks" / "programs"


class Promise(StrEnum):
    """What a lane's bot says of deaths."""

    ONCE = "once"
    """Nothing lost, nothing answered twice: networks that take a key, or that are read from."""
    MARKED = "marked"
    """Nothing lost; what is answered twice was marked as uncertain."""
    AT_MOST_ONCE = "at most once"
    """Nothing answered twice; what is lost was marked as uncertain."""
    NOTHING = "nothing"
    """A peer: counted, not judged."""


class Lane(abc.ABC):
    """One bot and its people."""

    is_bare = False
    patience_s = 5.0
    """A bot that says for so long that it has nothing more to do will not answer what is left."""

    def __init__(self, name: str, promise: Promise, people: Sequence[Person]) -> None:
        self.name = name
        self.promise = promise
        self.people = list(people)

    @abc.abstractmethod
    def table(self) -> str:
        """Return the bot's table for fleet.toml; "" for a bare one."""

    @abc.abstractmethod
    def say(self) -> None:
        """Have everybody say what belongs to one round."""

    @abc.abstractmethod
    def victim(self) -> Identity | None:
        """Return the bot's living process."""

    @abc.abstractmethod
    def waits(self) -> int:
        """Return how many messages are between the people and the bot: said and not taken yet."""

    def tend(self) -> None:
        """Do what nobody else does for the bot: start it again."""

    def is_quiet(self) -> bool:
        """Tell whether nothing can come any more, unless something new is said or dies."""
        return not self.waits()

    def marked(self) -> set[tuple[str, int]]:
        """Return whose answers, and to which number, were ever marked as uncertain."""
        return set()

    def arm(self, rng: random.Random) -> bool:
        """Have the bot die at a named point, passed some times before; tells whether it has such points."""
        return False

    def disarm(self) -> None:
        """Let every point be passed again."""

    def close(self) -> None:
        """End what belongs to the lane alone."""

    def collect(self) -> None:
        """Take what was shown since the last time."""

    def unanswered(self) -> set[tuple[str, int]]:
        """Return whose messages, by their number, have no answer."""
        return {(person.name, number) for person in self.people for number in person.unanswered}


class Ledger:
    """What the database of a native bot says to a reader: open work, and answers marked as uncertain."""

    def __init__(self, fleet: ChaosFleet, name: str) -> None:
        self._path = fleet.paths.bot_data(name) / "bot.db"

    def open_work(self) -> int:
        """Return how many messages are not through and how many answers not sent; 1 when it cannot be read just now."""
        found = self._read("SELECT (SELECT count(*) FROM inbox WHERE state = 0) + (SELECT count(*) FROM outbox WHERE state IN (0, 2))")
        return int(str(found[0][0])) if found else 1

    def marked(self) -> list[str]:
        """Return the texts of all answers that were ever uncertain."""
        return [str(text) for (text,) in self._read("SELECT text FROM outbox WHERE uncertain") or []]

    def _read(self, statement: str) -> list[tuple[object, ...]] | None:
        if not self._path.exists():
            return [(0,)] if "count" in statement else []
        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=1.0)) as connection:
                return connection.execute(statement).fetchall()
        except sqlite3.OperationalError:
            return None


class NativeLane(Lane):
    """A native bot under psv: its database says when it is quiet, and what it marked."""

    points = tuple(Point)

    def __init__(self, name: str, promise: Promise, people: Sequence[Person], fleet: ChaosFleet) -> None:
        super().__init__(name, promise, people)
        self._fleet = fleet
        self._ledger = Ledger(fleet, name)
        self._armed = fleet.folder / "points" / name
        self._armed.mkdir(parents=True)

    def table(self) -> str:
        return f'[bots.{self.name}]\nrun = "flight:bot"\nenv = {{ {VARIABLE} = "{self._armed}" }}\n{self.settings()}'

    def arm(self, rng: random.Random) -> bool:
        (self._armed / rng.choice(self.points)).write_bytes(b"." * rng.randrange(len(self.people)))
        return True

    def disarm(self) -> None:
        for file in self._armed.iterdir():
            file.unlink()

    def settings(self) -> str:
        """Return more lines of the bot's table."""
        return ""

    def victim(self) -> Identity | None:
        return bot_process(self._fleet, self.name)

    def is_quiet(self) -> bool:
        return not self.waits() and self.victim() is not None and not self._ledger.open_work()

    def marked(self) -> set[tuple[str, int]]:
        by_name = {person.name: person for person in self.people}
        named = {(text.partition(" ")[0], text) for text in self._ledger.marked()}
        found = {(name, by_name[name].number_of(text)) for name, text in named if name in by_name}
        return {(name, number) for name, number in found if number is not None}


def bot_process(fleet: ChaosFleet, name: str) -> Identity | None:
    """Return the living process of a bot of the fleet."""
    found = fleet.bot_process(name)
    return found[0] if found is not None else None


class Bare:
    """A program on its own, started again at once whenever it has ended."""

    def __init__(self, script: str, env: dict[str, str]) -> None:
        self._argv = [sys.executable, str(PROGRAMS / script)]
        self._env = os.environ | env
        self._process: subprocess.Popen[bytes] | None = None

    def tend(self) -> None:
        """Start the program unless it runs."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip

    def identity(self) -> Identity | None:
        """Return its living process."""
        return Identity.of(self._process.pid) if self._process is not None and self._process.poll() is None else None

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
