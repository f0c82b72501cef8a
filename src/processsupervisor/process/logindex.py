"""How a bot's log files are named and what their indexes hold: shared by logd, which writes, and logview, which reads.

A stream ("stdout", "stderr") of a bot is a sequence of numbered segments: the active one STREAM.log, closed ones
STREAM.NNNNNN.log, and compacted ones STREAM.NNNNNN.log.gz. While both forms of a closed segment exist the raw one counts;
removing it is the one step that switches readers to the compacted form. Nothing here opens a log for writing.
"""

from __future__ import annotations

import os
import re
import struct
from enum import IntEnum
from typing import NamedTuple

STREAMS = ("stdout", "stderr")
RECORD = struct.Struct("<QdIIQ")
RECORD_BYTES = RECORD.size
_REASON_SHIFT = 56
_COUNT_MASK = (1 << _REASON_SHIFT) - 1
_ONE_READ_NAMES = 300
_CLOSED = re.compile(r"(stdout|stderr)\.(\d{6,12})\.log(\.gz)?")


class Kind(IntEnum):
    """What a record says of the bytes from its offset on."""

    DATA = 0
    GAP = 1
    """`amount` holds the bytes that are missing here and, in its highest byte, why (Gap)."""
    START = 2
    """Output of a generation begins or goes on here; `amount` is its pid, 0 when not known. Also times data as DATA does."""
    END = 3
    SEGMENT = 4
    """First record of an index: `amount` is the segment's number, `generation` the format's version."""


class Gap(IntEnum):
    """Why bytes are missing."""

    DISK = 0
    NO_READER = 1
    LIMIT = 2


GAP_WORDS = {
    Gap.DISK: "bytes dropped (disk full)",
    Gap.NO_READER: "bytes dropped (nothing read the output)",
    Gap.LIMIT: "bytes of older output dropped (log limits)",
}


class Record(NamedTuple):
    """One index record; `at` is epoch seconds."""

    offset: int
    at: float
    generation: int
    kind: int
    amount: int

    @classmethod
    def unpack(cls, data: bytes, position: int = 0) -> Record:
        """Read the record at byte `position` of `data`."""
        return cls(*RECORD.unpack_from(data, position))


def gap_count(reason: Gap, size: int) -> int:
    """Pack a gap's reason and bytes into a record's value."""
    return (int(reason) << _REASON_SHIFT) | min(size, _COUNT_MASK)


def gap_words(count: int) -> str:
    """Return what a reader shows for a gap record, such as "1234 bytes dropped (disk full)"."""
    reason = count >> _REASON_SHIFT
    known = GAP_WORDS.get(Gap(reason) if reason in GAP_WORDS else Gap.DISK, "")
    return f"{count & _COUNT_MASK} {known}"


def gap_bytes(count: int) -> int:
    """Return the bytes that a gap record counts."""
    return count & _COUNT_MASK


def active_log(folder: str, stream: str) -> str:
    """Return the path of the segment being written."""
    return f"{folder}/{stream}.log"


def active_index(folder: str, stream: str) -> str:
    """Return the path of the index of the segment being written."""
    return f"{folder}/{stream}.idx"


def closed_log(folder: str, stream: str, number: int) -> str:
    """Return the path of a closed segment as it was written."""
    return f"{folder}/{stream}.{number:06d}.log"


def closed_index(folder: str, stream: str, number: int) -> str:
    """Return the path of the index of a closed segment."""
    return f"{folder}/{stream}.{number:06d}.idx"


def compacted_log(folder: str, stream: str, number: int) -> str:
    """Return the path of a compacted segment."""
    return f"{folder}/{stream}.{number:06d}.log.gz"


def compacted_index(folder: str, stream: str, number: int) -> str:
    """Return the path of a compacted segment's index, whose offsets are those of the redacted text."""
    return f"{folder}/{stream}.{number:06d}.gz.idx"


def list_closed(folder: str) -> dict[str, dict[int, bool]]:
    """Return `{stream: {number: is_raw}}` of all closed segments; a segment in both forms is raw. A missing folder has none."""
    found: dict[str, dict[int, bool]] = {stream: {} for stream in STREAMS}
    try:
        names = os.listdir(folder)
        if len(names) > _ONE_READ_NAMES:
            # A folder read in several steps can show neither form of a segment that is compacted meanwhile; twice cannot.
            names += os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        match = _CLOSED.fullmatch(name)
        if match is not None:
            numbers = found[match.group(1)]
            number = int(match.group(2))
            numbers[number] = match.group(3) is None or numbers.get(number, False)
    return found


def write_position(folder: str, stream: str) -> tuple[int, int]:
    """Return (segment number, offset) where the next byte of a stream goes; (0, 0) when nothing was ever written or it cannot be read.

    What logd has yet to drain goes there too, so a generation that begins now has nothing before this place.
    """
    try:
        with open(active_index(folder, stream), "rb") as index:
            first = Record.unpack(index.read(RECORD_BYTES))
        return (first.amount, os.stat(active_log(folder, stream)).st_size) if first.kind == Kind.SEGMENT else (0, 0)
    except (OSError, struct.error):
        return 0, 0


def parse_closed(path: str) -> tuple[str, str, int] | None:
    """Return (folder, stream, number) of the path of a closed raw segment, or None when it is not one."""
    folder, _, name = path.rpartition("/")
    match = _CLOSED.fullmatch(name)
    if match is None or match.group(3) is not None:
        return None
    return folder or ".", match.group(1), int(match.group(2))
