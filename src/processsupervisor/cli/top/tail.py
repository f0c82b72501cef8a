"""The end of the logs of some bots, and what comes: read from the files, so that it works whatever has died.

Unlike `psv logs -f` it is for eyes: a bot that writes faster than anybody reads is shown by its newest lines, and what is left out is said.
Blocking; the caller brings a thread, and may close from another one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logindex import STREAMS
from processsupervisor.process.logreader import LogLine, StreamReader, Style

_FIRST_LINES = 200
_LEAST_FIRST_LINES = 3
_MOST_LINES = 300
"""At one look; what is beyond is left out."""
_CHUNK_BYTES = 16 * 1024
_LOOK_S, _MOST_LOOK_S = 0.25, 2.0
_READERS_A_LOOK = 32


class Tail:
    """The logs of `bots`; `secrets` are never shown."""

    def __init__(self, paths: FleetPaths, bots: Sequence[str], secrets: Sequence[str]) -> None:
        self._style = Style(False, tuple(secrets), _CHUNK_BYTES)
        self._paths = paths
        self._lock = threading.Lock()
        self._readers: dict[tuple[str, str], StreamReader] = {}
        self._is_closed = False
        self._places = [(bot, stream) for bot in bots for stream in STREAMS]
        self._first_lines = max(_LEAST_FIRST_LINES, _FIRST_LINES // max(1, len(bots)))
        self.look_every_s = min(_MOST_LOOK_S, _LOOK_S * max(1.0, len(self._places) / _READERS_A_LOOK))
        """So often it is worth looking: many files cost more."""

    def look(self) -> list[LogLine]:
        """Return the lines that came since the last look, by time; at the first look the end of what is stored."""
        with self._lock:
            if self._is_closed:
                return []
            lines: list[LogLine] = []
            if self._readers:
                for place in self._places:
                    lines += self._news(place)
            else:
                for place in self._places:
                    self._open(place, self._first_lines)
                    lines += self._read_all(self._readers[place])
            lines.sort(key=lambda line: line.time)
            return lines

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._is_closed = True
            for reader in self._readers.values():
                reader.close()

    def _open(self, place: tuple[str, str], lines_back: int) -> None:
        bot, stream = place
        reader = StreamReader(str(self._paths.bot_logs(bot)), bot, stream, self._style)
        self._readers[place] = reader
        reader.stop_at_present_end()
        reader.begin_lines_back(lines_back)

    def _read_all(self, reader: StreamReader) -> list[LogLine]:
        lines: list[LogLine] = []
        while batch := reader.read_batch():
            lines += batch
        reader.go_on()
        return lines

    def _news(self, place: tuple[str, str]) -> list[LogLine]:
        reader = self._readers[place]
        lines: list[LogLine] = []
        while batch := reader.read_batch():
            lines += batch
            if len(lines) > _MOST_LINES:
                reader.close()
                self._open(place, _LEAST_FIRST_LINES)
                last = lines[-1]
                words = f"-- too fast to be shown: lines are left out here; psv logs {place[0]} has them --"
                gap = LogLine(last.time, last.bot, last.stream, last.pid, last.generation, words, True)
                return [*lines, gap, *self._read_all(self._readers[place])]
        return lines
