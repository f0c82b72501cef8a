"""Memory and CPU of a process tree's first process, read from /proc where it is hot.

PSS of one process costs about 2 ms to read, so whoever samples does it round-robin, off the request path.
"""

from __future__ import annotations

import os

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def pss_bytes(pid: int) -> int | None:
    """Return the proportional set size of `pid`, or None when it is gone or may not be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def rss_bytes(pid: int) -> int:
    """Return the resident set size of `pid`, 0 when it is gone; some 10 us, and never much below the PSS."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def cpu_s(pid: int) -> float | None:
    """Return the CPU seconds that `pid` has used in all, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
