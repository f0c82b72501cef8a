"""The deadlines of the turns that run, by one timer for all: a timer for each message would cost more than its handling.

All have the same time, so the turn that began first is late first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processsupervisor.chat.turns import Turn


class Deadlines:
    """Calls `late` with each turn that is still watched `deadline_s` after watch()."""

    def __init__(self, deadline_s: float, late: Callable[[Turn], None]) -> None:
        self._deadline_s = deadline_s
        self._late = late
        self._late_at: dict[Turn, float] = {}
        """Times of the loop; the first is the oldest."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, turn: Turn) -> None:
        """Give a turn its time from now on."""
        loop = asyncio.get_running_loop()
        self._late_at[turn] = late_at = loop.time() + self._deadline_s
        if self._timer is None:
            self._timer = loop.call_at(late_at, self._look)

    def forget(self, turn: Turn) -> None:
        """Stop watching; a turn that is not watched is fine."""
        self._late_at.pop(turn, None)

    def _look(self) -> None:
        """Find those that are late, and come back when the next can be."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._late_at:
            turn, late_at = next(iter(self._late_at.items()))
            if late_at > loop.time():
                self._timer = loop.call_at(late_at, self._look)
                return
            del self._late_at[turn]
            self._late(turn)
