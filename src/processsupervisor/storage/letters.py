"""The dead letters' statements: messages that were given up, kept until somebody replays or drops them, at most 1,000.

The text stays in the inbox. A replayed message gets a new number behind all others, and with it reply ids of its own: what its
contact was told when it was given up stays under the old ones.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import Owner, touch
from processsupervisor.storage.encoding import pack_envelope, unpack_envelope
from processsupervisor.storage.known import DeadLetter
from processsupervisor.storage.records import InboxRow, Kind, Place
from processsupervisor.storage.rows import COLUMNS, inbox_row

MAX_LETTERS = 1000
_COLUMNS = (
    "i.id, i.network, i.conversation, i.network_id, i.sender, i.text, i.kind, i.received_at, d.died_at, d.reason, d.detail, d.attempts"
)
_FROM = f"SELECT {_COLUMNS} FROM dead_letters d JOIN inbox i ON i.id = d.inbox_id"
_REOPEN = (
    "INSERT INTO inbox (network, network_id, conversation, sender, text, received_at, kind, envelope) "
    "SELECT network, ?, conversation, sender, text, received_at, kind, ? FROM inbox WHERE id = ? RETURNING id"
)


def write_letter(connection: sqlite3.Connection, row: InboxRow, reason: str, detail: str, attempts: int) -> None:
    """Keep a message that is given up; beyond MAX_LETTERS the oldest letter goes."""
    connection.execute(
        "INSERT INTO dead_letters (inbox_id, died_at, reason, detail, attempts) VALUES (?,?,?,?,?)",
        (row.row_id, clock.wall(), reason, detail, attempts),
    )
    connection.execute(
        "DELETE FROM dead_letters WHERE inbox_id IN (SELECT inbox_id FROM dead_letters ORDER BY inbox_id DESC LIMIT ? OFFSET ?)",
        (MAX_LETTERS, MAX_LETTERS),
    )


def dead_letters(connection: sqlite3.Connection, limit: int) -> list[DeadLetter]:
    """Return the newest letters, newest first."""
    return [_letter(found) for found in connection.execute(f"{_FROM} ORDER BY d.inbox_id DESC LIMIT ?", (limit,))]


def dead_letter(connection: sqlite3.Connection, row_id: int) -> DeadLetter | None:
    """Return one letter."""
    found = connection.execute(f"{_FROM} WHERE d.inbox_id = ?", (row_id,)).fetchone()
    return None if found is None else _letter(found)


def drop_letter(connection: sqlite3.Connection, row_id: int) -> bool:
    """Forget a letter; False when there is none. Its message stays in the past of the conversation."""
    return connection.execute("DELETE FROM dead_letters WHERE inbox_id = ?", (row_id,)).rowcount > 0


def replay(connection: sqlite3.Connection, row_id: int, owner: Owner | None) -> InboxRow | None:
    """Open a dead message again, behind all others of its conversation; None when there is no such letter.

    Claimed for `owner`; without one it is left to whoever opens the file next.
    """
    if not drop_letter(connection, row_id):
        return None
    network_id, packed = connection.execute("SELECT network_id, envelope FROM inbox WHERE id = ?", (row_id,)).fetchone()
    envelope = pack_envelope(replace(unpack_envelope(packed), is_replayed=True))
    # The network's id is unique in its place: the old row gives it up before the new one has it, and goes.
    connection.execute("UPDATE inbox SET network_id = ? WHERE id = ?", (f"{network_id}/replayed-{row_id}", row_id))
    (new_id,) = connection.execute(_REOPEN, (network_id, envelope, row_id)).fetchone()
    connection.execute("DELETE FROM inbox WHERE id = ?", (row_id,))
    found = connection.execute(f"SELECT {COLUMNS} FROM inbox i WHERE i.id = ?", (new_id,)).fetchone()
    row = inbox_row(found)
    if owner is None:
        return row
    claimed = touch(connection, row.place, owner, None)
    return replace(row, attempts=0, fence=claimed.fence, moved_to=claimed.moved_to)


def _letter(found: tuple[int, str, str, str, str, str, str, float, float, str, str, int]) -> DeadLetter:
    row_id, network, conversation, network_id, sender, text, kind, received_at, died_at, reason, detail, attempts = found
    place = Place(network, conversation)
    return DeadLetter(row_id, place, network_id, sender, text, Kind(kind), received_at, died_at, reason, detail, attempts)
