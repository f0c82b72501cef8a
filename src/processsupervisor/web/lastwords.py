"""The last line that each bot wrote, as the log reader shows it (redacted, harmless on a screen).

Reads a log only when its files changed, off the event loop, and at most READS_AT_ONCE a time: the others keep their older
words until the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths

READS_AT_ONCE = 50
MAX_CHARACTERS = 160
_FILES = ("stdout.log", "stderr.log")

_Mark = tuple[tuple[int, int] | None, ...]


TailLines = Callable[[FleetPaths, str, int, int], list[str]]
"""`(paths, bot, generation, count)` -> the newest lines of that generation; process.logview.tail_lines."""


class LastWords:
    """Remembers the newest line of each bot and the state of the files that it was read from."""

    def __init__(self, paths: FleetPaths, tail_lines: TailLines) -> None:
        self._paths = paths
        self._tail_lines = tail_lines
        self._marks: dict[str, _Mark] = {}
        self._words: dict[str, str | None] = {}

    async def of(self, generations: Mapping[str, int]) -> dict[str, str | None]:
        """Return the last words of the bots whose `{name: generation}` is given; None for a bot that has said nothing."""
        return await asyncio.to_thread(self._read, generations)

    def _read(self, generations: Mapping[str, int]) -> dict[str, str | None]:
        reads = 0
        for bot, generation in generations.items():
            mark = self._mark(bot)
            if mark == self._marks.get(bot) or reads >= READS_AT_ONCE:
                continue
            reads += 1
            self._marks[bot] = mark
            self._words[bot] = self._newest(bot, generation)
        for gone in self._words.keys() - generations.keys():
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

    def _newest(self, bot: str, generation: int) -> str | None:
        for life in (generation, generation - 1):  # one that was just started may have said nothing yet
            try:
                lines = self._tail_lines(self._paths, bot, life, 1)
            except (OSError, ValueError, PsvError):
                break
            if lines:
                text = lines[-1].strip()
                return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
        return self._words.get(bot)
