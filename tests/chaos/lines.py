"""Compares the numbered lines in a bot's raw log segments with what its lives say that they wrote.

Reads on from where it stopped, through rotation and compaction. A line that is torn, repeated, out of its place or missing
is named with its life. What a life wrote last is known by the file in which it counts: at least so many lines must be there.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.process.logindex import active_log, closed_log, compacted_log, list_closed

_LINE = re.compile(rb"L (\d+-\d+) (\d+) \.*")
_STREAM = "stdout"


@dataclass
class LineLog:
    """The lines of one bot; `read` takes in what is new, `missing` compares with the counters."""

    folder: Path
    lives: Path
    next_number: dict[str, int] = field(default_factory=dict)
    total: int = 0
    faults: list[str] = field(default_factory=list)
    _segment: int = 1
    _offset: int = 0

    def read(self) -> None:
        """Take in every whole line that was stored since the last call."""
        while True:
            closed = list_closed(str(self.folder))[_STREAM]
            if self._segment not in closed:
                break
            data = self._read_closed(closed[self._segment])
            if data is not None:
                self._take(data)
                self._segment, self._offset = self._segment + 1, 0
        try:
            with open(active_log(str(self.folder), _STREAM), "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        if self._segment in list_closed(str(self.folder))[_STREAM]:
            return  # rotated while we looked: what was read may be of either segment, the next call finds out
        self._take(data[: data.rfind(b"\n") + 1])

    def _read_closed(self, is_raw: bool) -> bytes | None:
        path = closed_log(str(self.folder), _STREAM, self._segment) if is_raw else compacted_log(str(self.folder), _STREAM, self._segment)
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            return None  # compacted meanwhile: look again
        return (data if is_raw else gzip.decompress(data))[self._offset :]

    def _take(self, data: bytes) -> None:
        self._offset += len(data)
        for line in data.splitlines():
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            self.faults.append(f"{self.folder.name}: not a line that was written: {line[:80]!r}")
            return
        life, number = match[1].decode(), int(match[2])
        expected = self.next_number.get(life, 0)
        if number != expected:
            what = "repeated" if number < expected else f"{number - expected} lost before"
            self.faults.append(f"{self.folder.name}: line {number} of life {life} {what}")
        self.next_number[life] = number + 1
        self.total += 1

    def counters(self) -> dict[str, int]:
        """Return how many lines each life is certain to have written."""
        return {path.name: int.from_bytes(path.read_bytes(), "little") for path in self.lives.iterdir()}

    def missing(self, counters: dict[str, int]) -> dict[str, int]:
        """Return how many lines of each life are not there."""
        return {life: n - self.next_number.get(life, 0) for life, n in counters.items() if self.next_number.get(life, 0) < n}

    def forgive(self, life: str, upto: int) -> None:
        """Accept that the end of a life is lost: it died while keeper and logd were dead (the stated limit)."""
        self.next_number[life] = max(self.next_number.get(life, 0), upto)
