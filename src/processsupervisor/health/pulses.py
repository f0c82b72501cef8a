"""Reading pulses: one descriptor a bot, one read a look.

Read and not mapped: a bot may cut its own file, and psvd must not die of it.
"""

from __future__ import annotations

import os
import stat

from processsupervisor.health.processes import has_locked
from processsupervisor.health.verdict import Watched
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import PULSE_BYTES, Pulse, pulse_path, unpack

_HOW = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def has_vitals(bot: Watched) -> bool:
    """Tell whether the bot was forked by a zygote, so that its process has a pulse and answers dumps."""
    return bot.via.startswith("zygote")


class Pulses:
    """The pulses of one fleet."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self._open: dict[str, tuple[Identity, int]] = {}

    def read(self, bot: Watched) -> Pulse | None:
        """Return the pulse of the bot's present generation, or None when it has none (yet)."""
        if bot.process is None or not has_vitals(bot):
            return None
        known = self._open.get(bot.name)
        if known is None or known[0] is not bot.process:
            known = self._reopen(bot.name, bot.process)
        if known is None:
            return None
        try:
            pulse = unpack(os.pread(known[1], PULSE_BYTES, 0))
        except OSError:
            return None
        return pulse if pulse is not None and pulse.generation == bot.generation else None

    def can_be_written(self, bot: str) -> bool:
        """Tell whether the disk takes a beat now: a bot that cannot beat for want of disk is not blamed."""
        try:
            descriptor = os.open(pulse_path(self._paths, bot), os.O_RDWR | _HOW)
        except OSError:
            return False
        try:
            os.pwrite(descriptor, b"\0", PULSE_BYTES - 1)  # a byte that means nothing
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def is_held(self, bot: str, process: Identity) -> bool:
        """Tell whether the process still has the pulse open that is read here; after an exec it has not."""
        known = self._open.get(bot)
        return known is not None and has_locked(known[1], process)

    def forget(self, name: str) -> None:
        """Close what is open of a bot."""
        known = self._open.pop(name, None)
        if known is not None:
            os.close(known[1])

    def _reopen(self, name: str, process: Identity) -> tuple[Identity, int] | None:
        self.forget(name)
        try:
            descriptor = os.open(pulse_path(self._paths, name), _HOW)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        self._open[name] = process, descriptor
        return self._open[name]
