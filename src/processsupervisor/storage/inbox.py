"""The inbox's statements: accept once per network id, claim what is open, finish once. They run inside a job.

The statement that a program answers (the disclosure) is committed with the first accepted message of a private conversation, or with
the bot's joining of a room, so that no order of kills can let a reply come before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from processsupervisor.kernel import clock
from processsupervisor.storage import dialogs, letters, timers
from processsupervisor.storage.contacts import meet
from processsupervisor.storage.conversations import (
    Facts,
    Owner,
    consent_of,
    disclosed,
    place_now,
    say_consent,
    standing,
    touch,
    write_values,
)
from processsupervisor.storage.cursors import write_cursor
from processsupervisor.storage.encoding import pack_envelope
from processsupervisor.storage.outbox import add_outgoing, by_ids
from processsupervisor.storage.records import (
    Accepted,
    Changes,
    Consent,
    InboxRow,
    Incoming,
    Kind,
    Outcome,
    Outgoing,
    Place,
    Reply,
    RoomKind,
    SendState,
)  # fmt: skip
from processsupervisor.storage.reminders import add_reminder
from processsupervisor.storage.rows import COLUMNS, INSERT, OPEN, STATES, inbox_row
from processsupervisor.storage.values import are_current

_OPEN_ROWS = (
    f"SELECT {COLUMNS}, c.lease_owner, c.lease_until FROM inbox i LEFT JOIN conversations c "
    "ON c.network = i.network AND c.conversation = i.conversation WHERE i.state = 0 ORDER BY i.id"
)
_HELD_ROWS = (
    f"SELECT {COLUMNS}, c.fence, c.moved_to FROM inbox i JOIN conversations c ON c.network = i.network AND c.conversation = i.conversation "
    "WHERE i.state = 0 AND c.lease_owner = ? ORDER BY i.id"
)
_UNSENT = "SELECT 1 FROM outbox WHERE network = ? AND conversation = ? AND state IN (0, 2) LIMIT 1"
StateOf = Callable[[Place], SendState]


class Arrival(NamedTuple):
    """A message on its way in, and what the caller knows already: `fence` is that of a claim that holds (0: to be claimed)."""

    incoming: Incoming
    statement: str | None
    opens: bool = True
    fence: int = 0
    is_known_person: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a message ends. `also` are further messages that end with it (several that were answered as one), in the same commit.

    `state` is how its replies begin, None: as the network of each says. `tries` is how often it was run in this life.
    """

    outcome: Outcome = Outcome.DONE
    reason: str = ""
    detail: str = ""
    state: SendState | None = None
    tries: int = 1
    also: tuple[InboxRow, ...] = ()


def accept(connection: sqlite3.Connection, arrival: Arrival, owner: Owner, state_of: StateOf) -> tuple[Accepted, int]:
    """Store a message unless its network id is known in its place; returns the fence of a claim beside it that holds for the next too."""
    incoming, now = arrival.incoming, clock.wall()
    place, envelope = incoming.place, incoming.envelope
    if incoming.cursor is not None:
        write_cursor(connection, place.network, incoming.cursor)
    state = OPEN if arrival.opens else STATES[Outcome.IGNORED]
    told = (incoming.sender, incoming.text, now, state, incoming.kind.value, pack_envelope(envelope))
    found = connection.execute(INSERT, (place.network, incoming.id, place.conversation, *told)).fetchone()
    if found is None:
        return Accepted(None, None), 0
    row_id = int(found[0])
    if not arrival.is_known_person and incoming.sender:
        meet(connection, place.network, incoming.sender, envelope.sender_name, envelope.locale)
    fence, moved_to, first = arrival.fence, None, None
    if not fence:
        facts = Facts(envelope.room, envelope.title, incoming.kind is not Kind.LEFT)
        fence, is_disclosed, moved_to = touch(connection, place, owner, facts)
        if arrival.statement is not None and _is_first(incoming, is_disclosed):
            disclosed(connection, place)
            first = add_outgoing(connection, f"program-{row_id}", place, None, Reply(arrival.statement), state_of(place))
    if not arrival.opens:
        return Accepted(None, first), fence
    row = InboxRow(row_id, place, incoming.id, incoming.sender, incoming.text, now, 0, incoming.kind, envelope, fence, moved_to)
    return Accepted(row, first), 0 if moved_to is not None else fence


def _is_first(incoming: Incoming, is_disclosed: bool) -> bool:
    if incoming.envelope.room is RoomKind.PRIVATE:
        return not is_disclosed and incoming.kind is not Kind.LEFT
    return incoming.kind is Kind.JOINED


def claim(connection: sqlite3.Connection, limit: int, owner: Owner) -> list[InboxRow]:
    """Claim conversations with open messages that nobody works on and return all of those, oldest first.

    No conversation is taken in part, so there may be more than `limit`; whoever calls again gets the others, in the end none.
    """
    over = owner.over_before(clock.wall())
    chosen: dict[Place, list[InboxRow]] = {}
    count = 0
    for *columns, lease_owner, lease_until in connection.execute(_OPEN_ROWS).fetchall():
        row = inbox_row(columns)
        if lease_owner is not None and (lease_owner == owner.name or lease_until >= over):
            continue
        if row.place not in chosen and count >= limit:
            continue
        chosen.setdefault(row.place, []).append(row)
        count += 1
    found: list[InboxRow] = []
    for place, rows in chosen.items():
        claimed = touch(connection, place, owner, None)
        found += (replace(row, fence=claimed.fence, moved_to=claimed.moved_to) for row in rows)
    return sorted(found, key=lambda row: row.row_id)


def held(connection: sqlite3.Connection, owner: Owner) -> tuple[list[InboxRow], list[Outgoing]]:
    """Return the open messages of conversations that are claimed for `owner`, oldest first, and the statements kept with them."""
    rows = []
    for *columns, fence, moved_to in connection.execute(_HELD_ROWS, (owner.name,)).fetchall():
        row = inbox_row(columns)
        rows.append(replace(row, fence=fence, moved_to=None if moved_to is None else Place(row.place.network, moved_to)))
    return rows, by_ids(connection, (f"program-{row.row_id}" for row in rows))


def complete(
    connection: sqlite3.Connection, row: InboxRow, replies: Sequence[Reply], changes: Changes, ending: Ending, state_of: StateOf
) -> list[Outgoing] | None:
    """End a message and write everything that handling it caused; with an old fence, or for the second time, change nothing.

    None when what it read and changes is not what it was any more: then nothing is written either, and the message is still open.
    """
    fence, place = standing(connection, row.place)
    if not fence or fence != row.fence:
        return []
    if changes.reads and _is_open(connection, row) and not are_current(connection, changes):
        return None
    if not _end(connection, row, ending.outcome):
        return []
    ended = [*(other for other in ending.also if _end(connection, other, ending.outcome)), row]
    if ending.outcome is Outcome.DEAD:
        for one in ended:
            letters.write_letter(connection, one, ending.reason, ending.detail, one.attempts + ending.tries)
    drafted = connection.execute("DELETE FROM drafts WHERE id = ?", (row.reply_id,)).rowcount
    _write_changes(connection, row, changes)
    state = ending.state if ending.state is not None else state_of(place)
    if drafted and not replies and state is SendState.SHOWN:
        replies = (Reply(""),)  # what readers saw growing has to end
    written = []
    for number, reply in enumerate(replies, 1):
        out_id = row.reply_id if number == 1 else f"{row.reply_id}.{number}"
        written.append(add_outgoing(connection, out_id, place, row.id, reply, state))
    for number, (there, reply) in enumerate(changes.sends, 1):
        if there != row.place and not _may_write_first(connection, there):
            continue
        there = standing(connection, there)[1]
        written.append(add_outgoing(connection, f"s{row.row_id}.{number}", there, None, reply, state_of(there)))
    return [out for out in written if out is not None]


def written(connection: sqlite3.Connection, row: InboxRow, replies: int, sends: int) -> list[Outgoing]:
    """Return what ending a message has written, in a commit that was not known to have taken place."""
    ids = [row.reply_id, *(f"{row.reply_id}.{number}" for number in range(2, replies + 1))]
    return by_ids(connection, [*ids, *(f"s{row.row_id}.{number}" for number in range(1, sends + 1))])


def _may_write_first(connection: sqlite3.Connection, place: Place) -> bool:
    """Tell whether a contact still agrees: a handler that wrote to many may have looked a while ago."""
    return consent_of(connection, place) == Consent.OPTED_IN


def _is_open(connection: sqlite3.Connection, row: InboxRow) -> bool:
    return connection.execute("SELECT 1 FROM inbox WHERE id = ? AND state = 0", (row.row_id,)).fetchone() is not None


def _end(connection: sqlite3.Connection, row: InboxRow, outcome: Outcome) -> bool:
    return connection.execute("UPDATE inbox SET state = ? WHERE id = ? AND state = 0", (STATES[outcome], row.row_id)).rowcount > 0


def _write_changes(connection: sqlite3.Connection, row: InboxRow, changes: Changes) -> None:
    write_values(connection, changes)
    for due in changes.reminders:
        add_reminder(connection, due)
    if changes.consent is not None:
        say_consent(connection, row.place, changes.consent, row.row_id)
    for cancelled in changes.cancelled_timers:
        timers.cancel_timer(connection, *cancelled)
    for timer in changes.timers:
        timers.set_timer(connection, timer)
    if changes.ends_dialog:
        dialogs.end_dialog(connection, row.place)
    if changes.dialog is not None:
        dialogs.save_dialog(connection, changes.dialog)


def draft(connection: sqlite3.Connection, row: InboxRow) -> bool:
    """Write down that pieces of the row's reply are about to be shown under its id; False when something is still to be sent there."""
    connection.execute(
        "INSERT INTO drafts (id, inbox_id, created_at) VALUES (?,?,?) ON CONFLICT (id) DO NOTHING", (row.reply_id, row.row_id, clock.wall())
    )
    return connection.execute(_UNSENT, place_now(connection, row.place)).fetchone() is None


def count_attempt(connection: sqlite3.Connection, row_id: int, by: int) -> None:
    """Add `by` to the lives that began this message after a crash."""
    connection.execute("UPDATE inbox SET attempts = CASE WHEN attempts + ? < 0 THEN 0 ELSE attempts + ? END WHERE id = ?", (by, by, row_id))
