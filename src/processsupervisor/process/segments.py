"""The writing side of one log stream of one bot: active segment, rotation, retention.

Bytes go from a FIFO into the active segment by splice(2) at an offset that is the file's size, so that the file itself says
what is already stored and a kill at any instant neither loses nor repeats a byte. A segment is closed at a line end: the
part of a line after it moves to the next segment. Not here: index records (indexwriter), reading (logview), compaction,
limits of the whole fleet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from processsupervisor.process.indexwriter import NO_GENERATION, IndexWriter
from processsupervisor.process.logfiles import aside_log, open_regular, recover, remove_closed, unlink, write_file
from processsupervisor.process.logindex import Gap, active_index, active_log, closed_index, closed_log, list_closed

_CHECK_EVERY_S = 1.0
_LONGEST_TAIL = 64 * 1024
_LEAST_SPLICE = 4096
_COPY_BYTES = 64 * 1024


class Stream:
    """One of the two streams of a bot. Files are opened at the first output and may be closed at any time in between."""

    __slots__ = (
        "_carry",
        "_checked_mono",
        "_index",
        "_is_recovered",
        "_log",
        "_size",
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
        self._index = IndexWriter()
        self._log = -1
        self._size = 0
        self._is_recovered = False
        self._checked_mono = 0.0
        self._carry: tuple[int, float] | None = None

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
        self._flush_gaps(generation)
        self._index.note(self._size, generation)
        self.last_offset = self._size
        most = min(most, max(self.max_bytes - self._size, _LEAST_SPLICE))
        try:
            moved = os.splice(fifo, self._log, most, offset_dst=self._size, flags=os.SPLICE_F_NONBLOCK)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            moved = self._copy(fifo, most, generation)
        self._size += moved
        return moved

    def _copy(self, fifo: int, most: int, generation: int) -> int:
        """Do splice's work on a file system that has none; a kill in between may lose one piece of at most 64 KiB."""
        data = memoryview(os.read(fifo, min(most, _COPY_BYTES)))
        stored = 0
        try:
            while stored < len(data):
                stored += os.pwrite(self._log, data[stored:], self._size + stored)
        except OSError:
            self.pending[Gap.DISK] = self.pending.get(Gap.DISK, 0) + len(data) - stored
        return stored

    def read_back(self, count: int) -> bytes:
        """Return the first `count` bytes that the last `take` stored."""
        return os.pread(self._log, count, self.last_offset)

    def read_from(self, offset: int, most: int) -> bytes:
        """Return up to `most` bytes of the active segment from `offset` on (the stream is open)."""
        return os.pread(self._log, most, offset)

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
                self._index.end(self._size, generation)

    def set_pid(self, generation: int, pid: int) -> None:
        """Tell which process a generation is; written into its start record, now or when there is one."""
        with contextlib.suppress(OSError):
            if self._has_file():
                self._make_writable()
            self._index.set_pid(generation, pid)

    def start_offset(self, generation: int) -> int | None:
        """Return where a generation's output begins or goes on in the active segment; None when it has none there."""
        if not self._has_file():
            return None
        self._make_writable()
        return self._index.start_offset(generation)

    def _flush_gaps(self, generation: int) -> None:
        for reason, size in list(self.pending.items()):
            self._index.gap(self._size, generation, reason, size)
            del self.pending[reason]

    def _has_file(self) -> bool:
        return self._log >= 0 or os.path.exists(active_log(self.folder, self.name))

    # -- the files

    def close(self) -> None:
        """Close the files; the next output opens them again."""
        if self._log >= 0:
            os.close(self._log)
        self._log = -1
        self._index.close()

    def _make_writable(self) -> None:
        """Open what is not open, notice files that were deleted, replaced or cut, rotate what is full."""
        if self._log >= 0:
            facts = os.fstat(self._log)
            is_due = time.monotonic() - self._checked_mono > _CHECK_EVERY_S
            if facts.st_nlink == 0 or facts.st_size < self._size or (is_due and not self._is_in_place(facts)):
                self.close()
            else:
                self._size = facts.st_size
        if self._log < 0:
            self._open()
        if self._size >= self.max_bytes or self._index.size > self.max_bytes // 2 + 65536:
            self.rotate()
            self._open()

    def _is_in_place(self, facts: os.stat_result) -> bool:
        self._checked_mono = time.monotonic()
        try:
            there = os.stat(active_log(self.folder, self.name))
        except FileNotFoundError:
            return False
        is_same = (there.st_ino, there.st_dev) == (facts.st_ino, facts.st_dev)
        return is_same and self._index.is_at(active_index(self.folder, self.name))

    def _open(self) -> None:
        os.makedirs(self.folder, 0o700, exist_ok=True)
        if not self._is_recovered:
            recover(self.folder, self.name)
            self.closed = sorted(list_closed(self.folder)[self.name])
            self.number = max(self.number, self.closed[-1] + 1 if self.closed else 1)
            self._is_recovered = True
        try:
            self._log = open_regular(active_log(self.folder, self.name))
            self._size = os.fstat(self._log).st_size
            self.number = self._index.open(active_index(self.folder, self.name), self._size, self.number, self._carry)
        except OSError:
            self.close()
            raise
        self._carry = None
        self._checked_mono = time.monotonic()

    # -- rotation

    def rotate(self) -> None:
        """Close the active segment; what follows its last line end becomes the beginning of the next one.

        Every step leaves a state from which `recover` goes on: (1) the tail is copied aside, (2) log and then index get
        their closed names, (3) the tail is cut off the closed log, (4) the copy becomes the new active log.
        """
        if self._log < 0:
            self._open()
        number, carry = self.number, (self._index.generation, time.time())
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
        self._carry = carry if carry[0] != NO_GENERATION else None
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
        if cut < 0 or self._index.is_broken_after(self._size - longest + cut + 1):
            return b""
        return data[cut + 1 :]
