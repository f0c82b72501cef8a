"""The database's methods for what comes later: reminders, timers, dialogs. The statements stand in files of those names."""

from __future__ import annotations

import sqlite3

from processsupervisor.storage import dialogs, outbox, reminders, timers
from processsupervisor.storage.jobs import Jobs
from processsupervisor.storage.records import DialogState, Due, InboxRow, Outgoing, Place, Reply, Timer
from processsupervisor.storage.timers import Following, every


class PlanJobs(Jobs):
    """Times are wall clock, epoch seconds."""

    async def add_reminder(self, due: Due) -> None:
        """Commit a reminder of its own, outside a message."""
        await self.run(lambda db: reminders.add_reminder(db, due))

    async def open_reminders(self, place: Place) -> int:
        """Return how many reminders of a place are to come."""
        return await self.run(lambda db: reminders.open_reminders(db, place))

    async def next_due_at(self) -> float | None:
        """Return when the next reminder is due, None when there is none."""
        return await self.run(reminders.next_due_at)

    async def fire_due(self, now: float) -> list[Outgoing]:
        """Turn due reminders into outbox rows, at most 200; returns them. Waits out a failing disk."""
        before: list[str] = []

        def work(db: sqlite3.Connection) -> list[Outgoing]:
            fired = [*outbox.by_ids(db, before), *reminders.fire_due(db, now, self.state_of)]
            before[:] = (out.id for out in fired)
            return fired

        return await self.writer.submit(work, sticky=True)

    async def set_timer(self, timer: Timer) -> None:
        """Commit a timer outside a message, in place of one of the same name."""
        await self.run(lambda db: timers.set_timer(db, timer))

    async def cancel_timer(self, place: Place, name: str) -> bool:
        """Forget a timer; False when there was none."""
        return await self.run(lambda db: timers.cancel_timer(db, place, name))

    async def timers(self, within: Place | str | None = None) -> list[Timer]:
        """Return the timers of a place, of a whole network, or all, in order of their times."""
        return await self.run(lambda db: timers.timers(db, within))

    async def next_timer_at(self, but: str = "") -> float | None:
        """Return when the next timer is due, None when there is none; those of the name `but` are left out."""
        return await self.run(lambda db: timers.next_timer_at(db, but))

    async def fire_timers(self, now: float, following: Following = every, but: str = "") -> list[InboxRow]:
        """Turn due timers into claimed inbox rows, at most 200; `following` says when one with a rule is due again, and must not raise.

        Those of the name `but` are left for later.
        """
        return await self.run(lambda db: timers.fire_timers(db, now, self.owner, following, but))

    async def save_dialog(self, state: DialogState) -> None:
        """Commit what a waiting handler needs to go on, outside a message."""
        await self.run(lambda db: dialogs.save_dialog(db, state))

    async def end_dialog(self, place: Place) -> bool:
        """Forget the dialog of a conversation; False when there was none."""
        return await self.run(lambda db: dialogs.end_dialog(db, place))

    async def dialog(self, place: Place) -> DialogState | None:
        """Return the dialog of a conversation."""
        return await self.run(lambda db: dialogs.dialog(db, place))

    async def dialog_places(self) -> list[Place]:
        """Return every conversation that has a dialog."""
        return await self.run(dialogs.dialog_places)

    async def forget_dialogs(self, keep: int, sentence: str) -> list[Outgoing]:
        """End dialogs beyond the `keep` newest, at most 200, each with the sentence to its conversation; returns those rows."""
        return await self.run(lambda db: dialogs.forget_dialogs(db, keep, Reply(sentence), self.state_of))
