"""One breaker for all starts: while the machine refuses processes, descriptors or disk blocks, they wait together.

A refused start is nobody's fault: it burns no restart. After a growing delay one bot is tried; each success lets the next
one go at once, a refusal makes all wait longer. When nobody waits any more the breaker is closed and the delay forgotten.
Pure but for the timer it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0

Start = Callable[[], bool]
"""Starts one bot; False when there was nothing to start after all."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Breaker:
    """Closed while all is well. Open: `waiting` holds the starts in their order, at most one of them is under way."""

    def __init__(self, call_later: Callable[[float, Callable[[], None]], Timer]) -> None:
        self.waiting: dict[str, Start] = {}
        self.refusals = 0
        """Starts that the system refused since the breaker opened."""
        self._call_later = call_later
        self._message = ""
        self._delay_s = 0.0
        self._probe: str | None = None
        self._timer: Timer | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether starts are held back."""
        return bool(self._delay_s)

    @property
    def problem(self) -> str:
        """Return what an operator should know, empty while the breaker is closed."""
        if not self.is_open:
            return ""
        count = len(self.waiting) + (self._probe is not None)
        counts = f"starts that wait: {count}, refused so far: {self.refusals}"
        return f"the system refuses new processes ({self._message}); {counts}; tried again by itself"

    def admits(self, bot: str) -> bool:
        """Tell whether a start of `bot` may be tried now."""
        return not self.is_open or self._probe == bot

    def hold(self, bot: str, start: Start) -> None:
        """Let a start wait for its turn."""
        self.waiting[bot] = start

    def refused(self, bot: str, message: str, start: Start) -> None:
        """Note that the system refused a start; it waits for its turn like the others."""
        self.waiting[bot] = start
        if self.is_open and self._probe != bot:
            return  # it was under way when the breaker opened: no new knowledge
        self._message = message
        self.refusals += 1
        self._probe = None
        self._delay_s = min(LONGEST_DELAY_S, self._delay_s * 2) if self.is_open else FIRST_DELAY_S
        self._plan(self._delay_s)

    def done(self, bot: str) -> None:
        """Note that a start came to its end without a refusal; if it was the one tried, the next may go."""
        if self._probe == bot:
            self._probe = None
            self._plan(0.0)

    def close(self) -> None:
        """Start nothing any more."""
        self.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _plan(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(delay_s, self._try_next)

    def _try_next(self) -> None:
        while self.waiting:
            bot = self._probe = next(iter(self.waiting))
            if self.waiting.pop(bot)():
                return
        self._probe, self._delay_s, self.refusals = None, 0.0, 0
