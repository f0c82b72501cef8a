"""The exit journal: what ended, when and how, written by the keeper before anybody is told and read by a new psvd.

Fixed-size records appended to one file under run/ (void after a reboot, never synced); a torn or damaged record is
skipped. When the file reaches its limit the older half is dropped. Standard library only: the keeper loads this.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.kernel.crashpoints import CrashPoint, reach

_BODY = struct.Struct("<QIQid")  # sequence, pid, start ticks, wait status, wall time
_RECORD = struct.Struct("<I")
RECORD_BYTES = _RECORD.size + _BODY.size
MAX_RECORDS = 65536


@dataclass(frozen=True, slots=True)
class ExitEntry:
    """One reaped process. `status` is a wait(2) status, `at` epoch seconds."""

    sequence: int
    pid: int
    start_ticks: int
    status: int
    at: float


class Journal:
    """The writer's side; one per fleet, owned by the keeper."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor, size = -1, 0
        with contextlib.suppress(OSError):  # without a journal exits are told all the same; psvd's status says what is missing
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            size = os.fstat(self._descriptor).st_size
        self._offset = size - size % RECORD_BYTES  # a torn tail is overwritten
        self.sequence = max((entry.sequence for entry in read(path)), default=0)

    def append(self, pid: int, start_ticks: int, status: int, at: float) -> ExitEntry:
        """Write one exit; a full disk loses the record on disk but never the caller's knowledge of it."""
        reach(CrashPoint.KEEPER_EXIT_SEEN)
        self.sequence += 1
        entry = ExitEntry(self.sequence, pid, start_ticks, status, at)
        body = _BODY.pack(entry.sequence, pid, start_ticks, status, at)
        try:
            if self._offset >= MAX_RECORDS * RECORD_BYTES:
                self._halve()
            os.pwrite(self._descriptor, _RECORD.pack(zlib.crc32(body)) + body, self._offset)
            self._offset += RECORD_BYTES
        except OSError:
            pass
        reach(CrashPoint.KEEPER_EXIT_JOURNALED)
        return entry

    def _halve(self) -> None:
        """Keep the newer half, in a new file that replaces the old one."""
        keep = MAX_RECORDS // 2 * RECORD_BYTES
        newer = os.pread(self._descriptor, keep, self._offset - keep)
        temporary = self._path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.pwrite(descriptor, newer, 0)
        temporary.replace(self._path)
        os.close(self._descriptor)
        self._descriptor, self._offset = descriptor, len(newer)


def wait_status(found: os.waitid_result) -> int:
    """Return the wait status, as waitpid(2) gives it, of a child that waitid saw but did not reap."""
    if found.si_code == os.CLD_EXITED:
        return (found.si_status & 0xFF) << 8
    return found.si_status | (0x80 if found.si_code == os.CLD_DUMPED else 0)


def read(path: Path) -> Iterator[ExitEntry]:
    """Yield the whole records of a journal, oldest first; nothing when there is no file."""
    try:
        raw = path.read_bytes()
    except OSError:
        return
    for offset in range(0, len(raw) - RECORD_BYTES + 1, RECORD_BYTES):
        (checksum,) = _RECORD.unpack_from(raw, offset)
        body = raw[offset + _RECORD.size : offset + RECORD_BYTES]
        if zlib.crc32(body) == checksum:
            yield ExitEntry(*_BODY.unpack(body))
