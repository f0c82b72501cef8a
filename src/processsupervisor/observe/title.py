"""The title of a process, as ps and /proc/PID/cmdline show it.

setproctitle does it; in another interpreter's zygote, where that library may be missing, the argument area is overwritten
through ctypes, at the addresses that /proc/self/stat gives (proc(5), arg_start and arg_end).
"""

from __future__ import annotations

import sys


def set_title(title: str) -> None:
    """Show `title` for this process; does nothing where neither way works."""
    try:
        from setproctitle import setproctitle
    except ImportError:
        _overwrite_arguments(title)
    else:
        setproctitle(title)


def _overwrite_arguments(title: str) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start - 1
    if room <= 0:
        return
    ctypes.memset(start, 0, room)
    ctypes.memmove(start, title.encode()[:room], min(len(title.encode()), room))
