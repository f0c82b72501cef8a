"""The reminder clock: fires what is due in the database, also what fell due while the bot was away.

Times are wall clock, for they are a person's. The next one is kept in memory; a change of the system's clock is seen
within 30 s. A failing database only delays. Exactly one outbox row a reminder is the storage's promise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Outgoing

_LOOK_AGAIN_S = 30.0
_RETRY_S = 1.0
_log = logging.getLogger("processsupervisor.chat")


class ReminderClock:
    """Publishes due reminders of one database; wakes only when one can be due."""

    def __init__(self, database: BotDatabase, publish: Callable[[Outgoing], None]) -> None:
        self._database = database
        self._publish = publish
        self._next_at: float | None = None
        self._changed = asyncio.Event()
        self._may_fire = asyncio.Event()
        self._may_fire.set()

    def expect(self, due_at: float) -> None:
        """Note that a reminder was committed for `due_at`."""
        if self._next_at is None or due_at < self._next_at:
            self._next_at = due_at
            self._changed.set()

    def pause(self) -> None:
        """Hold reminders back."""
        self._may_fire.clear()

    def resume(self) -> None:
        """Fire again, first what fell due meanwhile."""
        self._may_fire.set()

    async def run(self, *, look_first: bool) -> None:
        """Fire for ever; `look_first` when the file may hold reminders of an earlier life."""
        if look_first:
            self._next_at = 0.0
        while True:
            wait_s = None if self._next_at is None else min(max(self._next_at - clock.wall(), 0.0), _LOOK_AGAIN_S)
            if wait_s is None or wait_s > 0:
                await self._wait(wait_s)
                continue
            await self._may_fire.wait()
            try:
                await self._fire()
            except StorageError as err:
                _log.warning("reminders wait for the database: %s", err)
                self._next_at = 0.0
                await asyncio.sleep(_RETRY_S)

    async def _wait(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _fire(self) -> None:
        fired = await self._database.fire_due(clock.wall())
        for out in fired:
            self._publish(out)
        self._next_at = None
        following = await self._database.next_due_at()
        if following is not None:
            self.expect(following)
