"""The outbox's statements: one row for each thing a contact is to see, numbered for the life of the file.

`seq` never repeats and only grows; `id` is unique, so that nothing can be written down twice. Rows of networks that readers pull
from (web, console) begin SHOWN; those of networks that must be sent to begin WAITING (sends.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from processsupervisor.kernel import clock
from processsupervisor.storage.encoding import pack_extras, unpack_envelope, unpack_extras
from processsupervisor.storage.known import HistoryEntry
from processsupervisor.storage.records import Outgoing, Place, Reply, SendState

COLUMNS = "seq, id, reply_to, network, conversation, text, created_at, extras, state, attempts, uncertain"
_INSERT = (
    "INSERT INTO outbox (id, reply_to, network, conversation, text, created_at, state, extras) VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (id) DO NOTHING RETURNING seq"
)
_AFTER = f"SELECT {COLUMNS} FROM outbox WHERE conversation = ? AND network = ? AND seq > ? ORDER BY seq LIMIT ?"
_BY_ID = f"SELECT {COLUMNS} FROM outbox WHERE id = ?"
_SAID = (
    "SELECT network_id, text, received_at, envelope FROM inbox WHERE conversation = ? AND network = ? AND kind <> 'schedule' "
    "ORDER BY id DESC LIMIT ?"
)
_ANSWERED = "SELECT id, text, created_at, seq, extras FROM outbox WHERE conversation = ? AND network = ? ORDER BY seq DESC LIMIT ?"


def add_outgoing(
    connection: sqlite3.Connection, out_id: str, place: Place, reply_to: str | None, reply: Reply, state: SendState = SendState.SHOWN
) -> Outgoing | None:
    """Append a row; None when the id was written before."""
    now = clock.wall()
    given = (out_id, reply_to, place.network, place.conversation, reply.text, now, int(state), pack_extras(reply.extras))
    found = connection.execute(_INSERT, given).fetchone()
    if found is not None and reply.extras.files:
        connection.executemany("UPDATE attachments SET out_id = ? WHERE path = ?", [(out_id, file.path) for file in reply.extras.files])
    return None if found is None else Outgoing(found[0], out_id, place, reply_to, reply.text, now, extras=reply.extras, state=state)


def after(connection: sqlite3.Connection, place: Place, seq: int, limit: int) -> list[Outgoing]:
    """Return up to `limit` rows of a place behind `seq`, in order."""
    return [outgoing(found) for found in connection.execute(_AFTER, (place.conversation, place.network, seq, limit))]


def by_ids(connection: sqlite3.Connection, ids: Iterable[str]) -> list[Outgoing]:
    """Return those of these rows that there are."""
    found = (connection.execute(_BY_ID, (out_id,)).fetchone() for out_id in ids)
    return [outgoing(row) for row in found if row is not None]


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the highest number ever given: what retention takes away is never the newest row."""
    (found,) = connection.execute("SELECT max(seq) FROM outbox").fetchone()
    return int(found or 0)


def history(connection: sqlite3.Connection, place: Place, limit: int) -> list[HistoryEntry]:
    """Return the last `limit` messages of both sides, oldest first."""
    given = (place.conversation, place.network, limit)
    contact = [
        HistoryEntry(network_id, "contact", unpack_envelope(envelope).said or text, at, None)
        for network_id, text, at, envelope in connection.execute(_SAID, given)
    ]
    bot = [
        HistoryEntry(out_id, "bot", text, at, seq, unpack_extras(extras))
        for out_id, text, at, seq, extras in connection.execute(_ANSWERED, given)
    ]
    # Each side is in its own order already and the sort is stable: a clock set back can mix sides, never reorder one.
    return sorted(contact[::-1] + bot[::-1], key=lambda entry: entry.at)[-limit:]


def outgoing(found: tuple[Any, ...]) -> Outgoing:
    """Return the row of the columns COLUMNS."""
    seq, out_id, reply_to, network, conversation, text, at, extras, state, attempts, uncertain = found
    place = Place(network, conversation)
    return Outgoing(seq, out_id, place, reply_to, text, at, True, unpack_extras(extras), SendState(state), attempts, bool(uncertain))
