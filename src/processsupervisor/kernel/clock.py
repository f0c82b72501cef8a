"""Clocks. Deadlines use `mono()`, durable ones `boottime()` with the boot id; `wall()` is for people and schedules only."""

from __future__ import annotations

import time

mono = time.monotonic
wall = time.time
look_again_s = 30.0
"""How long who waits for a time of day sleeps at most, so that a change of the machine's clock is seen."""


def boottime() -> float:
    """Return seconds since boot, suspend included (CLOCK_BOOTTIME); monotonic time where the clock is not to be had."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
