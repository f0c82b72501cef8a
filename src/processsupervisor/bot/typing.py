"""Shows a person that an answer is being made, for as long as a handler runs: after half a second, then every 4 s.

Only where the network can show it. A quick handler costs a timer and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from processsupervisor.storage.records import Place

FIRST_S = 0.5
EVERY_S = 4.0

Show = Callable[[Place], Awaitable[None]]


class Typing:
    """One handler's sign; begun by construction, ended by end()."""

    __slots__ = ("_place", "_show", "_task", "_timer")

    def __init__(self, place: Place, show: Show) -> None:
        self._place = place
        self._show = show
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(FIRST_S, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():  # a network that hangs gets no second call
            self._task = loop.create_task(self._call())
        self._timer = loop.call_later(EVERY_S, self._tick)

    async def _call(self) -> None:
        async with asyncio.timeout(EVERY_S):
            await self._show(self._place)

    def end(self) -> None:
        """Show it no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
