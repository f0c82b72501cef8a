"""A bot's database as its rooms use it: every method is one job of the writer, answered after its commit.

The file is opened by the first call, not by construction. What is promised: accept() is durable before it resolves,
complete() writes done, replies, values and whatever else a message caused in one transaction and waits out a failing disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from processsupervisor.kernel import clock
from processsupervisor.storage import contacts, conversations, inbox, letters, outbox, retention, rows, values
from processsupervisor.storage.alone import Alone
from processsupervisor.storage.conversations import LEASE_S, Facts
from processsupervisor.storage.inbox import Arrival, Ending
from processsupervisor.storage.jobs import Submits
from processsupervisor.storage.known import ContactRow, ConversationRow, DeadLetter, HistoryEntry
from processsupervisor.storage.planjobs import PlanJobs
from processsupervisor.storage.records import Accepted, Changes, InboxRow, Incoming, Kind, Outcome, Outgoing, Place, Reply, SendState
from processsupervisor.storage.schema import has_open_work
from processsupervisor.storage.sendjobs import SendJobs

_KNOWN = 2000  # 1 KB each, of the budget of a bot's memory
_TRIM_EVERY = 500
_TRIM_DONE_EVERY_S = 3600.0


class _Held(NamedTuple):
    """A claim of ours that is committed, and what the conversation said of itself then."""

    fence: int
    facts: Facts
    renew_mono: float


class BotDatabase(SendJobs, PlanJobs):
    """The bot.db at `path`."""

    def __init__(self, path: Path, *, exclusive: bool = False, writer: Submits | None = None) -> None:
        super().__init__(path, exclusive=exclusive, writer=writer)
        self._held: OrderedDict[Place, _Held] = OrderedDict()
        """Only a cache, which spares the next message of a place a statement; the table decides."""
        self._people: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        """Name and locale as they are committed, by network and identity: a cache as well."""
        self._turned = 0
        """Raised by whatever makes a claim that is being committed now untrue for the cache."""
        self._appended: dict[Place, int] = {}
        self._trimmed_mono = 0.0
        self.alone = Alone()
        """Who has values of the whole bot to itself."""

    def has_open_work(self) -> bool:
        """Tell whether a start must open the file: messages to handle or to send, or something that comes due."""
        return self.writer.is_started or has_open_work(self.path)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Commit what was submitted and close the file."""
        await self.writer.close(timeout_s)

    # --- messages ----------------------------------------------------------------------------------------------------

    def accept(self, incoming: Incoming, statement: str | None, *, opens: bool = True) -> asyncio.Future[Accepted]:
        """Store a message, its sender, what it says of its conversation and its cursor, and claim the conversation.

        `statement` is stored before it where the disclosure is due: a private conversation that has none, a room that the bot joined.
        `opens` False keeps it as IGNORED, with nothing to handle: Accepted.row is None then, as it is for a repeat. A row with fence 0
        belongs to another process. Raises StorageError, also through the future.
        """
        place, envelope = incoming.place, incoming.envelope
        facts = Facts(envelope.room, envelope.title, incoming.kind is not Kind.LEFT)
        if incoming.kind is Kind.LEFT:
            self._forget(place)  # whatever comes behind it makes the place reachable again, and has to say so
        held = self._held.get(place)
        fence = 0
        if held is not None and held.facts == facts and clock.mono() < held.renew_mono and incoming.kind is not Kind.JOINED:
            fence = held.fence
        person, told = (place.network, incoming.sender), (envelope.sender_name, envelope.locale)
        is_known = fence != 0 and self._people.get(person) == told
        arrival = Arrival(incoming, statement, opens, fence, is_known)
        learnt: list[int] = []

        def work(db: sqlite3.Connection) -> Accepted:
            accepted, claimed = inbox.accept(db, arrival, self.owner, self.state_of)
            learnt[:] = [claimed]
            return accepted

        future = self.writer.submit(work)
        if not is_known:
            turned = self._turned

            def remember(done: asyncio.Future[Accepted]) -> None:
                if done.cancelled() or done.exception() is not None or not learnt[0] or turned != self._turned:
                    return
                self._held[place] = _Held(learnt[0], facts, clock.mono() + LEASE_S / 2)
                self._people[person] = told
                for cache in (self._held, self._people):
                    if len(cache) > _KNOWN:
                        cache.popitem(last=False)

            future.add_done_callback(remember)
        return future

    def complete(
        self, row: InboxRow, replies: Sequence[Reply], changes: Changes, *, outcome: Outcome = Outcome.DONE, reason: str = "",
        detail: str = "", state: SendState | None = None, tries: int = 1, also: Sequence[InboxRow] = (),
    ) -> asyncio.Future[list[Outgoing] | None]:  # fmt: skip
        """End a message in one transaction; never fails for the disk's sake, it waits instead. [] when it was not ours to end.

        None when a value in `changes.reads` that it changes is another one by now: nothing is written, the message has to run again.
        Replies get the ids r{row}, r{row}.2 …, `changes.sends` s{row}.1 …. `outcome` DEAD keeps a letter with `reason`, `detail` and
        how often it was tried. `also` end with it, in the same commit. `state` None: the replies begin as their network asks for.
        """
        trim = self._due_for_trim(row.place)
        self.note_buttons(row.place, replies)
        for place, reply in changes.sends:
            self.note_buttons(place, [reply])
        ending = Ending(outcome, reason, detail, state, tries, tuple(also))

        is_repeat = False

        def work(db: sqlite3.Connection) -> list[Outgoing] | None:
            nonlocal is_repeat
            written = inbox.complete(db, row, replies, changes, ending, self.state_of)
            if written is None:
                return None
            if is_repeat and not written:
                written = inbox.written(db, row, len(replies), len(changes.sends))
            is_repeat = True
            if trim:
                retention.trim_outbox(db, row.place)
                retention.trim_done(db, clock.wall())
            return written

        return self.writer.submit(work, sticky=True)

    def _due_for_trim(self, place: Place) -> bool:
        count = self._appended.get(place, 0) + 1
        old = clock.mono() - self._trimmed_mono > _TRIM_DONE_EVERY_S
        if count < _TRIM_EVERY and not old:
            if len(self._appended) > _KNOWN:
                self._appended.clear()  # the counts are only a hint of when to look
            self._appended[place] = count
            return False
        self._appended[place] = 0
        self._trimmed_mono = clock.mono()
        return True

    async def draft(self, row: InboxRow) -> bool:
        """Commit the id under which pieces of a reply will be shown, before the first is; False: what was said before comes first."""
        return await self.run(lambda db: inbox.draft(db, row))

    async def claim(self, limit: int = 10_000) -> list[InboxRow]:
        """Claim open messages that nobody works on, oldest first, whole conversations at a time; again, until there are none."""
        return await self.run(lambda db: inbox.claim(db, limit, self.owner))

    def held(self) -> asyncio.Future[tuple[list[InboxRow], list[Outgoing]]]:
        """Return every open message that this process has claimed, oldest first, and the statements that were kept with them."""
        return self.writer.submit(lambda db: inbox.held(db, self.owner), sticky=True)

    async def enqueue(self, place: Place, name: str, sender: str, text: str, kind: Kind = Kind.SCHEDULE) -> InboxRow | None:
        """Commit a message of the bot's own making, claimed; None when `name` was used in its place before."""
        return await self.run(lambda db: rows.enqueue(db, place, name, sender, text, kind, self.owner))

    def count_attempt(self, row: InboxRow, by: int) -> asyncio.Future[None]:
        """Write down that this life begins (or gives back, -1) a message that an earlier one left."""
        return self.writer.submit(lambda db: inbox.count_attempt(db, row.row_id, by))

    # --- dead letters ------------------------------------------------------------------------------------------------

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Return messages that were given up, newest first."""
        return await self.run(lambda db: letters.dead_letters(db, limit)) if self.is_used() else []

    async def dead_letter(self, row_id: int) -> DeadLetter | None:
        """Return one of them."""
        return await self.run(lambda db: letters.dead_letter(db, row_id)) if self.is_used() else None

    async def replay(self, row_id: int) -> InboxRow | None:
        """Open a dead message again under a new number, claimed; None when there is no such letter."""
        return await self.run(lambda db: letters.replay(db, row_id, self.owner)) if self.is_used() else None

    async def drop_letter(self, row_id: int) -> bool:
        """Forget a letter; False when there is none."""
        return await self.run(lambda db: letters.drop_letter(db, row_id)) if self.is_used() else False

    # --- conversations -----------------------------------------------------------------------------------------------

    async def conversation(self, place: Place) -> ConversationRow | None:
        """Return what is known of a conversation."""
        return await self.run(lambda db: conversations.find(db, place))

    async def agreed(self, behind: Place, limit: int) -> list[ConversationRow]:
        """Return conversations that agreed to messages sent first and can be reached, in order, from behind a place on."""
        return await self.run(lambda db: conversations.agreed(db, behind, limit))

    async def contact(self, network: str, identity: str) -> ContactRow | None:
        """Return the person behind an identity."""
        return await self.run(lambda db: contacts.find(db, network, identity))

    async def consent(self, place: Place) -> str | None:
        """Return the recorded consent ("in", "out") of a place, or None."""
        return await self.run(lambda db: conversations.consent_of(db, place))

    def set_reachable(self, place: Place, is_reachable: bool) -> asyncio.Future[None]:
        """Commit whether the network lets us write there."""
        self._forget(place)
        return self.writer.submit(lambda db: conversations.set_reachable(db, place, is_reachable), sticky=True)

    def move_place(self, old: Place, new: Place) -> asyncio.Future[None]:
        """Commit that a conversation has another id now: what is to be sent, values, dialog, timers and reminders go there.

        Messages of the old id that are being handled end as ever; what they cause goes to the new place.
        """
        self._forget(old)
        self._forget(new)
        return self.writer.submit(lambda db: conversations.move(db, old, new), sticky=True)

    def _forget(self, place: Place) -> None:
        self._held.pop(place, None)
        self._turned += 1

    # --- what readers see --------------------------------------------------------------------------------------------

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows of a place behind `seq`; a `seq` of another file (higher than all) begins from the start."""
        if not self.is_used():
            return []
        return await self.run(lambda db: outbox.after(db, place, seq if seq <= outbox.last_seq(db) else 0, limit))

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides, oldest first; nothing when no message ever came."""
        return await self.run(lambda db: outbox.history(db, place, limit)) if self.is_used() else []

    # --- values ------------------------------------------------------------------------------------------------------

    async def read_value(self, scope: str, key: str) -> str | None:
        """Return the JSON text under a key."""
        return await self.run(lambda db: values.read_value(db, conversations.scope_now(db, scope), key))

    async def read_keys(self, scope: str) -> list[str]:
        """Return all keys of a scope."""
        return await self.run(lambda db: values.read_keys(db, conversations.scope_now(db, scope)))

    async def swap_value(self, scope: str, key: str, was: str | None, text: str | None) -> tuple[bool, str | None]:
        """Commit JSON text under a key if it is still `was` (None: missing); returns whether, and what is there now."""
        return await self.run(lambda db: values.swap_value(db, conversations.scope_now(db, scope), key, was, text))

    async def write_values(self, changes: Changes) -> None:
        """Commit values outside a message."""
        await self.run(lambda db: conversations.write_values(db, changes))
