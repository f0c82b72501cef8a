"""The one writer of a bot's state: every change goes through the total table of kernel/states.py.

A refused pair changes nothing and is not an error here; the caller asks `can` first when a person must be told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.states import State, Trigger, next_state


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state. `at` is epoch seconds; `reason` is empty where none is needed."""

    bot: str
    at: float
    before: State
    after: State
    trigger: Trigger
    reason: str
    generation: int
    exit_code: int | None

    def facts(self) -> dict[str, object]:
        """Return what an event of it tells."""
        return {"bot": self.bot, "from": self.before, "to": self.after, "reason": self.reason, "at": self.at}


class Lifecycle:
    """State of one bot; `on_change` hears of every transition, synchronously and in order."""

    def __init__(self, bot: str, on_change: Callable[[Transition], None]) -> None:
        self._bot = bot
        self._on_change = on_change
        self.state = State.INITIALIZING
        self._waiters: list[asyncio.Future[None]] = []

    def can(self, trigger: Trigger) -> bool:
        """Tell whether `trigger` leads anywhere from here."""
        return next_state(self.state, trigger) is not None

    def fire(self, trigger: Trigger, *, generation: int, reason: str = "", exit_code: int | None = None) -> bool:
        """Apply a trigger; False when the table refuses it here."""
        target = next_state(self.state, trigger)
        if target is None:
            return False
        before, self.state = self.state, target
        self._on_change(Transition(self._bot, wall(), before, target, trigger, reason, generation, exit_code))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        return True

    async def wait_for(self, states: Iterable[State], timeout_s: float) -> bool:
        """Wait until the state is one of `states`; False at the deadline."""
        wanted = frozenset(states)
        return await self.wait_until(lambda: self.state in wanted, timeout_s)

    async def wait_until(self, is_so: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `is_so` holds, which is asked after every transition; False at the deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.remove(waiter)
        return is_so()
