"""Stops in the reverse order of `depends_on`: who is stopped along with its dependents is asked when they are gone.

A dependent that hangs delays its dependency, it does not cost it its own stop: in `psv down` each level of the order has its share
of the time; in `psv stop` a dependent's own stop timeout and the kill that follows are waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.states import HAS_PROCESS, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.dependencies import Dependencies, named_by
from processsupervisor.supervisor.events import Event

_KILL_S = 3.0
"""What a dependent may need beyond its stop timeout: the kill of its tree."""


class Unwinding:
    """The stops of one fleet that wait for others."""

    def __init__(self, handles: Mapping[str, BotHandle], dependencies: Dependencies, is_going_down: Callable[[], bool]) -> None:
        self._handles = handles
        self._dependencies = dependencies
        self._is_going_down = is_going_down
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._ends_mono = float("inf")  # the end of the fleet, once it is on its way down

    def stop(self, handle: BotHandle) -> None:
        """Stop a bot that nobody wants up, after those of its dependents that nobody wants up either."""
        if self._before(handle):
            self._hold(handle, self._longest(handle, lambda h: float(h.spec["stop"]["timeout_s"]) + _KILL_S, {}))
        else:
            handle.stop()

    def stop_all(self, handles: Iterable[BotHandle], limit_s: float) -> None:
        """Stop all bots within `limit_s`; the levels of the order share it."""
        self._ends_mono = mono() + limit_s
        known: dict[str, float] = {}
        levels = {handle.name: self._longest(handle, lambda _: 1.0, known) for handle in handles}
        share_s = limit_s / (max(levels.values(), default=0) + 1)
        for name, level in levels.items():
            if level:
                self._hold(self._handles[name], share_s * level)
            else:
                self._handles[name].stop(within_s=limit_s)

    def on_event(self, event: Event) -> None:
        """Go on with those that waited for a bot that is gone."""
        if not self._held or event.get("kind") != "transition" or event.get("to") in HAS_PROCESS:
            return
        for entry in named_by(self._handles[str(event["bot"])]):
            other = self._handles.get(entry["bot"])
            if other is not None and other.name in self._held and not self._before(other):
                asyncio.get_running_loop().call_soon(self._go, other)  # the bot that is gone is in the middle of its own transition

    def close(self) -> None:
        """Stop nobody any more."""
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()

    def _before(self, handle: BotHandle) -> list[BotHandle]:
        """Return the dependents that are, or are to be, on their way down and still there."""
        dependents = [h for h in self._dependencies.dependents(handle.name) if h.life.state in HAS_PROCESS]
        is_down = self._is_going_down()
        return [h for h in dependents if is_down or h.wanted is Wanted.DOWN] if handle.life.state in HAS_PROCESS else []

    def _longest(self, handle: BotHandle, weigh: Callable[[BotHandle], float], known: dict[str, float]) -> float:
        """Return the weight of the longest way of those that go before `handle`; 0 = nobody does."""
        if handle.name not in known:
            ways = (weigh(before) + self._longest(before, weigh, known) for before in self._before(handle))
            known[handle.name] = max(ways, default=0.0)
        return known[handle.name]

    def _hold(self, handle: BotHandle, limit_s: float) -> None:
        self._drop(handle)
        self._held[handle.name] = asyncio.get_running_loop().call_later(limit_s, self._go, handle)

    def _drop(self, handle: BotHandle) -> bool:
        timer = self._held.pop(handle.name, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _go(self, handle: BotHandle) -> None:
        """Stop a bot whose turn has come, unless a newer command wants it up."""
        if self._drop(handle) and (handle.wanted is Wanted.DOWN or self._is_going_down()):
            handle.stop(within_s=self._ends_mono - mono())
