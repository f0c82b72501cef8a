"""Counts what psvd is to hear of, until it can be told: at most one telling in a while, which then counts all that came meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Tally:
    """`tell(count, why)` tells it, and returns False when nobody is there; `why` is the newest reason."""

    def __init__(self, tell: Callable[[int, str], bool], every_s: float = 0.0) -> None:
        self._tell = tell
        self._every_s = every_s
        self._count = 0
        self._why = ""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, count: int = 1, why: str = "") -> None:
        """Count more of it, and tell it if that may be now."""
        self._count += count
        self._why = why
        self.flush()

    def flush(self) -> None:
        """Tell what was counted, unless the last telling is too near."""
        if not self._count or self._timer is not None or not self._tell(self._count, self._why):
            return
        self._count = 0
        if self._every_s:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._again)

    def _again(self) -> None:
        self._timer = None
        self.flush()
