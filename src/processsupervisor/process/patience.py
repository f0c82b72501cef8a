"""Deadlines that only run while psvd does: the time it was stopped, starved or suspended does not count against a bot.

After such a stall every timer of a loop is overdue at once, often before the loop has read what came meanwhile: a bot that had
said ready in time would be killed for being late. So a deadline is counted down in steps, a step counts once however late it
comes, and the step after a stall is always waited for. No clock is asked; without a deadline nothing ticks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STEP_S = 1.0
STALLED_S = 0.5
"""So late, a step tells of a stall. A loop that is merely busy is late by less."""


class Countdown:
    """One deadline; `act` is called once, when psvd has been running for `delay_s`, unless `cancel` comes first."""

    __slots__ = ("_act", "_due", "_left_s", "_timer")

    def __init__(self, delay_s: float, act: Callable[[], object]) -> None:
        self._act = act
        self._left_s = delay_s
        self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        step_s = min(self._left_s, STEP_S)
        self._left_s -= step_s
        self._due = loop.time() + step_s
        self._timer = loop.call_at(self._due, self._on_step)

    def _on_step(self) -> None:
        if self._left_s <= 0 and asyncio.get_running_loop().time() - self._due > STALLED_S:
            self._left_s = STEP_S  # what came while we were away is read before anybody is judged
        if self._left_s > 0:
            self._wait()
        else:
            self._act()

    def cancel(self) -> None:
        """Call nothing any more; doing it twice does nothing."""
        self._timer.cancel()


class Alarm:
    """At most one thing that is to happen by itself; setting another one takes the place of the first."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | Countdown | None = None

    def judge(self, delay_s: float, act: Callable[[], object]) -> None:
        """Call `act` when psvd has been running for `delay_s`."""
        self.clear()
        self._timer = Countdown(delay_s, act)

    def later(self, delay_s: float, act: Callable[[], object]) -> None:
        """Call `act` after `delay_s`, whatever psvd did meanwhile."""
        self.clear()
        self._timer = asyncio.get_running_loop().call_later(delay_s, act)

    def clear(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def wait_patiently(event: asyncio.Event, patience_s: float) -> bool:
    """Wait for `event` and tell whether it came before psvd had been running for `patience_s`."""
    is_over = asyncio.Event()
    countdown = Countdown(patience_s, is_over.set)
    waits = [asyncio.ensure_future(e.wait()) for e in (event, is_over)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set()
    finally:
        countdown.cancel()
        for wait in waits:
            wait.cancel()
