"""What a database gives back when nobody has used it for a while: the pages it keeps, and what the C library keeps of what was freed.

Most bots wait most of the time. Statements and the schema stay, so that the next message finds them; pages are read again from the
kernel's cache, in microseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3
import sys
from collections.abc import Callable

IDLE_S = 2.0
"""Later than messages of one conversation follow each other."""


def _find_trim() -> Callable[[int], int] | None:
    """Return the C library's way to give free memory back to the kernel; only glibc has and needs one."""
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
    return trim


_trim = _find_trim()  # made here, so that no bot makes it


def give_back(connection: sqlite3.Connection) -> None:
    """Give it back; nothing is written, and `connection` is used as before."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA shrink_memory")
    if _trim is not None:
        _trim(0)
