"""Compact closed segments one at a time, each in a short-lived child at low priority; logd's loop watches its pidfd.

The child's work is in compact.py. A segment whose compaction fails for want of disk space is tried again later, one that
fails otherwise stays raw until the next logd.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from processsupervisor.launch.code import Code
from processsupervisor.process.logindex import STREAMS, closed_log, list_closed

_LONGEST_S = 600.0
_MOST_WAITING = 4096


class Compactor:
    """Waiting segments and at most one child. The owner watches `pidfd` and calls `reap` when it is readable."""

    def __init__(self, folder: str, fleet: str) -> None:
        self.pidfd = -1
        self._folder, self._fleet = folder, fleet
        self._pid = 0
        self._path = ""
        self._started_mono = 0.0
        self._waiting: dict[str, None] = {}
        self._given_up: set[str] = set()

    def add_folder(self, bot: str) -> None:
        """Queue every raw closed segment of a bot."""
        folder = f"{self._folder}/{bot}"
        for stream in STREAMS:
            for number, is_raw in sorted(list_closed(folder)[stream].items()):
                path = closed_log(folder, stream, number)
                if is_raw and len(self._waiting) < _MOST_WAITING and path not in self._given_up and path != self._path:
                    self._waiting[path] = None

    def add_all(self) -> None:
        """Queue what an earlier logd left raw."""
        with contextlib.suppress(OSError):
            for bot in os.listdir(self._folder):
                self.add_folder(bot)

    def start(self) -> bool:
        """Start the next child; False when one runs already or nothing waits."""
        while self.pidfd < 0 and self._waiting:
            path = next(iter(self._waiting))
            del self._waiting[path]
            if os.path.exists(path):
                argv = Code.own().argv("processsupervisor.process.compact", path, self._fleet)
                try:
                    self._pid = os.posix_spawn(argv[0], argv, os.environ, setsigdef=(signal.SIGTERM, signal.SIGINT))
                    self.pidfd = os.pidfd_open(self._pid)
                except OSError:
                    return False
                self._path, self._started_mono = path, time.monotonic()
                return True
        return False

    def reap(self) -> None:
        """Take the status of the ended child."""
        _, status = os.waitpid(self._pid, 0)
        os.close(self.pidfd)
        self.pidfd = -1
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, os.EX_TEMPFAIL):
            self._given_up.add(self._path)
            if len(self._given_up) > _MOST_WAITING:
                self._given_up.pop()
        self._path = ""

    def kill(self, only_after_s: float = 0.0) -> None:
        """End the child, or only one that runs longer than `only_after_s`; a killed compaction leaves the raw segment."""
        if self.pidfd >= 0 and time.monotonic() - self._started_mono >= only_after_s:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def kill_stuck(self) -> None:
        """End a child that takes longer than any segment can."""
        self.kill(_LONGEST_S)
