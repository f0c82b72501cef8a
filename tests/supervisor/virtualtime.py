"""Simulated time for asyncio: it stands while anything can be done, and then jumps to the next timer or event of the world."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from typing import Any

_MOST_TURNS = 20_000


class Clock:
    """Simulated seconds, and what is to happen in the world at which of them."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.wall_offset_s = 1_700_000_000.0
        self.suspended_s = 0.0
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def wall(self) -> float:
        return self.now + self.wall_offset_s

    def mono(self) -> float:
        return self.now

    def boottime(self) -> float:
        return self.now + self.suspended_s

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: nothing happens, and CLOCK_MONOTONIC stands."""
        self.suspended_s += seconds
        self.wall_offset_s += seconds

    def at(self, delay_s: float, act: Callable[[], object]) -> None:
        """Let `act` happen in the world, whether a psvd lives then or not."""
        heapq.heappush(self._agenda, (self.now + delay_s, next(self._numbers), act))

    def pass_time(self, seconds: float) -> None:
        """Go on by `seconds`, at most to the next event of the world, which happens then."""
        due = self._agenda[0][0] if self._agenda else float("inf")
        self.now = min(self.now + seconds, max(due, self.now))
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()


class _Selector(selectors.DefaultSelector):
    """What is readable is served at once; else time passes until the next timer of the loop or event of the world."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and (timeout is None or timeout > 0):
            self._turns = 0
            self._clock.pass_time(3600.0 if timeout is None else timeout)
            found = super().select(0)
        self._turns += 1
        assert self._turns < _MOST_TURNS, "psvd turns and turns and no time passes"
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on simulated time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._simulated = clock

    def time(self) -> float:
        return self._simulated.now
