"""How much CPU a process tree uses or would use if it got a core: tells a start that works from one that waits.

Read from schedstat (proc(5)): time on a core and time in the queue for one, so that a busy machine does not make a working
program look quiet. Where the kernel has no schedstat only the CPU time counts. One tree costs some 0.1 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from processsupervisor.kernel.identity import read_fields

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = 11, 14
_MOST_TASKS = 64


def used_s(pid: int) -> float | None:
    """Return the CPU seconds of all threads of `pid` and of its children that have ended; None when it is gone."""
    fields = read_fields(pid)
    return None if fields is None else sum(map(int, fields[_UTIME : _CSTIME + 1])) / _TICKS_PER_S


def effort_s(pids: Iterable[int]) -> float:
    """Return the seconds that these processes have run or queued for a core; infinite when one of them is about to run.

    Only differences mean something; one that is negative says that a process has ended meanwhile.
    """
    total_s = 0.0
    for pid in pids:
        fields = read_fields(pid)
        if fields is None:
            continue
        if fields[0] == b"R":
            return float("inf")  # what it waits for is added when it gets its core
        scheduled_s = _scheduled_s(pid)
        own_s = sum(map(int, fields[_UTIME : _UTIME + 2])) / _TICKS_PER_S if scheduled_s is None else scheduled_s
        total_s += own_s + sum(map(int, fields[_CSTIME - 1 : _CSTIME + 1])) / _TICKS_PER_S
    return total_s


def _scheduled_s(pid: int) -> float | None:
    total_ns = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task")[:_MOST_TASKS]:
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb") as file:
                ran, waited, _ = file.read().split()
            total_ns += int(ran) + int(waited)
    except (OSError, ValueError):
        return None
    return total_ns / 1e9
