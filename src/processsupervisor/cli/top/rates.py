"""Figures that need a past: messages a minute, and the small picture of CPU. Pure; the caller brings the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

WINDOW_S = 60.0
_LEAST_S = 10.0
"""Before that much is known, a rate would be a guess."""
_BARS = "▁▂▃▄▅▆▇█"
_STEPS = (1.0, 3.0, 6.0, 12.0, 25.0, 50.0, 90.0)
"""Percent of a core from which each bar stands: the same for all bots, so that they can be compared, and fine where bots mostly are."""


class Rate:
    """Messages a minute of one bot, out of a counter that begins anew with each generation."""

    def __init__(self) -> None:
        self._total = 0
        self._last: tuple[int, int] | None = None
        self._points: deque[tuple[float, int]] = deque()

    def take(self, at_s: float, generation: int, count: int | None) -> None:
        """Note what the counter said at a monotonic time; None while nobody counts."""
        if count is None:
            return
        if self._last is not None:
            # What an ended generation handled behind its last beat is not known, and not counted.
            self._total += max(0, count - self._last[1]) if generation == self._last[0] else count
        self._last = generation, count
        self._points.append((at_s, self._total))
        while len(self._points) > 2 and self._points[1][0] <= at_s - WINDOW_S:
            self._points.popleft()

    def per_minute(self, at_s: float) -> float | None:
        """Return the messages of the last minute; scaled to a minute while less is known, None for less than ten seconds or no counter."""
        if not self._points or at_s - self._points[0][0] < _LEAST_S:
            return None
        return 60.0 * (self._points[-1][1] - self._points[0][1]) / (at_s - self._points[0][0])


def bars(values: Iterable[float | None], width: int) -> str:
    """Return the last `width` values of CPU (percent of a core) as one bar each, the newest at the right; a gap where nothing is known."""
    newest = list(values)[-width:] if width > 0 else []
    return "".join(" " if value is None else _BARS[sum(value >= step for step in _STEPS)] for value in newest).rjust(width)
