"""The signs of life of a forked bot: its pulse, and its answers to a dump of stacks and tasks.

Opened before the bot takes its user, at descriptors of 100 and above that its programs do not inherit, and locked by fcntl: the
kernel names the process to psvd for as long as it has not closed them or executed another program. A bot without room for them on
disk runs without them: it is then not judged by its pulse.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import stat
from pathlib import Path

from processsupervisor.kernel.pulse import PULSE_BYTES, STACKS_SIGNAL, beat_every_s, dump_path, pulse_path
from processsupervisor.launch import heartbeat, tasklist
from processsupervisor.launch.context import FIRST_HIGH_FD, LaunchContext


class Vitals:
    """The two files of one bot's process, each -1 where it is not to be had."""

    def __init__(self, context: LaunchContext) -> None:
        self._generation = context.generation
        self._beat_every_s = beat_every_s(float(context.spec.get("hang_after_s", 0.0)))
        self._is_native = context.spec["kind"] == "native"
        self._pulse = _open(pulse_path(context.paths, context.bot), PULSE_BYTES)
        self._dump = _open(dump_path(context.paths, context.bot), 0)
        context.kept_fds.update(fd for fd in (self._pulse, self._dump) if fd >= 0)

    def begin(self) -> None:
        """Answer dumps and beat from now on; called by the program's only thread, just before the program."""
        for descriptor in (self._pulse, self._dump):
            if descriptor >= 0:
                _lock(descriptor)
        if self._dump >= 0:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                faulthandler.register(STACKS_SIGNAL, file=self._dump, all_threads=True, chain=False)
            answer = tasklist.answer_by_thread if self._is_native else tasklist.answer_by_handler
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                answer(self._dump)
        if self._pulse >= 0:
            heartbeat.begin(self._pulse, self._generation, max(0, self._dump), self._beat_every_s)


def _open(path: Path, size: int) -> int:
    """Return a descriptor of our own plain file, made and filled up to `size` where needed; -1 when it is not to be had."""
    import fcntl

    how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | (0 if size else os.O_APPEND)
    try:
        low = os.open(path, how, 0o600)
    except OSError:
        return -1
    try:
        facts = os.fstat(low)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            return -1  # put there by a bot that may write into its folder
        if facts.st_size < size:
            os.pwrite(low, bytes(size), 0)
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_HIGH_FD)
    except OSError:
        return -1
    finally:
        os.close(low)


def _lock(descriptor: int) -> None:
    """Show that this very process has the file open. A forked child does not inherit such a lock; any close of the file ends it."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
