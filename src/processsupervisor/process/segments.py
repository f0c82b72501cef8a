"""The writing side of one log stream of one bot: active segment, index, rotation, retention, recovery.

Bytes go from a FIFO into the active segment by splice(2) at an offset that is the file's size, so that the file itself says
what is already stored and a kill at any instant neither loses nor repeats a byte. A segment is closed at a line end: the
part of a line after it moves to the next segment. Not here: reading (logview), compaction, limits of the whole fleet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from processsupervisor.process.logfiles import aside_log, open_regular, recover, remove_closed, unlink, write_file
from processsupervisor.process.logindex import (
    RECORD,
    RECORD_BYTES,
    Gap,
    Kind,
    Record,
    active_index,
    active_log,
    closed_index,
    closed_log,
    gap_bytes,
    gap_count,
    list_closed,
)

INDEX_EVERY_S = 0.01
_CHECK_EVERY_S = 1.0
_LONGEST_TAIL = 64 * 1024
_INDEX_TAIL_BYTES = 2048 * RECORD_BYTES
_FORMAT = 1
_NO_GENERATION = -1


class Stream:
    """One of the two streams of a bot. Files are opened at the first output and may be closed at any time in between."""

    __slots__ = (
        "_carry",
        "_checked_mono",
        "_data_at",
        "_data_offset",
        "_gap_at",
        "_gap_offset",
        "_gap_reason",
        "_index",
        "_index_size",
        "_is_recovered",
        "_log",
        "_noted_mono",
        "_pid",
        "_pid_generation",
        "_size",
        "_start_at",
        "_start_generation",
        "closed",
        "folder",
        "keep",
        "last_offset",
        "max_bytes",
        "name",
        "number",
        "pending",
    )

    def __init__(self, folder: str, name: str, max_bytes: int, keep: int) -> None:
        self.folder = folder
        self.name = name
        self.max_bytes = max(max_bytes, 1)
        self.keep = max(keep, 0)
        self.number = 1
        self.closed: list[int] = []
        """Numbers of the closed segments, oldest first; known once the stream was opened."""
        self.last_offset = 0
        """Where the bytes of the last `take` begin in the active segment."""
        self.pending: dict[Gap, int] = {}
        """Bytes that were lost and whose gap records could not be written yet."""
        self._log = self._index = -1
        self._size = self._index_size = 0
        self._is_recovered = False
        self._noted_mono = self._checked_mono = 0.0
        self._start_generation = _NO_GENERATION
        self._start_at = self._data_at = self._gap_at = -1
        self._data_offset = self._gap_offset = -1
        self._gap_reason = Gap.DISK
        self._carry: tuple[int, float] | None = None
        self._pid_generation, self._pid = _NO_GENERATION, 0

    @property
    def is_open(self) -> bool:
        """Tell whether the stream's files are open now."""
        return self._log >= 0

    # -- taking output

    def take(self, fifo: int, most: int, generation: int) -> int:
        """Move at most `most` bytes from `fifo` into the active segment and return how many.

        Raises BlockingIOError when the FIFO is empty, any other OSError when the files refuse; the bytes are then still
        in the FIFO.
        """
        self._make_writable()
        self._note_data(generation)
        self.last_offset = self._size
        most = min(most, max(self.max_bytes - self._size, 4096))
        try:
            moved = os.splice(fifo, self._log, most, offset_dst=self._size, flags=os.SPLICE_F_NONBLOCK)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            moved = self._copy(fifo, most)
        self._size += moved
        return moved

    def _copy(self, fifo: int, most: int) -> int:
        """Do splice's work on a file system that has none; a kill in between may lose one piece of at most 64 KiB."""
        data = memoryview(os.read(fifo, min(most, 65536)))
        stored = 0
        try:
            while stored < len(data):
                stored += os.pwrite(self._log, data[stored:], self._size + stored)
        except OSError:
            self.lose(len(data) - stored, Gap.DISK, self._start_generation)
        return len(data)

    def read_back(self, count: int) -> bytes:
        """Return the first `count` bytes that the last `take` stored."""
        return os.pread(self._log, count, self.last_offset)

    def lose(self, size: int, reason: Gap, generation: int) -> None:
        """Record that `size` bytes were lost at the present end; kept for later when the index cannot be written."""
        self.pending[reason] = self.pending.get(reason, 0) + size
        with contextlib.suppress(OSError):
            self._make_writable()
            self._flush_gaps(generation)

    def end(self, generation: int) -> None:
        """Record that a generation's output is complete; nothing when it never had any here."""
        with contextlib.suppress(OSError):
            if self.pending or self._has_file():
                self._make_writable()
                self._flush_gaps(generation)
                if self._start_generation == generation:
                    self._append(Kind.END, generation, 0)
                    self._start_generation = _NO_GENERATION

    def set_pid(self, generation: int, pid: int) -> None:
        """Tell which process a generation is; written into its start record, now or when there is one."""
        self._pid_generation, self._pid = generation, pid
        with contextlib.suppress(OSError):
            if self._has_file():
                self._make_writable()
                if self._start_generation == generation:
                    self._put_count(self._start_at, pid)

    def _note_data(self, generation: int) -> None:
        """Write the record that covers the bytes stored next, unless the last one is younger than INDEX_EVERY_S."""
        if self.pending:
            self._flush_gaps(generation)
        now = time.monotonic()
        is_same = generation == self._start_generation
        if is_same and self._data_at >= 0:
            if now - self._noted_mono < INDEX_EVERY_S:
                return
            if self._data_offset == self._size:
                # Nothing was stored since (a full disk): the record is rewritten, so that trying costs no disk.
                os.pwrite(self._index, RECORD.pack(self._size, time.time(), generation, *self._data_head()), self._data_at)
                self._noted_mono = now
                return
        at = self._index_size
        if is_same:
            self._append(Kind.DATA, generation, 0)
        else:
            self._append(Kind.START, generation, self._pid if generation == self._pid_generation else 0)
            self._start_at, self._start_generation = at, generation
        self._data_at, self._data_offset, self._noted_mono = at, self._size, now

    def _data_head(self) -> tuple[int, int]:
        """Return kind and count of the last data record."""
        if self._data_at != self._start_at:
            return Kind.DATA, 0
        return Kind.START, self._pid if self._start_generation == self._pid_generation else 0

    def _flush_gaps(self, generation: int) -> None:
        for reason, size in list(self.pending.items()):
            if self._gap_at >= 0 and self._gap_offset == self._size and self._gap_reason == reason:
                # The same gap goes on: rewriting its record in place needs no new disk block.
                last = Record.unpack(os.pread(self._index, RECORD_BYTES, self._gap_at))
                self._put_count(self._gap_at, gap_count(reason, gap_bytes(last.count) + size))
            else:
                at = self._index_size
                self._append(Kind.GAP, max(generation, 0), gap_count(reason, size))
                self._gap_at, self._gap_offset, self._gap_reason = at, self._size, reason
            del self.pending[reason]

    def _append(self, kind: Kind, generation: int, count: int) -> None:
        record = RECORD.pack(self._size, time.time(), generation, kind, count)
        if os.pwrite(self._index, record, self._index_size) != RECORD_BYTES:
            raise OSError(errno.ENOSPC, "index record cut short")  # the torn record is overwritten by the next one
        self._index_size += RECORD_BYTES

    def _put_count(self, position: int, count: int) -> None:
        os.pwrite(self._index, count.to_bytes(8, "little"), position + RECORD_BYTES - 8)

    def _has_file(self) -> bool:
        return self._log >= 0 or os.path.exists(active_log(self.folder, self.name))

    # -- the files

    def close(self) -> None:
        """Close the files; the next output opens them again."""
        for descriptor in (self._log, self._index):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._index = -1
        self._start_generation = _NO_GENERATION
        self._start_at = self._data_at = self._gap_at = -1

    def _make_writable(self) -> None:
        """Open what is not open, notice files that were deleted, replaced or cut, rotate what is full."""
        if self._log >= 0:
            facts = os.fstat(self._log)
            now = time.monotonic()
            is_due = now - self._checked_mono > _CHECK_EVERY_S
            if facts.st_nlink == 0 or facts.st_size < self._size or (is_due and not self._is_in_place(facts)):
                self.close()
            else:
                self._size = facts.st_size
        if self._log < 0:
            self._open()
        if self._size >= self.max_bytes or self._index_size > self.max_bytes // 2 + 65536:
            self.rotate()
            self._open()

    def _is_in_place(self, facts: os.stat_result) -> bool:
        self._checked_mono = time.monotonic()
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(active_log(self.folder, self.name))
            index = os.stat(active_index(self.folder, self.name))
            mine = os.fstat(self._index)
            return (there.st_ino, there.st_dev, index.st_ino) == (facts.st_ino, facts.st_dev, mine.st_ino)
        return False

    def _open(self) -> None:
        os.makedirs(self.folder, 0o700, exist_ok=True)
        if not self._is_recovered:
            recover(self.folder, self.name)
            self.closed = sorted(list_closed(self.folder)[self.name])
            self.number = max(self.number, self.closed[-1] + 1 if self.closed else 1)
            self._is_recovered = True
        try:
            self._log = open_regular(active_log(self.folder, self.name))
            self._index = open_regular(active_index(self.folder, self.name))
            self._size = os.fstat(self._log).st_size
            self._adopt_index()
        except OSError:
            self.close()
            raise
        self._checked_mono = time.monotonic()
        self._noted_mono = 0.0

    def _adopt_index(self) -> None:
        """Go on with the index that is there; begin a new one when it speaks of bytes that the log no longer has."""
        size = os.fstat(self._index).st_size // RECORD_BYTES * RECORD_BYTES
        tail_at = max(0, size - _INDEX_TAIL_BYTES)
        tail = os.pread(self._index, size - tail_at, tail_at)
        if size == 0 or Record.unpack(tail, len(tail) - RECORD_BYTES).offset > self._size:
            os.ftruncate(self._index, 0)
            self._begin_index()
            return
        first = Record.unpack(os.pread(self._index, RECORD_BYTES, 0))
        if first.kind == Kind.SEGMENT:
            self.number = max(self.number, first.count)
            if first.count != self.number:
                self._put_count(0, self.number)
        self._index_size = size
        for position in range(len(tail) - RECORD_BYTES, -1, -RECORD_BYTES):
            record = Record.unpack(tail, position)
            if record.kind == Kind.START:
                self._start_at, self._start_generation = tail_at + position, record.generation
                break

    def _begin_index(self) -> None:
        data = RECORD.pack(0, time.time(), _FORMAT, Kind.SEGMENT, self.number)
        if self._carry is not None and self._size > 0:
            generation, at = self._carry
            data += RECORD.pack(0, at, generation, Kind.START, self._pid if generation == self._pid_generation else 0)
            self._start_at, self._start_generation = RECORD_BYTES, generation
        self._carry = None
        if os.pwrite(self._index, data, 0) != len(data):
            raise OSError(errno.ENOSPC, "index header cut short")
        self._index_size = len(data)

    def start_offset(self, generation: int) -> int | None:
        """Return where a generation's output begins or goes on in the active segment; None when it has none there."""
        if not self._has_file():
            return None
        self._make_writable()
        if self._start_generation != generation:
            return None
        return Record.unpack(os.pread(self._index, RECORD_BYTES, self._start_at)).offset

    def read_from(self, offset: int, most: int) -> bytes:
        """Return up to `most` bytes of the active segment from `offset` on (the stream is open)."""
        return os.pread(self._log, most, offset)

    # -- rotation

    def rotate(self) -> None:
        """Close the active segment; what follows its last line end becomes the beginning of the next one.

        Every step leaves a state from which `recover` goes on: (1) the tail is copied aside, (2) log and then index get
        their closed names, (3) the tail is cut off the closed log, (4) the copy becomes the new active log.
        """
        if self._log < 0:
            self._open()
        number = self.number
        tail = self._tail()
        log, aside = active_log(self.folder, self.name), aside_log(self.folder, self.name)
        if tail:
            try:
                write_file(aside, tail)
            except OSError:
                tail = b""
                unlink(aside)
        try:
            os.rename(log, closed_log(self.folder, self.name, number))
            os.rename(active_index(self.folder, self.name), closed_index(self.folder, self.name, number))
            if tail:
                os.ftruncate(self._log, self._size - len(tail))
                os.rename(aside, log)
        except OSError:
            self._is_recovered = False
            self.close()
            raise
        self._carry = (self._start_generation, time.time()) if self._start_generation >= 0 else None
        self.close()
        self.number = number + 1
        self.closed.append(number)
        while len(self.closed) > self.keep:
            remove_closed(self.folder, self.name, self.closed.pop(0))

    def _tail(self) -> bytes:
        """Return the bytes after the last line end; nothing when they are too many, or when something ended within them."""
        longest = min(_LONGEST_TAIL, self._size // 2)
        data = os.pread(self._log, longest, self._size - longest)
        cut = data.rfind(b"\n")
        if cut < 0:
            return b""
        begins = self._size - longest + cut + 1
        at = max(0, self._index_size - _INDEX_TAIL_BYTES)
        records = os.pread(self._index, self._index_size - at, at)
        for position in range(len(records) - RECORD_BYTES, -1, -RECORD_BYTES):
            record = Record.unpack(records, position)
            if record.offset <= begins:
                break
            if record.kind != Kind.DATA:  # the part before belongs to another generation, or bytes are missing after it
                return b""
        return data[cut + 1 :]
