"""One log segment as a reader sees it: raw or compacted, with its index. Used by logreader.

Raw files are read by position, compacted ones as a stream. Opening copes with logd rotating and compacting meanwhile:
whatever form is there when it is opened stays readable through the descriptor.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from processsupervisor.process.logindex import (
    RECORD_BYTES,
    Kind,
    Record,
    active_index,
    active_log,
    closed_index,
    closed_log,
    compacted_index,
    compacted_log,
    list_closed,
)

_TRIES = 20


class Segment:
    """An open segment. `number` orders it among its stream's; `is_active` while logd writes it (as far as is known)."""

    def __init__(self, number: int, log: BinaryIO, index: BinaryIO | None, *, is_active: bool, is_compacted: bool) -> None:
        self.number = number
        self.is_active = self.was_active = is_active
        self.position = 0
        self._log = log
        self._index = index
        self._is_compacted = is_compacted
        self._records = b""
        facts = os.fstat(log.fileno())
        self.inode = facts.st_ino, facts.st_dev
        self.modified_at = facts.st_mtime

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes at the reader's position; empty at the present end."""
        if self._is_compacted:
            try:
                data = self._log.read(most)
            except (OSError, EOFError):
                return b""
        else:
            data = os.pread(self._log.fileno(), most, self.position)
        self.position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Move the reader's position (compacted segments are read through to it)."""
        if self._is_compacted:
            self._log.seek(position)
        self.position = position

    def size(self) -> int:
        """Return the bytes of text; of a compacted segment this reads it all."""
        if not self._is_compacted:
            return os.fstat(self._log.fileno()).st_size
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(self.position)
        return size

    def has_shrunk(self) -> bool:
        """Tell whether the file ends before the reader's position."""
        return not self._is_compacted and self.size() < self.position

    def is_line_start(self, position: int) -> bool:
        """Tell whether a line begins at that byte."""
        if position == 0:
            return True
        if not self._is_compacted:
            return os.pread(self._log.fileno(), 1, position - 1) == b"\n"
        self._log.seek(position - 1)
        before = self._log.read(1)
        self._log.seek(self.position)
        return before == b"\n"

    def count_lines_back(self, wanted: int) -> tuple[int, int]:
        """Return (position, lines): where the last `wanted` lines begin, or 0 and how many lines there are."""
        if self._is_compacted:
            data = self._log.read()
            self._log.seek(self.position)
            return _lines_back(data, wanted)
        descriptor, end = self._log.fileno(), self.size()
        found, at = 0, end
        while at > 0:
            start = max(0, at - 65536)
            data = os.pread(descriptor, at - start, start)
            if at == end and data.endswith(b"\n"):
                data = data[:-1]
            cut = len(data)
            while (cut := data.rfind(b"\n", 0, cut)) >= 0:
                found += 1
                if found == wanted:
                    return start + cut + 1, found
            at = start
        return 0, found + (1 if end else 0)

    def refresh(self) -> None:
        """Read the index records that came since."""
        if self._index is None:
            return
        at, size = len(self._records), os.fstat(self._index.fileno()).st_size
        if size - at < RECORD_BYTES:
            return
        new = os.pread(self._index.fileno(), size - at, at)
        self._records += new[: len(new) // RECORD_BYTES * RECORD_BYTES]

    def restart(self) -> None:
        """Begin again: the file was cut to nothing by somebody else."""
        self.position = 0
        self._records = b""

    def record(self, number: int) -> Record | None:
        """Return the index record with that number, or None past the end."""
        at = number * RECORD_BYTES
        return Record.unpack(self._records, at) if at + RECORD_BYTES <= len(self._records) else None

    def fresh_count(self, number: int) -> int:
        """Return a record's count as it is on disk now: gaps grow and pids come later."""
        if self._index is not None:
            data = os.pread(self._index.fileno(), RECORD_BYTES, number * RECORD_BYTES)
            if len(data) == RECORD_BYTES:
                return Record.unpack(data).amount
        return 0

    def last_record(self) -> Record | None:
        """Return the last index record known."""
        return self.record(len(self._records) // RECORD_BYTES - 1) if self._records else None

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        if self._index is not None:
            self._index.close()


def _lines_back(data: bytes, wanted: int) -> tuple[int, int]:
    cut = len(data) - (1 if data.endswith(b"\n") else 0)
    found = 0
    while (cut := data.rfind(b"\n", 0, cut)) >= 0:
        found += 1
        if found == wanted:
            return cut + 1, found
    return 0, found + (1 if data else 0)


def open_segment(folder: str, stream: str, after: int) -> Segment | None:
    """Open the segment with the lowest number above `after`; None when there is none (yet)."""
    for attempt in range(_TRIES):
        accepts_unindexed = attempt > _TRIES // 2
        # By name first: quick, and sure to find the segment in one form or the other.
        found = _open_closed(folder, stream, after + 1, accepts_unindexed=accepts_unindexed)
        if found is not None:
            return found
        closed = list_closed(folder)[stream]
        following = min((number for number in closed if number > after), default=None)
        if following is not None:
            found = _open_closed(folder, stream, following, accepts_unindexed=accepts_unindexed)
        else:
            found, is_final = _open_active(folder, stream, after, max(closed, default=0))
            if is_final and found is None:
                return None
        if found is not None:
            if found.number == after + 1 or not _exists(folder, stream, after + 1):
                return found
            found.close()  # the one before was closed since its name was tried
    return None


def _exists(folder: str, stream: str, number: int) -> bool:
    return os.path.exists(closed_log(folder, stream, number)) or os.path.exists(compacted_log(folder, stream, number))


def newest_number(folder: str, stream: str) -> int:
    """Return the number of the newest segment, 0 without any."""
    closed = max(list_closed(folder)[stream], default=0)
    segment = open_segment(folder, stream, closed)
    if segment is None:
        return closed
    segment.close()
    return segment.number


def _open_closed(folder: str, stream: str, number: int, *, accepts_unindexed: bool) -> Segment | None:
    """Open a closed segment, the raw form if it is there; None when there is neither, or no index of the raw form yet."""
    # The index first: while the raw log is there, so is its own index, but for an instant within a rotation.
    index = _open_or_none(closed_index(folder, stream, number))
    log: BinaryIO | None = _open_or_none(closed_log(folder, stream, number))
    if log is not None:
        if index is not None or accepts_unindexed:
            return Segment(number, log, index, is_active=False, is_compacted=False)
        log.close()
        return None
    if index is not None:
        index.close()
    try:
        import gzip

        log = gzip.open(compacted_log(folder, stream, number), "rb")  # type: ignore[assignment]  # noqa: SIM115
    except FileNotFoundError:
        return None
    assert log is not None
    return Segment(number, log, _open_or_none(compacted_index(folder, stream, number)), is_active=False, is_compacted=True)


def _open_active(folder: str, stream: str, after: int, newest_closed: int) -> tuple[Segment | None, bool]:
    """Open the active segment; the second value is False when a rotation came in between and all must be looked at again."""
    try:
        log = open(active_log(folder, stream), "rb", buffering=0)  # noqa: SIM115 - the segment owns it
    except OSError:
        return None, True
    index = _open_or_none(active_index(folder, stream))
    segment = Segment(newest_closed + 1, log, index, is_active=True, is_compacted=False)
    segment.refresh()
    first = segment.record(0)
    if first is not None and first.kind == Kind.SEGMENT:
        segment.number = first.amount
    if max(list_closed(folder)[stream], default=0) != newest_closed or not is_same_file(active_log(folder, stream), segment):
        segment.close()
        return None, False
    if segment.number <= after:
        segment.close()
        return None, True
    return segment, True


def is_same_file(path: str, segment: Segment) -> bool | None:
    """Tell whether `path` still names the segment's log; None when there is no such file at the moment."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return (facts.st_ino, facts.st_dev) == segment.inode


def _open_or_none(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except OSError:
        return None
