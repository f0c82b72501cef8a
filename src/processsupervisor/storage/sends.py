"""The statements of sending: what is to be sent next, and how far each row is.

Order is a conversation's: only its oldest row that is not at an end (WAITING, or SENDING) may be sent. SENDING is committed before
the network is called, so that after a crash it is known whose outcome is not. Times are by the sender's monotonic clock, of one life.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from processsupervisor.storage.outbox import COLUMNS, outgoing
from processsupervisor.storage.records import Outgoing, SendState

_HEADS = "SELECT min(seq) FROM outbox WHERE network = ? AND state IN (0, 2) GROUP BY conversation"
_DUE = f"SELECT {COLUMNS} FROM outbox WHERE seq IN ({_HEADS}) AND state = 0 AND not_before <= ? ORDER BY seq LIMIT ?"


def sends_due(connection: sqlite3.Connection, network: str, now: float, limit: int) -> list[Outgoing]:
    """Return the heads of conversations that wait and may be sent now, oldest first."""
    return [outgoing(found) for found in connection.execute(_DUE, (network, now, limit))]


def next_send_at(connection: sqlite3.Connection, network: str) -> float | None:
    """Return when the next head may be sent (what may at once: 0), None when none waits."""
    (found,) = connection.execute(f"SELECT min(not_before) FROM outbox WHERE seq IN ({_HEADS}) AND state = 0", (network,)).fetchone()
    return None if found is None else float(found)


def sending(connection: sqlite3.Connection, ids: Iterable[str]) -> list[str]:
    """Write down that these are about to be sent; returns those that still waited."""
    return [
        out_id
        for out_id in ids
        if connection.execute("UPDATE outbox SET state = 2, attempts = attempts + 1 WHERE id = ? AND state = 0", (out_id,)).rowcount
    ]


def sent(connection: sqlite3.Connection, out_id: str, network_id: str) -> None:
    """Write down that the network took a row, under which id of its own ("" when it gives none)."""
    connection.execute("UPDATE outbox SET state = 3, network_id = ? WHERE id = ? AND state IN (0, 2)", (network_id or None, out_id))


def all_due(connection: sqlite3.Connection, network: str) -> None:
    """Let every row that waits be sent at once: until when it was to wait, an earlier life has said by a clock that was its own."""
    connection.execute("UPDATE outbox SET not_before = 0 WHERE network = ? AND state IN (0, 2) AND not_before > 0", (network,))


def send_again(connection: sqlite3.Connection, out_id: str, not_before: float) -> None:
    """Let a row wait until `not_before`: it was certainly not taken."""
    connection.execute("UPDATE outbox SET state = 0, not_before = ? WHERE id = ? AND state IN (0, 2)", (not_before, out_id))


def send_failed(connection: sqlite3.Connection, out_id: str, reason: str) -> None:
    """Write down that the network refuses a row for good."""
    connection.execute("UPDATE outbox SET state = 5, reason = ? WHERE id = ? AND state IN (0, 2)", (reason, out_id))


def send_unknown(connection: sqlite3.Connection, out_id: str, resend: bool) -> None:
    """Mark a row, for ever, as one whose outcome was unknown; it is sent again, or ends as UNCERTAIN."""
    state, reason = (SendState.WAITING, "") if resend else (SendState.UNCERTAIN, "not resent")
    connection.execute(
        "UPDATE outbox SET state = ?, uncertain = 1, reason = ? WHERE id = ? AND state IN (0, 2)", (int(state), reason, out_id)
    )


def left_sending(connection: sqlite3.Connection, network: str) -> list[Outgoing]:
    """Return the rows that an earlier life was sending when it ended, oldest first."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM outbox WHERE network = ? AND state IN (0, 2) AND state = 2 ORDER BY seq", (network,))
    return [outgoing(found) for found in rows]


def network_id(connection: sqlite3.Connection, out_id: str) -> str | None:
    """Return the network's own id of a row that was sent."""
    found = connection.execute("SELECT network_id FROM outbox WHERE id = ?", (out_id,)).fetchone()
    return None if found is None else found[0]


def reply_state(connection: sqlite3.Connection, out_id: str) -> SendState | None:
    """Return how far a reply is, WAITING when a message that it would answer is still open, None when it will never be."""
    found = connection.execute("SELECT state FROM outbox WHERE id = ?", (out_id,)).fetchone()
    if found is not None:
        return SendState(found[0])
    answered = out_id.partition(".")[0].removeprefix("r")
    if not answered.isdecimal():
        return None
    is_open = connection.execute("SELECT 1 FROM inbox WHERE id = ? AND state = 0", (int(answered),)).fetchone()
    return None if is_open is None else SendState.WAITING
