"""The cursors' statements: how far each network was read, in the words of the network."""

from __future__ import annotations

import sqlite3


def read_cursor(connection: sqlite3.Connection, network: str) -> int | None:
    """Return how far a network was read, None when never."""
    found = connection.execute("SELECT position FROM cursors WHERE network = ?", (network,)).fetchone()
    return None if found is None else int(found[0])


def write_cursor(connection: sqlite3.Connection, network: str, position: int) -> None:
    """Set it; a network's numbers may begin anew, so a lower one holds as well."""
    connection.execute(
        "INSERT INTO cursors (network, position) VALUES (?,?) ON CONFLICT (network) DO UPDATE SET position = excluded.position",
        (network, position),
    )
