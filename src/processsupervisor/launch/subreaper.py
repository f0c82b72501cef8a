"""Being the parent of all that is started below a process, and the end of it: nothing gets away by forking twice.

For short processes between (a hook, a command that prints a value) and for the keeper. Linux only.
"""

from __future__ import annotations

import os
import signal
import time

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.identity import Identity, ancestors_of, send_signal

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make orphans below this process its children (prctl(2)); pid 1 of a namespace is that already."""
    if os.getpid() == 1:
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise SystemRefused("the kernel refuses to make this process a subreaper", hint="Linux 5.10 or newer is needed")


def end_all_below(within_s: float) -> None:
    """SIGKILL everything below this process, a subreaper, until nothing is left or the time is over."""
    deadline = mono() + within_s
    while has_children() and mono() < deadline:
        own = os.getpid()
        for name in os.listdir("/proc"):
            if name.isdigit() and own in ancestors_of(int(name)):
                send_signal(Identity.of(int(name)), signal.SIGKILL)
        time.sleep(0.005)


def has_children() -> bool:
    """Reap whoever has ended; tell whether somebody is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
