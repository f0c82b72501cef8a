"""The dialogs' statements: at most one handler of a conversation waits for an answer; here lies what it needs to go on."""

from __future__ import annotations

import sqlite3

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import place_now
from processsupervisor.storage.records import DialogState, Place

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


def due_dialogs(connection: sqlite3.Connection, now: float) -> list[DialogState]:
    """Return dialogs whose deadline has passed, earliest first, at most 200."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM dialogs WHERE deadline_at <= ? ORDER BY deadline_at LIMIT ?", (now, _MAX_AT_ONCE))
    return [_state(found) for found in rows]


def next_dialog_at(connection: sqlite3.Connection) -> float | None:
    """Return the next deadline of a dialog, epoch seconds, or None."""
    (found,) = connection.execute("SELECT min(deadline_at) FROM dialogs").fetchone()
    return None if found is None else float(found)


def oldest_dialogs(connection: sqlite3.Connection, keep: int) -> list[DialogState]:
    """Return those beyond the `keep` newest, oldest first, at most 200."""
    (count,) = connection.execute("SELECT count(*) FROM dialogs").fetchone()
    beyond = min(max(count - keep, 0), _MAX_AT_ONCE)
    return [_state(found) for found in connection.execute(f"SELECT {_COLUMNS} FROM dialogs ORDER BY updated_at LIMIT ?", (beyond,))]


def _state(found: tuple[str, str, str, int, str, float | None]) -> DialogState:
    network, conversation, handler, row_id, journal, deadline_at = found
    return DialogState(Place(network, conversation), handler, row_id, journal, deadline_at)
