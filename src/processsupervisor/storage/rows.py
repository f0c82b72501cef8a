"""How inbox rows are read from the table and added to it, and which number stands for which end."""

from __future__ import annotations

import sqlite3
from typing import Any

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import Owner, place_now, touch
from processsupervisor.storage.encoding import unpack_envelope
from processsupervisor.storage.records import InboxRow, Kind, Outcome, Place

OPEN = 0
STATES = {Outcome.DONE: 1, Outcome.EXPIRED: 2, Outcome.IGNORED: 3, Outcome.DEAD: 4}

COLUMNS = "i.id, i.network, i.conversation, i.network_id, i.sender, i.text, i.received_at, i.attempts, i.kind, i.envelope"

INSERT = (
    "INSERT INTO inbox (network, network_id, conversation, sender, text, received_at, state, kind, envelope) VALUES (?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT (network, conversation, network_id) DO NOTHING RETURNING id"
)


def inbox_row(found: list[Any] | tuple[Any, ...]) -> InboxRow:
    """Return the row of the columns COLUMNS, not claimed."""
    row_id, network, conversation, network_id, sender, text, at, attempts, kind, envelope = found
    return InboxRow(row_id, Place(network, conversation), network_id, sender, text, at, attempts, Kind(kind), unpack_envelope(envelope))


def enqueue(connection: sqlite3.Connection, place: Place, name: str, sender: str, text: str, kind: Kind, owner: Owner) -> InboxRow | None:
    """Add a message of the bot's own making, claimed; None when that name was used in its place before."""
    place = place_now(connection, place)
    fence = touch(connection, place, owner, None).fence
    now = clock.wall()
    found = connection.execute(INSERT, (place.network, name, place.conversation, sender, text, now, OPEN, kind.value, None)).fetchone()
    return None if found is None else InboxRow(int(found[0]), place, name, sender, text, now, 0, kind, fence=fence)
