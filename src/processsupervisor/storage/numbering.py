"""Numbers of messages, replies and reminders never come again, not even in another file in a bot's place.

Networks that know keys, and readers that ask for what is behind a number, drop what they have seen. So a restored copy goes on behind
the file that it replaces, and where that cannot be read, or a bot that had a file has none, numbers go on from the clock: milliseconds
since 1970, which no file had reached. The mark `.opened` in the bot's folder tells a file that is gone from one that never was.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import StorageError

NUMBERED = ("inbox", "outbox", "reminders")
_MARK = ".opened"


def mark(path: Path) -> None:
    """Leave the mark that the bot has had a database. Raises OSError."""
    marked = path.with_name(_MARK)
    if not marked.exists():
        marked.touch(mode=0o600)


def had_one(path: Path) -> bool:
    """Tell whether the bot has had a database in this place."""
    return path.with_name(_MARK).exists()


def refuse_emptied(path: Path) -> None:
    """Raise StorageError for a file that was cut to nothing: SQLite would take it for a new one, and delete its journal with it."""
    if not path.exists() or path.stat().st_size:
        return
    journal = Path(f"{path}-wal")
    if had_one(path) or (journal.exists() and journal.stat().st_size):
        hint = "stop the bot, then put a backup in the file's place (psv bot restore) or move the file away"
        raise StorageError(f"{path} is empty, and it was not before", hint=hint)


def first_numbers(path: Path) -> str:
    """Return the SQL by which a new file in this place begins its numbers: none where there never was one."""
    if not had_one(path):
        return ""
    rows = ", ".join(f"('{table}', {_by_clock()})" for table in NUMBERED)
    return f"INSERT INTO sqlite_sequence (name, seq) VALUES {rows};\n"


def last_numbers(path: Path) -> dict[str, int]:
    """Return the highest numbers that a file ever gave, by the clock for one that is missing or damaged."""
    by_clock = dict.fromkeys(NUMBERED, _by_clock())
    if not path.exists() or not path.stat().st_size:
        return by_clock
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only=ON")
            return {**dict.fromkeys(NUMBERED, 0), **_given(connection)}
    except sqlite3.Error:
        return by_clock


def go_on_behind(connection: sqlite3.Connection, numbers: Mapping[str, int]) -> None:
    """Let the tables of a file number what is new behind `numbers`, or behind their own where these are higher."""
    own = _given(connection)
    for table, number in numbers.items():
        if number > own.get(table, 0):
            connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?,?)", (table, number))


def _given(connection: sqlite3.Connection) -> dict[str, int]:
    return {name: int(seq) for name, seq in connection.execute("SELECT name, seq FROM sqlite_sequence") if name in NUMBERED}


def _by_clock() -> int:
    return int(clock.wall() * 1000)
