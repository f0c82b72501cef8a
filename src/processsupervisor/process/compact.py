"""Rewrite one closed log segment redacted and compressed: `boot.py processsupervisor.process.compact PATH FLEET`.

The compacted log and its index are written aside, synced and renamed; removing the raw log is the one step that makes
readers take them. What references of the bot stood for is not known between a reboot and its next start: till then the
segment stays as it is. A kill at any point leaves either form whole, and the next run finishes or begins again. Two runs on one
segment exclude each other by a lock on the raw file. Bytes that are not valid UTF-8 stay as they are.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import gzip
import os
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from processsupervisor.launch.known import is_awaited, known_by_logs
from processsupervisor.observe.redact import redact
from processsupervisor.process.logindex import (
    RECORD,
    RECORD_BYTES,
    Record,
    closed_index,
    compacted_index,
    compacted_log,
    parse_closed,
)

_FAILED = 1
_BLOCK_BYTES = 256 * 1024
_LONGEST_LINE = 1 << 20
_LEVEL = 6


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file in blocks that end at a line end; a line longer than 1 MiB is cut at white space where there is some."""
    rest = b""
    while data := file.read(_BLOCK_BYTES):
        rest += data
        cut = rest.rfind(b"\n") + 1
        if not cut and len(rest) > _LONGEST_LINE:
            cut = max(rest.rfind(b" "), rest.rfind(b"\t")) + 1 or len(rest)
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def redact_bytes(data: bytes, secrets: Sequence[str] = ()) -> bytes:
    """Redact as text; what is not UTF-8 comes back unchanged."""
    return redact(data.decode("utf-8", "surrogateescape"), secrets).encode("utf-8", "surrogateescape")


class OffsetMap:
    """Where bytes of the raw text lie in the redacted one; only lines that changed cost anything."""

    def __init__(self) -> None:
        self._raw = [0]
        self._written = [0]

    def add(self, raw_end: int, written_end: int) -> None:
        """State that the raw text up to `raw_end` became the text up to `written_end`."""
        self._raw.append(raw_end)
        self._written.append(written_end)

    def translate(self, offset: int) -> int:
        """Return the place of a raw offset; within a changed line at most that line's end."""
        at = bisect.bisect_right(self._raw, offset) - 1
        moved = self._written[at] + offset - self._raw[at]
        return min(moved, self._written[at + 1]) if at + 1 < len(self._written) else moved


def rewrite(source: BinaryIO, target: BinaryIO, secrets: Sequence[str] = ()) -> OffsetMap:
    """Copy `source` to `target` redacted and return where its bytes went; `secrets` are values known of the bot."""
    offsets = OffsetMap()
    raw = written = 0
    for block in blocks(source):
        changed = redact_bytes(block, secrets)
        if changed == block:
            target.write(block)
            raw += len(block)
            written += len(block)
            continue
        for line in block.splitlines(keepends=True) if block.count(b"\n") > 1 else [block]:
            new = redact_bytes(line, secrets)
            if new != line:
                offsets.add(raw, written)
                offsets.add(raw + len(line), written + len(new))
            raw += len(line)
            written += len(new)
            target.write(new)
    offsets.add(raw, written)
    return offsets


def compact(path: str, fleet: str = "") -> int:
    """Compact the closed segment `path` of a fleet and return the exit status."""
    parsed = parse_closed(path)
    if parsed is None:
        print(f"not a closed log segment: {path}", file=sys.stderr)
        return _FAILED
    if is_awaited(parsed[0], fleet):
        return os.EX_TEMPFAIL
    try:
        raw = open(path, "rb")  # noqa: SIM115 - closed below, after the unlink that needs the lock
    except FileNotFoundError:
        return 0
    with raw:
        try:
            fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if not os.path.exists(path):
            return 0
        return _compact_locked(raw, path, known_by_logs(parsed[0], fleet), *parsed)


def _compact_locked(raw: BinaryIO, path: str, secrets: Sequence[str], folder: str, stream: str, number: int) -> int:
    log, index = compacted_log(folder, stream, number), compacted_index(folder, stream, number)
    old_index = closed_index(folder, stream, number)
    if not (os.path.exists(log) and os.path.exists(index)):
        asides = f"{log}.tmp", f"{index}.tmp"
        try:
            with open(asides[0], "wb", opener=_private) as file:
                with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as target:
                    offsets = rewrite(raw, target, secrets)  # type: ignore[arg-type]
                _sync(file)
            with open(asides[1], "wb", opener=_private) as file:
                file.write(b"".join(_translated(old_index, offsets)))
                _sync(file)
            facts = os.fstat(raw.fileno())
            os.utime(asides[0], ns=(facts.st_atime_ns, facts.st_mtime_ns))
            # The index first: a compacted log never stands without one.
            os.rename(asides[1], index)
            os.rename(asides[0], log)
            _sync_folder(folder)
        except OSError as err:
            for aside in asides:
                _unlink(aside)
            print(f"cannot compact {path}: {err.strerror}", file=sys.stderr)
            return os.EX_TEMPFAIL
    is_dropped = not os.path.exists(path)
    _unlink(path)
    _unlink(old_index)
    if is_dropped:  # dropped by a limit in the meantime: it must not come back
        _unlink(log)
        _unlink(index)
    return 0


def _translated(path: str, offsets: OffsetMap) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return
    for position in range(0, len(data) // RECORD_BYTES * RECORD_BYTES, RECORD_BYTES):
        record = Record.unpack(data, position)
        yield RECORD.pack(*record._replace(offset=offsets.translate(record.offset)))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def main(argv: list[str]) -> int:
    """Rewrite the segment `argv[0]` of the fleet in folder `argv[1]` behind everything else that wants the processor."""
    os.nice(10)
    return compact(*argv[:2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
