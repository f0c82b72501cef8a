"""What every row needs: the Bot API double, fresh folders, the systems on this machine, and the certainty that all ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.botapi import BotApi
from benchmarks.goals import Row
from benchmarks.peers.base import PROGRAMS, Program, System
from benchmarks.peers.circus import Circus
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.psv import Psv
from benchmarks.peers.runit import S6, Runit
from benchmarks.peers.supervisord import Supervisord

SYSTEMS: tuple[type[System], ...] = (Psv, Supervisord, Circus, Runit, S6, Pm2)


@dataclass
class Bench:
    """One run: `only` names the systems to measure (all that are on this machine, when empty)."""

    api: BotApi
    only: Sequence[str] = ()
    quick: bool = False

    def systems(self) -> list[type[System]]:
        """Return the chosen systems that this machine has, psv first."""
        return [kind for kind in SYSTEMS if (not self.only or kind.name in self.only) and kind.version() is not None]

    def programs(self, script: str, count: int) -> list[Program]:
        """Return `count` programs that run the same file, each with its own network token."""
        return [Program(f"b{n:04}", PROGRAMS / script, {"BOT_TOKEN": f"{n + 1}:{script}", "BOT_API": self.api.url}) for n in range(count)]

    @contextlib.contextmanager
    def running(self, make: Callable[[Path], System], programs: Sequence[Program]) -> Iterator[System]:
        """Start `programs` in a new folder and stop everything at the end, whatever happened."""
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        system = make(folder)
        self.api.forget()
        try:
            system.start(programs)
            yield system
        finally:
            system.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def each(self, row: Row, measure: Callable[[type[System]], dict[str, float]]) -> Row:
        """Measure every system; one that fails is named in the row and does not end it."""
        for kind in self.systems():
            with self.guarded(row, kind.name):
                row.measured[kind.name] = measure(kind)
                print(f"  {kind.name}: {row.measured[kind.name]}", flush=True)
        return row

    @contextlib.contextmanager
    def guarded(self, row: Row, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as err:
            traceback.print_exc()
            row.failures[name] = f"{type(err).__name__}: {err}".splitlines()[0][:200]
