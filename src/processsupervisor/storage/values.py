"""The statements of the small key-value store: JSON text by scope (the bot, or one conversation) and key."""

from __future__ import annotations

import sqlite3

from processsupervisor.storage.records import Changes, Place

BOT_SCOPE = "bot"
MAX_KEY_CHARS = 200
MAX_VALUE_CHARS = 1 << 20


def scope_of(place: Place) -> str:
    """Return the scope of one conversation; the network's length keeps two places from meeting in one name."""
    return f"c{len(place.network)}:{place.network}:{place.conversation}"


def place_of(scope: str) -> Place | None:
    """Return the conversation of a scope, None for that of the bot."""
    head, colon, rest = scope.partition(":")
    if not colon:
        return None
    length = int(head[1:])
    return Place(rest[:length], rest[length + 1 :])


def read_value(connection: sqlite3.Connection, scope: str, key: str) -> str | None:
    """Return the JSON text under a key, or None."""
    found = connection.execute("SELECT value FROM kv WHERE scope = ? AND key = ?", (scope, key)).fetchone()
    return None if found is None else str(found[0])


def write_value(connection: sqlite3.Connection, scope: str, key: str, value: str | None) -> None:
    """Set a key to JSON text; None deletes it."""
    if value is None:
        connection.execute("DELETE FROM kv WHERE scope = ? AND key = ?", (scope, key))
    else:
        connection.execute(
            "INSERT INTO kv (scope, key, value) VALUES (?,?,?) ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
            (scope, key, value),
        )


def swap_value(connection: sqlite3.Connection, scope: str, key: str, was: str | None, value: str | None) -> tuple[bool, str | None]:
    """Write a key if it is still what it was; returns whether, and what it is now."""
    found = read_value(connection, scope, key)
    if found != was:
        return False, found
    write_value(connection, scope, key, value)
    return True, value


def are_current(connection: sqlite3.Connection, changes: Changes) -> bool:
    """Tell whether the values that are changed are still what was read of them; those that were not read always are."""
    reads = changes.reads or {}
    return all(read_value(connection, *key) == text for key, text in reads.items() if key in changes.values)


def read_keys(connection: sqlite3.Connection, scope: str) -> list[str]:
    """Return all keys of a scope in order."""
    return [str(key) for (key,) in connection.execute("SELECT key FROM kv WHERE scope = ? ORDER BY key", (scope,))]
