"""Restart arithmetic: how long to wait before a restart and when restarts have become a crash loop. Pure.

`delay(0) = initial; delay(n) = uniform(0, min(max, base * factor**(n-1)))`, n = restarts since the bot last ran for
`stable_after`. Windows do not forget when a bot was stable. All times are monotonic seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` restarts `within_s` seconds."""

    count: int
    within_s: float


def delay_s(restarts: int, initial_s: float, base_s: float, factor: float, max_s: float) -> float:
    """Return the wait before the next start after `restarts` quick restarts; full jitter from the second on."""
    if restarts <= 0:
        return initial_s
    try:
        ceiling = min(max_s, base_s * factor ** (restarts - 1))
    except OverflowError:
        ceiling = max_s
    return random.uniform(0.0, ceiling)


def full_window(restart_times_s: Sequence[float], now_s: float, windows: Sequence[Window]) -> Window | None:
    """Return the first window that one more restart at `now_s` would overfill, or None."""
    for window in windows:
        recent = sum(1 for at in restart_times_s if now_s - at < window.within_s)
        if recent >= window.count:
            return window
    return None
