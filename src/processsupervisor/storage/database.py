"""A bot's database as its rooms use it: every method is one job of the writer, answered after its commit.

The file is opened by the first call, not by construction. What is promised: accept() is durable before it resolves,
complete() writes done, reply, values and reminders in one transaction and waits out a failing disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import OrderedDict
from pathlib import Path
from typing import TypeVar

from processsupervisor.storage import inbox, outbox, reminders, retention, values
from processsupervisor.storage.records import Accepted, Changes, Due, HistoryEntry, InboxRow, Incoming, Outgoing, Place
from processsupervisor.storage.schema import has_open_work
from processsupervisor.storage.writer import Writer

T = TypeVar("T")

_KNOWN_PLACES = 10_000
_TRIM_EVERY = 500
_TRIM_DONE_EVERY_S = 3600.0


class BotDatabase:
    """The bot.db at `path`. `exclusive` keeps every other process out (console runs)."""

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        self.path = path
        self.writer = Writer(path, exclusive=exclusive)
        self._known: OrderedDict[Place, None] = OrderedDict()
        """Places whose first contact is committed; only a cache, the table decides."""
        self._appended: dict[Place, int] = {}
        self._trimmed_mono = 0.0

    def has_open_work(self) -> bool:
        """Tell whether a start must open the file: unfinished messages or reminders to come."""
        return self.writer.is_started or has_open_work(self.path)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Commit what was submitted and close the file."""
        await self.writer.close(timeout_s)

    def accept(self, incoming: Incoming, statement: str) -> asyncio.Future[Accepted]:
        """Store a message; at first contact `statement` is stored before it. Raises StorageError, also through the future."""
        wording = None if incoming.place in self._known else statement
        future = self.writer.submit(lambda db: inbox.accept(db, incoming, wording))
        if wording is not None:
            future.add_done_callback(lambda done: self._remember(incoming.place, done))
        return future

    def _remember(self, place: Place, done: asyncio.Future[Accepted]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        self._known[place] = None
        if len(self._known) > _KNOWN_PLACES:
            self._known.popitem(last=False)

    def complete(self, row: InboxRow, reply: str | None, changes: Changes) -> asyncio.Future[Outgoing | None]:
        """Finish a message in one transaction; never fails for the disk's sake, it waits instead."""
        trim = self._due_for_trim(row.place)

        def work(db: sqlite3.Connection) -> Outgoing | None:
            out = inbox.complete(db, row, reply, changes)
            if trim:
                retention.trim_outbox(db, row.place)
                retention.trim_done(db, time.time())
            return out

        return self.writer.submit(work, sticky=True)

    def _due_for_trim(self, place: Place) -> bool:
        count = self._appended.get(place, 0) + 1
        old = time.monotonic() - self._trimmed_mono > _TRIM_DONE_EVERY_S
        if count < _TRIM_EVERY and not old:
            if len(self._appended) > _KNOWN_PLACES:
                self._appended.clear()  # the counts are only a hint of when to look
            self._appended[place] = count
            return False
        self._appended[place] = 0
        self._trimmed_mono = time.monotonic()
        return True

    async def draft(self, row: InboxRow) -> None:
        """Commit the id under which pieces of a reply will be shown, before the first is."""
        await self.writer.submit(lambda db: inbox.draft(db, row))

    async def unfinished(self) -> list[InboxRow]:
        """Return accepted messages without an end, oldest first."""
        return await self.writer.submit(inbox.unfinished)

    def count_attempt(self, row: InboxRow, by: int) -> asyncio.Future[None]:
        """Write down that this life begins (or gives back, -1) a message that an earlier one left."""
        return self.writer.submit(lambda db: inbox.count_attempt(db, row.row_id, by))

    async def consent(self, place: Place) -> str | None:
        """Return the recorded consent ("in", "out") of a place, or None."""
        return await self.writer.submit(lambda db: inbox.consent_of(db, place))

    async def send(self, out_id: str, place: Place, text: str) -> Outgoing | None:
        """Append an outbox row that answers nothing; None when the id exists."""
        return await self.writer.submit(lambda db: outbox.add_outgoing(db, out_id, place, None, text))

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows of a place behind `seq`; a `seq` of another file (higher than all) begins from the start."""
        if not self.is_used():
            return []
        return await self.writer.submit(lambda db: outbox.after(db, place, seq if seq <= outbox.last_seq(db) else 0, limit))

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides, oldest first; nothing when no message ever came."""
        return await self.writer.submit(lambda db: outbox.history(db, place, limit)) if self.is_used() else []

    def is_used(self) -> bool:
        """Tell whether there is anything to read, without making the file."""
        return self.writer.is_started or self.path.exists()

    async def add_reminder(self, due: Due) -> None:
        """Commit a reminder of its own, outside a message."""
        await self.writer.submit(lambda db: reminders.add_reminder(db, due))

    async def open_reminders(self, place: Place) -> int:
        """Return how many reminders of a place are to come."""
        return await self.writer.submit(lambda db: reminders.open_reminders(db, place))

    async def next_due_at(self) -> float | None:
        """Return when the next reminder is due (epoch seconds), None when there is none."""
        return await self.writer.submit(reminders.next_due_at)

    async def fire_due(self, now: float) -> list[Outgoing]:
        """Turn due reminders into outbox rows, at most 200; returns them."""
        return await self.writer.submit(lambda db: reminders.fire_due(db, now))

    async def read_value(self, scope: str, key: str) -> str | None:
        """Return the JSON text under a key."""
        return await self.writer.submit(lambda db: values.read_value(db, scope, key))

    async def read_keys(self, scope: str) -> list[str]:
        """Return all keys of a scope."""
        return await self.writer.submit(lambda db: values.read_keys(db, scope))

    async def write_values(self, changes: Changes) -> None:
        """Commit values outside a message."""

        def work(db: sqlite3.Connection) -> None:
            for (scope, key), value in changes.values.items():
                values.write_value(db, scope, key, value)

        await self.writer.submit(work)
