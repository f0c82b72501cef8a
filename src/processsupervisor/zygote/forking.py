"""Forking a bot twice, so that the keeper is its parent; where kernel and sandbox allow it, the bot is born inside its cgroup.

A process that moves into a cgroup waits until every processor has passed a quiescent state, 10 ms and more; one that is made
inside it by clone3(2) with CLONE_INTO_CGROUP (Linux 5.7) waits for nothing. Only the middle process, which lives for the second
fork alone, is made so: the bot itself comes from an ordinary fork, with the handlers that libraries registered for one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import time

from processsupervisor.zygote import child

# struct clone_args (linux/sched.h): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
_CLONE_ARGS = struct.Struct("=11Q")
_CLONE_INTO_CGROUP = 0x200000000
_SYS_CLONE3 = 435  # on every architecture
_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the GIL, which the new process must hold too


def fork_twice(folder: str, bot: str, generation: int, secret_fd: int, group: str | None) -> int:
    """Fork the bot as an orphan, which the keeper (the subreaper above) adopts, and return its pid. Raises OSError.

    `group` is the folder of the bot's cgroup; where no process can be made inside it, the bot moves into it itself.
    """
    reading, writing = os.pipe()
    try:
        inside = _fork_into(group) if group else None
        middle = inside if inside is not None else os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if not middle:
        _be_middle(writing)
        os.close(reading)
        os.close(writing)
        child.run(folder, bot, generation, secret_fd, is_in_group=inside is not None)
    os.close(writing)
    os.waitpid(middle, 0)
    answer = os.read(reading, 32)
    os.close(reading)
    if answer:
        return int(answer)
    if inside is not None:  # a limit on the processes of the cgroup may have had no room for two
        return fork_twice(folder, bot, generation, secret_fd, None)
    raise OSError(errno.EAGAIN, "the second fork was refused")


def _be_middle(writing: int) -> None:
    """Fork the bot, say its pid and end at once. Returns in the bot only, when its parent is the keeper."""
    middle = os.getpid()
    try:
        bot = os.fork()
        if bot:
            os.write(writing, str(bot).encode())
            os._exit(0)
    except OSError:
        os._exit(1)
    while os.getppid() == middle:
        time.sleep(0.0002)  # the middle process is ending; no event tells an orphan that it was adopted


def _fork_into(group: str) -> int | None:
    """Fork a process that is in the cgroup `group` from the start; 0 in that process, None where this cannot be had.

    It must call fork or _exit next and no more: no handler for forks was run in it.
    """
    try:
        folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # the bot says why, when it moves itself
    packed = _CLONE_ARGS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, folder)
    arguments = ctypes.create_string_buffer(packed, _CLONE_ARGS.size)
    try:
        pid = int(_libc.syscall(ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(_CLONE_ARGS.size)))
    finally:
        os.close(folder)
    return pid if pid >= 0 else None
