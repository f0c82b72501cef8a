"""How much of the past a bot.db keeps: the last 10,000 outbox rows of a conversation, done messages for 30 days.

Done messages are kept for deduplication and history, dead ones as long as their letter, rows to be sent until they are.
A call takes a bounded bite, so that no commit waits for a clean-up.
"""

from __future__ import annotations

import sqlite3

from processsupervisor.storage.records import Place

KEEP_OUTBOX_ROWS = 10_000
KEEP_DONE_S = 30 * 86400.0
_BITE = 500


def trim_outbox(connection: sqlite3.Connection, place: Place, keep: int = KEEP_OUTBOX_ROWS) -> int:
    """Delete the oldest rows of a place beyond `keep`; returns how many went."""
    network, conversation = place
    cursor = connection.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE conversation = ? AND network = ? AND state NOT IN (0, 2) AND seq <= "
        "(SELECT seq FROM outbox WHERE conversation = ? AND network = ? ORDER BY seq DESC LIMIT 1 OFFSET ?) LIMIT ?)",
        (conversation, network, conversation, network, keep, 4 * _BITE),
    )
    return cursor.rowcount


def trim_done(connection: sqlite3.Connection, now: float, keep_s: float = KEEP_DONE_S) -> int:
    """Delete the oldest done messages and fired reminders that are past their time, at most 500 each; returns how many."""
    removed = connection.execute(
        "DELETE FROM inbox WHERE received_at < ? AND id IN (SELECT id FROM inbox WHERE state <> 0 "
        "AND id NOT IN (SELECT inbox_id FROM dead_letters) ORDER BY id LIMIT ?)",
        (now - keep_s, _BITE),
    ).rowcount
    removed += connection.execute(
        "DELETE FROM reminders WHERE state <> 0 AND created_at < ? AND due_at < ? AND id IN (SELECT id FROM reminders ORDER BY id LIMIT ?)",
        (now - keep_s, now - keep_s, _BITE),
    ).rowcount
    return removed
