"""What the kernel says of a process that does not answer: its state, where it waits, and whether that is its own output.

A bot that waits because its output is full does nothing wrong: who must read is psv. Read from /proc; what may not be read
counts in the bot's favour.
"""

from __future__ import annotations

import os
import select
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from processsupervisor.kernel.identity import Identity, read_fields
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.tree import descendants_of

_MOST_PROCESSES, _MOST_THREADS = 50, 64
_SHOWN = ("State", "TracerPid", "Threads", "VmRSS", "SigPnd", "ShdPnd", "SigBlk", "SigCgt")
_STOPPED = "Tt"
_LOCK = struct.Struct("@hhqqi4x")
"""struct flock of a 64-bit Linux: type, whence, start, length, pid."""


def is_stopped(process: Identity) -> bool:
    """Tell whether this very process was stopped by a signal or is held by a tracer."""
    fields = read_fields(process.pid)
    return fields is not None and len(fields) > 19 and fields[0].decode() in _STOPPED and int(fields[19]) == process.start_ticks


def facts_of(process: Identity) -> dict[str, str]:
    """Return lines of /proc/PID/status and the kernel function in which its first thread waits; empty when it is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name in _SHOWN}
    return found | {"wchan": _wchan(process.pid, process.pid)}


def takes(process: Identity, number: int, *, by_thread: bool = False) -> bool:
    """Tell whether the process catches a signal in its first thread, or has it blocked there for a thread that waits for it.

    One that does neither would be ended by it, and one that waits for signals in its first thread would take it for another; the
    kernel does not show what is waited for as blocked.
    """
    facts = facts_of(process)
    is_caught, is_blocked = (bool(int(facts.get(name, "0"), 16) >> (number - 1) & 1) for name in ("SigCgt", "SigBlk"))
    return is_blocked if by_thread else is_caught and not is_blocked and "sigtimedwait" not in facts.get("wchan", "")


def has_locked(descriptor: int, process: Identity) -> bool:
    """Tell whether the process has the file behind `descriptor` open, as a bot does with its vitals (launch/vitals.py).

    The kernel names the holder of a lock to everybody. Its descriptors it shows to a process of the same user only: not to a psvd that is
    root without CAP_SYS_PTRACE, as in most containers, when the bot has a user of its own.
    """
    import fcntl

    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        return False
    kind, _, _, _, pid = _LOCK.unpack(answer)
    return bool(kind != fcntl.F_UNLCK and pid == process.pid)


def waits_for_output(paths: FleetPaths, bot: str, generation: int, process: Identity) -> bool:
    """Tell whether the bot, or one of its threads or children, waits in a write while the bot's output is full."""
    if not any(_is_full(paths.bot_run(bot) / f"{name}-{generation}") for name in ("out", "err")):
        return False
    # "0" or nothing: this kernel or this user may not see where a thread waits.
    return any("pipe_write" in where or where in ("", "0") for where in _places(process.pid))


def has_unread_output(paths: FleetPaths, bot: str, generation: int) -> bool:
    """Tell whether the bot has printed something that logd has not taken yet."""
    return any(_unread_bytes(paths.bot_run(bot) / f"{name}-{generation}") for name in ("out", "err"))


def _places(pid: int) -> Iterator[str]:
    for member in [pid, *descendants_of(pid, _MOST_PROCESSES)][:_MOST_PROCESSES]:
        try:
            threads = os.listdir(f"/proc/{member}/task")
        except OSError:
            continue
        for thread in threads[:_MOST_THREADS]:
            yield _wchan(member, int(thread))


def _wchan(pid: int, thread: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{thread}/wchan").read_text()
    except OSError:
        return ""


def _unread_bytes(fifo: Path) -> int:
    import fcntl
    import termios

    try:
        descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _is_full(fifo: Path) -> bool:
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return not poll.poll(0)
    finally:
        os.close(descriptor)
