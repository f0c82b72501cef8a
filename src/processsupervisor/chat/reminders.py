"""The reminder clock: publishes what is due in the database, also what fell due while the bot was away.

Exactly one outbox row a reminder is the storage's promise.
"""

from __future__ import annotations

from collections.abc import Callable

from processsupervisor.chat.timers import DueClock
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Outgoing


class ReminderClock(DueClock):
    """Publishes due reminders of one database; wakes only when one can be due."""

    def __init__(self, database: BotDatabase, publish: Callable[[Outgoing], None]) -> None:
        async def fire(now: float) -> None:
            for out in await database.fire_due(now):
                publish(out)

        super().__init__("reminders", fire, database.next_due_at)
