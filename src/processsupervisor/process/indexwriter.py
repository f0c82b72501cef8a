"""Write the index of one active log segment: which bytes came when, from which generation, and what is missing.

Knows offsets only as numbers; the log itself is segments'. A record is written before the bytes that it describes, so
that no stored byte is ever without one. A record that describes nothing yet, or a gap that grows, is rewritten in place:
on a full disk that needs no new block.
"""

from __future__ import annotations

import errno
import os
import time

from processsupervisor.process.logfiles import open_regular
from processsupervisor.process.logindex import RECORD, RECORD_BYTES, Gap, Kind, Record, gap_bytes, gap_count

INDEX_EVERY_S = 0.01
NO_GENERATION = -1
_TAIL_BYTES = 2048 * RECORD_BYTES
_FORMAT = 1


class IndexWriter:
    """The index of one stream's active segment, closed most of the time."""

    __slots__ = (
        "_data_at",
        "_data_offset",
        "_descriptor",
        "_gap_at",
        "_gap_offset",
        "_gap_reason",
        "_noted_mono",
        "_pid",
        "_pid_generation",
        "_start_at",
        "generation",
        "size",
    )

    def __init__(self) -> None:
        self.size = 0
        self.generation = NO_GENERATION
        """Whose bytes the last records describe; NO_GENERATION when that is not known or it has ended."""
        self._descriptor = -1
        self._start_at = self._data_at = self._data_offset = self._gap_at = self._gap_offset = -1
        self._gap_reason = Gap.DISK
        self._noted_mono = 0.0
        self._pid_generation, self._pid = NO_GENERATION, 0

    def open(self, path: str, log_size: int, number: int, carry: tuple[int, float] | None) -> int:
        """Go on with the index at `path`, or begin one for segment `number`; returns the segment's number.

        An index that speaks of bytes the log does not have is begun anew. `carry` names generation and time of the bytes
        that a new segment begins with.
        """
        self._descriptor = open_regular(path)
        size = os.fstat(self._descriptor).st_size // RECORD_BYTES * RECORD_BYTES
        tail_at, tail = self._tail(size)
        if size == 0 or Record.unpack(tail, len(tail) - RECORD_BYTES).offset > log_size:
            os.ftruncate(self._descriptor, 0)
            self._begin(log_size, number, carry)
            return number
        self.size = size
        first = Record.unpack(os.pread(self._descriptor, RECORD_BYTES, 0))
        if first.kind == Kind.SEGMENT:
            number = max(number, first.amount)
            if first.amount != number:
                self._put_count(0, number)
        for position in range(len(tail) - RECORD_BYTES, -1, -RECORD_BYTES):
            record = Record.unpack(tail, position)
            if record.kind in (Kind.START, Kind.END):
                if record.kind == Kind.START:
                    self._start_at, self.generation = tail_at + position, record.generation
                break
        return number

    def _begin(self, log_size: int, number: int, carry: tuple[int, float] | None) -> None:
        data = RECORD.pack(0, time.time(), _FORMAT, Kind.SEGMENT, number)
        if carry is not None and log_size > 0:
            data += RECORD.pack(0, carry[1], carry[0], Kind.START, self._pid_of(carry[0]))
            self._start_at, self.generation = RECORD_BYTES, carry[0]
        if os.pwrite(self._descriptor, data, 0) != len(data):
            raise OSError(errno.ENOSPC, "index header cut short")
        self.size = len(data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self.generation = NO_GENERATION
        self._start_at = self._data_at = self._gap_at = -1
        self._noted_mono = 0.0

    def is_at(self, path: str) -> bool:
        """Tell whether `path` names the open file."""
        try:
            there, mine = os.stat(path), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)

    def note(self, offset: int, generation: int) -> None:
        """Describe the bytes stored next at `offset`, unless the last record is younger than INDEX_EVERY_S."""
        now = time.monotonic()
        is_same = generation == self.generation
        if is_same and self._data_at >= 0:
            if now - self._noted_mono < INDEX_EVERY_S:
                return
            if self._data_offset == offset:
                is_start = self._data_at == self._start_at
                kind, count = (Kind.START, self._pid_of(generation)) if is_start else (Kind.DATA, 0)
                os.pwrite(self._descriptor, RECORD.pack(offset, time.time(), generation, kind, count), self._data_at)
                self._noted_mono = now
                return
        at = self.size
        if is_same:
            self._append(offset, generation, Kind.DATA, 0)
        else:
            self._append(offset, generation, Kind.START, self._pid_of(generation))
            self._start_at, self.generation = at, generation
        self._data_at, self._data_offset, self._noted_mono = at, offset, now

    def gap(self, offset: int, generation: int, reason: Gap, size: int) -> None:
        """Record that `size` bytes are missing at `offset`; a gap that goes on at the same place is counted on."""
        if self._gap_at >= 0 and self._gap_offset == offset and self._gap_reason == reason:
            last = Record.unpack(os.pread(self._descriptor, RECORD_BYTES, self._gap_at))
            self._put_count(self._gap_at, gap_count(reason, gap_bytes(last.amount) + size))
            return
        at = self.size
        self._append(offset, max(generation, 0), Kind.GAP, gap_count(reason, size))
        self._gap_at, self._gap_offset, self._gap_reason = at, offset, reason

    def end(self, offset: int, generation: int) -> None:
        """Record that a generation's output is complete; nothing when the last bytes are not its."""
        if self.generation == generation:
            self._append(offset, generation, Kind.END, 0)
            self.generation = NO_GENERATION

    def set_pid(self, generation: int, pid: int) -> None:
        """Remember a generation's pid and put it into its start record, if that is here."""
        self._pid_generation, self._pid = generation, pid
        if self._descriptor >= 0 and self.generation == generation:
            self._put_count(self._start_at, pid)

    def start_offset(self, generation: int) -> int | None:
        """Return where the output of `generation` begins or goes on in this segment; None when it does not."""
        if self.generation != generation:
            return None
        return Record.unpack(os.pread(self._descriptor, RECORD_BYTES, self._start_at)).offset

    def is_broken_after(self, offset: int) -> bool:
        """Tell whether a generation begins or ends, or bytes are missing, after `offset`."""
        _, tail = self._tail(self.size)
        for position in range(len(tail) - RECORD_BYTES, -1, -RECORD_BYTES):
            record = Record.unpack(tail, position)
            if record.offset <= offset:
                return False
            if record.kind != Kind.DATA:
                return True
        return True

    def _tail(self, size: int) -> tuple[int, bytes]:
        at = max(0, size - _TAIL_BYTES)
        return at, os.pread(self._descriptor, size - at, at)

    def _append(self, offset: int, generation: int, kind: Kind, count: int) -> None:
        record = RECORD.pack(offset, time.time(), generation, kind, count)
        if os.pwrite(self._descriptor, record, self.size) != RECORD_BYTES:
            raise OSError(errno.ENOSPC, "index record cut short")  # the torn record is overwritten by the next one
        self.size += RECORD_BYTES

    def _put_count(self, position: int, count: int) -> None:
        os.pwrite(self._descriptor, count.to_bytes(8, "little"), position + RECORD_BYTES - 8)

    def _pid_of(self, generation: int) -> int:
        return self._pid if generation == self._pid_generation else 0
