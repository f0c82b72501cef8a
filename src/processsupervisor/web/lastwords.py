"""The last line that each bot wrote, as the log reader shows it (redacted, harmless on a screen).

Reads a log only when its files changed, off the event loop, and at most READS_AT_ONCE a time: the others keep their older
words until the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths

READS_AT_ONCE = 50
MAX_CHARACTERS = 160
_FILES = ("stdout.log", "stderr.log")

_Mark = tuple[tuple[int, int] | None, ...]


class TailLines(Protocol):
    """Shape of process.logview.tail_lines."""

    def __call__(self, paths: FleetPaths, bot: str, stream: str | None, count: int, /) -> Iterable[Any]:
        """Return the newest `count` lines of `bot`, of both streams when `stream` is None."""
        ...


class LastWords:
    """Remembers the newest line of each bot and the state of the files that it was read from."""

    def __init__(self, paths: FleetPaths, tail_lines: TailLines) -> None:
        self._paths = paths
        self._tail_lines = tail_lines
        self._marks: dict[str, _Mark] = {}
        self._words: dict[str, str | None] = {}

    async def of(self, bots: list[str]) -> dict[str, str | None]:
        """Return the last words of `bots`; None for a bot that has said nothing."""
        return await asyncio.to_thread(self._read, bots)

    def _read(self, bots: list[str]) -> dict[str, str | None]:
        reads = 0
        for bot in bots:
            mark = self._mark(bot)
            if mark == self._marks.get(bot) or reads >= READS_AT_ONCE:
                continue
            reads += 1
            self._marks[bot] = mark
            self._words[bot] = self._newest(bot)
        for gone in self._words.keys() - set(bots):
            del self._words[gone], self._marks[gone]
        return dict(self._words)

    def _mark(self, bot: str) -> _Mark:
        folder = self._paths.bot_logs(bot)
        marks: list[tuple[int, int] | None] = []
        for name in _FILES:
            try:
                status = (folder / name).stat()
                marks.append((status.st_ino, status.st_size))
            except OSError:
                marks.append(None)
        return tuple(marks)

    def _newest(self, bot: str) -> str | None:
        try:
            lines = list(self._tail_lines(self._paths, bot, None, 1))
        except (OSError, ValueError, PsvError):
            return self._words.get(bot)
        if not lines:
            return self._words.get(bot)  # the words stand in a segment that was just closed
        text = str(getattr(lines[-1], "text", lines[-1])).strip()
        return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
