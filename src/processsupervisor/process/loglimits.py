"""How much all logs of a fleet may take: bytes in all, and a share of the disk that stays free.

Past a limit the bot that holds most gives its oldest closed segment first; when none is left, the largest active segment
is closed and goes. What goes is counted in the bot's index. Only bots that logged since the last check are looked at again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from processsupervisor.observe.logging import log
from processsupervisor.process.logfiles import remove_closed
from processsupervisor.process.logindex import STREAMS, closed_log, compacted_log, list_closed

DEFAULT_TOTAL_BYTES = 2 << 30
DEFAULT_FREE_PERCENT = 5.0
_KEPT_ACTIVE_BYTES = 1 << 20
"""An active segment smaller than this is not given up for free disk space: the last words of a bot are worth more."""

Dropped = Callable[[str, str, int, int], None]
"""Called with (bot, stream, segment number, bytes) for every closed segment that was dropped."""
CloseActive = Callable[[str, str], bool]
"""Closes the active segment of (bot, stream); False when it cannot be done."""


class Limits:
    """The two limits over `folder` (logs/bots)."""

    def __init__(self, folder: str, dropped: Dropped, close_active: CloseActive) -> None:
        self.total_bytes = DEFAULT_TOTAL_BYTES
        self.disk_free_percent = DEFAULT_FREE_PERCENT
        self.dirty: set[str] = set()
        self._folder = folder
        self._dropped = dropped
        self._close_active = close_active
        self._used: dict[str, int] = {}
        self._is_known = self._was_low = False

    def check(self) -> None:
        """Bring the fleet back below both limits as far as dropping allows."""
        self._measure()
        while sum(self._used.values()) > self.total_bytes and self._drop_one(least_active=0):
            pass
        while self.is_disk_low() and self._drop_one(least_active=_KEPT_ACTIVE_BYTES):
            pass
        is_low = self.is_disk_low()
        if is_low and not self._was_low:
            log.warning("the disk is nearly full; of each log only the newest part is kept", free_percent=self.disk_free_percent)
        elif self._was_low and not is_low:
            log.info("the disk has room for logs again")
        self._was_low = is_low

    def free_some(self) -> bool:
        """Drop one segment because the disk is full; False when there is nothing to drop."""
        self._measure()
        return self._drop_one(least_active=_KEPT_ACTIVE_BYTES)

    def is_disk_low(self) -> bool:
        """Tell whether less than the wanted share of the disk is free for this user."""
        if self.disk_free_percent <= 0:
            return False
        try:
            facts = os.statvfs(self._folder)
        except OSError:
            return False
        return facts.f_blocks > 0 and facts.f_bavail * 100 < facts.f_blocks * self.disk_free_percent

    def _measure(self) -> None:
        if not self._is_known:
            self._is_known = True
            try:
                self.dirty.update(os.listdir(self._folder))
            except OSError:
                self._is_known = False
        for bot in self.dirty:
            self._used[bot] = _folder_bytes(f"{self._folder}/{bot}")
        self.dirty.clear()

    def _drop_one(self, least_active: int) -> bool:
        """Drop the oldest segment of the largest bot that has one; False when nobody has."""
        for bot in sorted(self._used, key=lambda name: self._used[name], reverse=True):
            if not self._used[bot]:
                break
            folder = f"{self._folder}/{bot}"
            if not _oldest_closed(folder) and not self._close_largest(bot, least_active):
                continue
            oldest = _oldest_closed(folder)
            if oldest is None:
                continue
            _, stream, number, size = oldest
            try:
                remove_closed(folder, stream, number)
            except OSError:
                continue
            self._dropped(bot, stream, number, size)
            self._used[bot] = _folder_bytes(folder)
            return True
        return False

    def _close_largest(self, bot: str, least: int) -> bool:
        sizes = {stream: _size(f"{self._folder}/{bot}/{stream}.log") for stream in STREAMS}
        stream = max(sizes, key=lambda name: sizes[name])
        return sizes[stream] > least and self._close_active(bot, stream)


def _oldest_closed(folder: str) -> tuple[float, str, int, int] | None:
    """Return (time, stream, number, bytes) of the oldest closed segment of a bot."""
    oldest: tuple[float, str, int, int] | None = None
    for stream, numbers in list_closed(folder).items():
        if not numbers:
            continue
        number = min(numbers)
        path = (closed_log if numbers[number] else compacted_log)(folder, stream, number)
        try:
            facts = os.stat(path)
        except OSError:
            continue
        if oldest is None or facts.st_mtime < oldest[0]:
            oldest = facts.st_mtime, stream, number, facts.st_size
    return oldest


def _folder_bytes(folder: str) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return total
    return total


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
