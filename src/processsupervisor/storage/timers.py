"""The timers' statements: durable schedules of the bot, each due time turned into exactly one inbox row.

How a rule goes on is the caller's: `following` gets the timer and the time and returns when it is due again, None when never.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Callable

from processsupervisor.storage.conversations import Owner, place_now
from processsupervisor.storage.records import InboxRow, Kind, Place, Timer
from processsupervisor.storage.rows import enqueue

MAX_PER_CONVERSATION = 1000
_MAX_AT_ONCE = 200
_COLUMNS = "network, conversation, name, handler, due_at, payload, rule"
_SET = (
    f"INSERT INTO timers ({_COLUMNS}) VALUES (?,?,?,?,?,?,?) ON CONFLICT (network, conversation, name) DO UPDATE SET "
    "handler = excluded.handler, due_at = excluded.due_at, payload = excluded.payload, rule = excluded.rule"
)
_DUE = f"SELECT {_COLUMNS} FROM timers WHERE due_at <= ? AND name <> ? ORDER BY due_at LIMIT ?"
_DROP = "DELETE FROM timers WHERE network = ? AND conversation = ? AND name = ?"

Following = Callable[[Timer, float], float | None]


def every(timer: Timer, now: float) -> float | None:
    """Return when a timer with the rule "every SECONDS" is due behind `now`; those it missed are left out. Other rules end."""
    word, _, seconds = timer.rule.partition(" ")
    if word != "every":
        return None
    period_s = float(seconds)
    return timer.due_at + period_s * (math.floor(max(now - timer.due_at, 0.0) / period_s) + 1)


def set_timer(connection: sqlite3.Connection, timer: Timer) -> None:
    """Set a timer, in place of one of the same name."""
    place = place_now(connection, timer.place)
    connection.execute(_SET, (*place, timer.name, timer.handler, timer.due_at, timer.payload, timer.rule))


def cancel_timer(connection: sqlite3.Connection, place: Place, name: str) -> bool:
    """Forget a timer; False when there was none."""
    return connection.execute(_DROP, (*place_now(connection, place), name)).rowcount > 0


def timers(connection: sqlite3.Connection, within: Place | str | None) -> list[Timer]:
    """Return the timers of a place, of a whole network, or all, in order of their times."""
    where, given = "", tuple[str, ...]()
    if isinstance(within, Place):
        where, given = " WHERE network = ? AND conversation = ?", place_now(connection, within)
    elif within is not None:
        where, given = " WHERE network = ?", (within,)
    return [_timer(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM timers{where} ORDER BY due_at, name", given)]


def next_timer_at(connection: sqlite3.Connection, but: str) -> float | None:
    """Return when the next timer is due, epoch seconds, or None; those of the name `but` are left out."""
    (found,) = connection.execute("SELECT min(due_at) FROM timers WHERE name <> ?", (but,)).fetchone()
    return None if found is None else float(found)


def fire_timers(connection: sqlite3.Connection, now: float, owner: Owner, following: Following, but: str) -> list[InboxRow]:
    """Turn due timers into inbox rows (`sender` is the handler's name), at most 200 a call; each goes on by its rule or is gone.

    Those of the name `but` are left for later.
    """
    fired: list[InboxRow] = []
    due = connection.execute(_DUE, (now, but, _MAX_AT_ONCE)).fetchall()
    for found in due:
        timer = _timer(found)
        name = f"timer-{timer.name}-{timer.due_at:.3f}"
        row = enqueue(connection, timer.place, name, timer.handler, timer.payload, Kind.SCHEDULE, owner)
        if row is None:  # one that was set again for a time that it has had
            again = f"{name}.{secrets.token_hex(4)}"
            row = enqueue(connection, timer.place, again, timer.handler, timer.payload, Kind.SCHEDULE, owner)
        next_at = following(timer, now) if timer.rule else None
        if next_at is None:
            connection.execute(_DROP, (*timer.place, timer.name))
        else:
            connection.execute(
                "UPDATE timers SET due_at = ? WHERE network = ? AND conversation = ? AND name = ?", (next_at, *timer.place, timer.name)
            )
        if row is not None:
            fired.append(row)
    return fired


def _timer(found: tuple[str, str, str, str, float, str, str]) -> Timer:
    network, conversation, name, handler, due_at, payload, rule = found
    return Timer(Place(network, conversation), name, handler, due_at, payload, rule)
