"""The dialogs' statements: at most one handler of a conversation waits for an answer; here lies what it needs to go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import place_now
from processsupervisor.storage.outbox import add_outgoing
from processsupervisor.storage.records import DialogState, Outgoing, Place, Reply, SendState

_MAX_AT_ONCE = 200
_COLUMNS = "network, conversation, handler, row_id, journal, deadline_at"
_SAVE = (
    f"INSERT INTO dialogs ({_COLUMNS}, updated_at) VALUES (?,?,?,?,?,?,?) ON CONFLICT (network, conversation) DO UPDATE SET "
    "handler = excluded.handler, row_id = excluded.row_id, journal = excluded.journal, deadline_at = excluded.deadline_at, "
    "updated_at = excluded.updated_at"
)


def save_dialog(connection: sqlite3.Connection, state: DialogState) -> None:
    """Keep the dialog of a conversation, in place of the one that it had."""
    place = place_now(connection, state.place)
    connection.execute(_SAVE, (*place, state.handler, state.row_id, state.journal, state.deadline_at, clock.wall()))


def end_dialog(connection: sqlite3.Connection, place: Place) -> bool:
    """Forget the dialog of a conversation; False when there was none."""
    place = place_now(connection, place)
    return connection.execute("DELETE FROM dialogs WHERE network = ? AND conversation = ?", place).rowcount > 0


def dialog(connection: sqlite3.Connection, place: Place) -> DialogState | None:
    """Return the dialog of a conversation."""
    place = place_now(connection, place)
    found = connection.execute(f"SELECT {_COLUMNS} FROM dialogs WHERE network = ? AND conversation = ?", place).fetchone()
    return None if found is None else _state(found)


def dialog_places(connection: sqlite3.Connection) -> list[Place]:
    """Return every conversation that has a dialog."""
    return [Place(*found) for found in connection.execute("SELECT network, conversation FROM dialogs")]


def forget_dialogs(connection: sqlite3.Connection, keep: int, reply: Reply, state_of: Callable[[Place], SendState]) -> list[Outgoing]:
    """End those beyond the `keep` newest, at most 200 a call; returns the rows that say so in their conversations."""
    (count,) = connection.execute("SELECT count(*) FROM dialogs").fetchone()
    beyond = min(max(count - keep, 0), _MAX_AT_ONCE)
    told = []
    for found in connection.execute(f"SELECT {_COLUMNS} FROM dialogs ORDER BY updated_at LIMIT ?", (beyond,)).fetchall():
        state = _state(found)
        end_dialog(connection, state.place)
        out = add_outgoing(connection, f"dialog-{state.row_id}", state.place, None, reply, state_of(state.place))
        if out is not None:
            told.append(out)
    return told


def _state(found: tuple[str, str, str, int, str, float | None]) -> DialogState:
    network, conversation, handler, row_id, journal, deadline_at = found
    return DialogState(Place(network, conversation), handler, row_id, journal, deadline_at)
