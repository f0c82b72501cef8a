"""The clock of everything in a bot's database that falls due: it wakes when the next thing can be due, and only then.

Times are wall clock, for they are a person's; a change of the system's clock is seen within 30 s. What fell due while the bot was away
fires at the start. A failing database only delays. That each thing happens once is the storage's promise, what happens is the owner's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import StorageError

_RETRY_S = 1.0
_AGAIN_S = 10.0
_log = logging.getLogger("processsupervisor.chat")


class DueClock:
    """Calls `fire(now)` when something can be due, and asks `next_at()` (epoch seconds, None for nothing to come) afterwards."""

    def __init__(self, what: str, fire: Callable[[float], Awaitable[None]], next_at: Callable[[], Awaitable[float | None]]) -> None:
        self._what = what
        """What falls due, as the log names it: "reminders"."""
        self._fire = fire
        self._ask_next_at = next_at
        self._next_at: float | None = None
        self._changed = asyncio.Event()
        self._may_fire = asyncio.Event()
        self._may_fire.set()

    def expect(self, due_at: float) -> None:
        """Note that something was committed for `due_at`."""
        if self._next_at is None or due_at < self._next_at:
            self._next_at = due_at
            self._changed.set()

    def pause(self) -> None:
        """Hold back what falls due."""
        self._may_fire.clear()

    def resume(self) -> None:
        """Fire again, first what fell due meanwhile."""
        self._may_fire.set()

    async def run(self, *, look_first: bool) -> None:
        """Fire for ever; `look_first` when the file may hold something of an earlier life."""
        if look_first:
            self._next_at = 0.0
        while True:
            wait_s = None if self._next_at is None else min(max(self._next_at - clock.wall(), 0.0), clock.look_again_s)
            if wait_s is None or wait_s > 0:
                await self._wait(wait_s)
                continue
            await self._may_fire.wait()
            try:
                await self._fire_due()
            except StorageError as err:
                _log.warning("%s wait for the database: %s", self._what, err)
                self._next_at = 0.0
                await asyncio.sleep(_RETRY_S)
            except Exception as err:  # noqa: BLE001 - the outermost loop of this task: a fault must not end all that is to come
                _log.error("%s failed; they are looked at again in %g s: %s", self._what, _AGAIN_S, type(err).__name__)
                self._next_at = 0.0
                await asyncio.sleep(_AGAIN_S)

    async def _wait(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _fire_due(self) -> None:
        await self._fire(clock.wall())
        self._next_at = None
        following = await self._ask_next_at()
        if following is not None:
            self.expect(following)
