"""The bot's own getUpdates: it waits for the backlog, and a second poll of the same stand-in sends the first away.

The rules are Telegram's: only a poll that has to wait sends another away, and a further 409 within three seconds comes three seconds late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from processsupervisor.kernel.clock import mono
from processsupervisor.web.botapi.values import Json, Told

CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
MOST_TIMEOUT_S = 50
_PAUSE_S = 3.0


class _Brake:
    """Lets an error through at once, and the next one within _PAUSE_S only after that time."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def pass_(self) -> None:
        if mono() < self._free_at:
            await asyncio.sleep(_PAUSE_S)
        self._free_at = mono() + _PAUSE_S


class Polls:
    """The one poll of a bot that may be under way."""

    def __init__(self, take: Callable[[int, int, bool], Awaitable[list[Json]]], problem: Callable[[], Told | None]) -> None:
        self._take = take
        self._problem = problem
        self._waiting: asyncio.Future[bool] | None = None
        self._woken = 0
        self._conflicts = _Brake()
        self._problems = _Brake()

    def wake(self) -> None:
        """Have the poll under way look again."""
        self._woken += 1
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(True)

    async def get_updates(self, offset: int, limit: int, timeout_s: int) -> list[Json]:
        """Return updates, waiting for some. Raises Told (409) when another poll came, and what the intake's problem is."""
        until = mono() + min(timeout_s, MOST_TIMEOUT_S)
        begins = True
        while True:
            seen = self._woken
            updates = await self._take(offset, limit, begins)
            begins = False
            if updates:
                return updates
            if (problem := self._problem()) is not None:
                await self._problems.pass_()
                raise problem
            if mono() >= until:
                return []
            if self._woken == seen and not await self._wait(until):
                await self._conflicts.pass_()
                raise Told(409, CONFLICT)

    async def _wait(self, until: float) -> bool:
        """Wait until something came or the time is over; False when another poll took the place."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(False)
        mine = self._waiting = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({mine}, timeout=until - mono())
            return mine.result() if mine.done() else True
        finally:
            mine.cancel()
            if self._waiting is mine:
                self._waiting = None
