"""The reminders' statements: wall clock times at which a text is due, each turned into exactly one outbox row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import place_now
from processsupervisor.storage.outbox import add_outgoing
from processsupervisor.storage.records import Due, Outgoing, Place, Reply, SendState

MAX_PER_CONVERSATION = 1000
_MAX_AT_ONCE = 200


def add_reminder(connection: sqlite3.Connection, due: Due) -> int:
    """Write a reminder down and return its number."""
    cursor = connection.execute(
        "INSERT INTO reminders (network, conversation, due_at, text, created_at) VALUES (?,?,?,?,?) RETURNING id",
        (*place_now(connection, due.place), due.due_at, due.text, clock.wall()),
    )
    return int(cursor.fetchone()[0])


def open_reminders(connection: sqlite3.Connection, place: Place) -> int:
    """Return how many reminders of a place are still to come."""
    place = place_now(connection, place)
    (count,) = connection.execute("SELECT count(*) FROM reminders WHERE state = 0 AND network = ? AND conversation = ?", place).fetchone()
    return int(count)


def next_due_at(connection: sqlite3.Connection) -> float | None:
    """Return when the next reminder is due, epoch seconds, or None."""
    found = connection.execute("SELECT min(due_at) FROM reminders WHERE state = 0").fetchone()
    return None if found[0] is None else float(found[0])


def fire_due(connection: sqlite3.Connection, now: float, state_of: Callable[[Place], SendState]) -> list[Outgoing]:
    """Turn reminders that are due into outbox rows, at most 200 a call, and drop them; returns the rows."""
    rows = connection.execute(
        "SELECT id, network, conversation, text FROM reminders WHERE state = 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        (now, _MAX_AT_ONCE),
    ).fetchall()
    fired = []
    for number, network, conversation, text in rows:
        place = Place(network, conversation)
        out = add_outgoing(connection, f"reminder-{number}", place, None, Reply(text), state_of(place))
        connection.execute("UPDATE reminders SET state = 1 WHERE id = ?", (number,))
        if out is not None:
            fired.append(out)
    return fired
