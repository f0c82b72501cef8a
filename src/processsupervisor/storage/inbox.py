"""The inbox's statements: accept once per network id, finish once, and what is unfinished. They run inside a job.

The statement that a program answers (the disclosure) is committed with the first accepted message of a conversation, so
that no order of kills can let a reply come before it.
"""

from __future__ import annotations

import sqlite3
import time

from processsupervisor.storage.outbox import add_outgoing
from processsupervisor.storage.records import Accepted, Changes, InboxRow, Incoming, Outgoing, Place
from processsupervisor.storage.reminders import add_reminder
from processsupervisor.storage.values import write_value

OPEN, DONE = 0, 1

_INSERT = "INSERT INTO inbox (network, network_id, conversation, sender, text, received_at) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_FIRST = "INSERT INTO conversations (network, conversation, first_at) VALUES (?,?,?) ON CONFLICT DO NOTHING"
_UNFINISHED = "SELECT id, network, conversation, network_id, sender, text, received_at, attempts FROM inbox WHERE state = 0 ORDER BY id"


def accept(connection: sqlite3.Connection, incoming: Incoming, statement: str | None) -> Accepted:
    """Store a message unless its network id is known in its place; `statement` None means first contact is long past."""
    now = time.time()
    network, conversation = incoming.place
    cursor = connection.execute(_INSERT, (network, incoming.id, conversation, incoming.sender, incoming.text, now))
    if cursor.rowcount == 0 or cursor.lastrowid is None:
        return Accepted(None, None)
    row = InboxRow(cursor.lastrowid, incoming.place, incoming.id, incoming.sender, incoming.text, now)
    first: Outgoing | None = None
    if statement is not None and connection.execute(_FIRST, (network, conversation, now)).rowcount:
        first = add_outgoing(connection, f"program-{row.row_id}", incoming.place, None, statement)
    return Accepted(row, first)


def complete(connection: sqlite3.Connection, row: InboxRow, reply: str | None, changes: Changes) -> Outgoing | None:
    """Mark a message done and write everything that handling it caused; a second call for the same row changes nothing."""
    if not connection.execute("UPDATE inbox SET state = 1 WHERE id = ? AND state = 0", (row.row_id,)).rowcount:
        return None
    drafted = connection.execute("DELETE FROM drafts WHERE id = ?", (row.reply_id,)).rowcount
    for (scope, key), value in changes.values.items():
        write_value(connection, scope, key, value)
    for due in changes.reminders:
        add_reminder(connection, due)
    if changes.consent is not None:
        connection.execute(
            "UPDATE conversations SET consent = ? WHERE network = ? AND conversation = ?", (changes.consent.value, *row.place)
        )
    if reply is None and not drafted:
        return None
    return add_outgoing(connection, row.reply_id, row.place, row.id, reply or "")


def draft(connection: sqlite3.Connection, row: InboxRow) -> None:
    """Write down that pieces of the row's reply are about to be shown under its id."""
    connection.execute(
        "INSERT INTO drafts (id, inbox_id, created_at) VALUES (?,?,?) ON CONFLICT DO NOTHING", (row.reply_id, row.row_id, time.time())
    )


def unfinished(connection: sqlite3.Connection) -> list[InboxRow]:
    """Return every accepted message without an end, oldest first."""
    return [
        InboxRow(row_id, Place(network, conversation), network_id, sender, text, at, attempts)
        for row_id, network, conversation, network_id, sender, text, at, attempts in connection.execute(_UNFINISHED)
    ]


def count_attempt(connection: sqlite3.Connection, row_id: int, by: int) -> None:
    """Add `by` to the lives that began this message after a crash."""
    connection.execute("UPDATE inbox SET attempts = max(0, attempts + ?) WHERE id = ?", (by, row_id))


def consent_of(connection: sqlite3.Connection, place: Place) -> str | None:
    """Return what the contact said about messages sent first, None when nothing."""
    found = connection.execute("SELECT consent FROM conversations WHERE network = ? AND conversation = ?", place).fetchone()
    return found[0] if found else None
