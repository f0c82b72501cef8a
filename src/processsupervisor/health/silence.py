"""How long a bot has printed nothing: seen by its active log segments, which change when logd writes a line of it.

Lines that logd has not taken yet, or cannot write for want of disk, are no silence. Counted in psvd's own sweeps.
"""

from __future__ import annotations

import os
from pathlib import Path

from processsupervisor.health.processes import has_unread_output
from processsupervisor.health.verdict import Sweep, Watched
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logindex import STREAMS, active_log

_LEAST_FREE_BYTES = 1 << 20

Signs = tuple[tuple[int, int] | None, ...]


class Silence:
    """The silence of one generation of one bot."""

    __slots__ = ("_folder", "_paths", "_signs", "silent_s")

    def __init__(self, paths: FleetPaths, bot: str) -> None:
        self._paths = paths
        self._folder = str(paths.bot_logs(bot))
        self._signs: Signs | None = None
        self.silent_s = 0.0

    def look(self, bot: Watched, sweep: Sweep, limit_s: float) -> bool:
        """Tell whether the bot has been silent for `limit_s`."""
        signs = tuple(_sign(active_log(self._folder, stream)) for stream in STREAMS)
        if signs != self._signs:
            self._signs, self.silent_s = signs, 0.0
            return False
        self.silent_s = sweep.add_to(self.silent_s, limit_s)
        if self.silent_s < limit_s:
            return False
        if has_unread_output(self._paths, bot.name, bot.generation) or self._is_disk_full():
            self.silent_s = 0.0
        return self.silent_s >= limit_s

    def interrupt(self) -> None:
        """Count anew."""
        self._signs, self.silent_s = None, 0.0

    def _is_disk_full(self) -> bool:
        try:
            facts = os.statvfs(self._folder)
        except OSError:
            return False
        return facts.f_bavail * facts.f_frsize < _LEAST_FREE_BYTES


def _sign(path: str) -> tuple[int, int] | None:
    """Return what changes with each write: mtime and size. A segment that is closed gives way to a new one, which changes both."""
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
