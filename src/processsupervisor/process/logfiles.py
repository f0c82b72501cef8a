"""The files of a log stream from outside its writer: recovery of an interrupted rotation, removal, careful opening.

Used by segments (the writer) and loglimits. Every function works on names; none holds a descriptor when it returns, but
open_regular.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from processsupervisor.process.logindex import (
    active_index,
    active_log,
    closed_index,
    closed_log,
    compacted_index,
    compacted_log,
    list_closed,
)

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def recover(folder: str, stream: str) -> None:
    """Finish a rotation that a kill interrupted; without one nothing changes."""
    log, aside = active_log(folder, stream), aside_log(folder, stream)
    if os.path.exists(log):
        unlink(aside)
        return
    raw = sorted(number for number, is_raw in list_closed(folder)[stream].items() if is_raw)
    if not raw:
        unlink(aside)
        return
    index, newest = closed_index(folder, stream, raw[-1]), closed_log(folder, stream, raw[-1])
    if not os.path.exists(index):
        with contextlib.suppress(FileNotFoundError):
            os.rename(active_index(folder, stream), index)
    try:
        with open(aside, "rb") as file:
            tail = file.read()
    except FileNotFoundError:
        return
    with open(newest, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(tail)))
        # The tail holds no line end: if the closed log ends with one, it was cut already.
        if tail and file.read() == tail:
            file.truncate(size - len(tail))
    os.rename(aside, log)


def remove_closed(folder: str, stream: str, number: int) -> None:
    """Remove a closed segment in all its forms. The raw log goes first: compaction looks for it before it leaves its own."""
    for path in (closed_log, compacted_log, closed_index, compacted_index):
        unlink(path(folder, stream, number))


def aside_log(folder: str, stream: str) -> str:
    """Return where a rotation keeps the beginning of the next segment."""
    return f"{folder}/{stream}.next"


def open_regular(path: str) -> int:
    """Open or create a regular file for reading and writing; raises OSError for anything else that has the name."""
    descriptor = os.open(path, _FLAGS, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def write_file(path: str, data: bytes) -> None:
    """Write a whole private file; raises OSError when the disk took only a part."""
    with open(path, "wb", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, "file cut short", path)


def unlink(path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
