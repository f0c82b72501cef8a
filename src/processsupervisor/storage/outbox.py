"""The outbox's statements: one row for each thing a contact is to see, numbered for the life of the file.

`seq` never repeats and only grows; `id` is unique, so that nothing can be written down twice. `state` 1 means that the
network takes rows by itself (web, console); networks that must be sent to start at 0.
"""

from __future__ import annotations

import sqlite3
import time

from processsupervisor.storage.records import HistoryEntry, Outgoing, Place

_INSERT = "INSERT INTO outbox (id, reply_to, network, conversation, text, created_at) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_AFTER = "SELECT seq, id, reply_to, text, created_at FROM outbox WHERE conversation = ? AND network = ? AND seq > ? ORDER BY seq LIMIT ?"


def add_outgoing(connection: sqlite3.Connection, out_id: str, place: Place, reply_to: str | None, text: str) -> Outgoing | None:
    """Append a row; None when the id was written before."""
    now = time.time()
    cursor = connection.execute(_INSERT, (out_id, reply_to, place.network, place.conversation, text, now))
    if cursor.rowcount == 0:
        return None
    return Outgoing(cursor.lastrowid, out_id, place, reply_to, text, now)


def after(connection: sqlite3.Connection, place: Place, seq: int, limit: int) -> list[Outgoing]:
    """Return up to `limit` rows of a place behind `seq`, in order."""
    rows = connection.execute(_AFTER, (place.conversation, place.network, seq, limit))
    return [Outgoing(number, out_id, place, reply_to, text, at) for number, out_id, reply_to, text, at in rows]


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the highest number ever given in this file."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return int(found[0]) if found else 0


def history(connection: sqlite3.Connection, place: Place, limit: int) -> list[HistoryEntry]:
    """Return the last `limit` messages of both sides, oldest first."""
    network, conversation = place
    contact = [
        HistoryEntry(network_id, "contact", text, at, None)
        for network_id, text, at in connection.execute(
            "SELECT network_id, text, received_at FROM inbox WHERE conversation = ? AND network = ? ORDER BY id DESC LIMIT ?",
            (conversation, network, limit),
        )
    ]
    bot = [
        HistoryEntry(out_id, "bot", text, at, seq)
        for out_id, text, at, seq in connection.execute(
            "SELECT id, text, created_at, seq FROM outbox WHERE conversation = ? AND network = ? ORDER BY seq DESC LIMIT ?",
            (conversation, network, limit),
        )
    ]
    # Each side is in its own order already and the sort is stable: a clock set back can mix sides, never reorder one.
    return sorted(contact[::-1] + bot[::-1], key=lambda entry: entry.at)[-limit:]
