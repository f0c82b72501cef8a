"""The statements about sends whose outcome was unknown: which there are, what became of them, and what a person says about one.

The mark `uncertain` stays for ever. What a person has dropped is only not listed any more.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.outbox import COLUMNS, outgoing
from processsupervisor.storage.records import Outgoing, Place, SendState

_DROPPED = "dropped"
_LISTED = "uncertain = 1 AND reason <> ?"
_LIST = f"SELECT seq, id, network, conversation, text, created_at, state, attempts FROM outbox WHERE {_LISTED} ORDER BY seq DESC LIMIT ?"
_COUNT = f"SELECT count(*) FROM outbox WHERE {_LISTED}"
_ENDED = f"SELECT {COLUMNS} FROM outbox WHERE seq = ? AND state IN (4, 5) AND {_LISTED}"
_ANEW = "UPDATE outbox SET state = 0, not_before = 0, attempts = 0, reason = '' WHERE seq = ?"
_DROP = f"UPDATE outbox SET reason = ? WHERE seq = ? AND state NOT IN (0, 2) AND {_LISTED}"
NOT_RESENT = "unknown, not resent"
_STATES = {
    SendState.WAITING: "uncertain, to be sent again", SendState.SENDING: "uncertain, being sent again",
    SendState.SENT: "uncertain, sent again", SendState.UNCERTAIN: NOT_RESENT, SendState.FAILED: "uncertain, then refused",
}  # fmt: skip


class UncertainSend(NamedTuple):
    """A message of the bot of which it was unknown whether it arrived. `state` says what was done about it, in words."""

    number: int
    id: str
    place: Place
    text: str
    at: float
    """When it was made: wall clock, epoch seconds."""
    state: str
    attempts: int


def uncertain_sends(connection: sqlite3.Connection, limit: int) -> list[UncertainSend]:
    """Return the newest of those that nobody has dropped, newest first."""
    found = connection.execute(_LIST, (_DROPPED, limit))
    return [
        UncertainSend(number, out_id, Place(network, conversation), text, at, _STATES[SendState(state)], attempts)
        for number, out_id, network, conversation, text, at, state, attempts in found
    ]


def uncertain_count(connection: sqlite3.Connection) -> int:
    """Return how many would be listed."""
    (count,) = connection.execute(_COUNT, (_DROPPED,)).fetchone()
    return int(count)


def send_anew(connection: sqlite3.Connection, number: int) -> Outgoing | None:
    """Let one that was not sent again, or was refused since, wait to be sent; None when there is no such one.

    Raises Refused when its files are not kept any more.
    """
    found = connection.execute(_ENDED, (number, _DROPPED)).fetchone()
    if found is None:
        return None
    out = outgoing(found)
    kept = {path for (path,) in connection.execute("SELECT path FROM attachments WHERE out_id = ?", (out.id,))}
    if any(file.path not in kept for file in out.extras.files):
        raise Refused(f"the files of send {number} are not kept any more", hint="they are deleted after an hour", code="gone")
    connection.execute(_ANEW, (number,))
    return out


def drop_send(connection: sqlite3.Connection, number: int) -> bool:
    """List one no more; False when there is no such one, or it is still to be sent."""
    return connection.execute(_DROP, (_DROPPED, number, _DROPPED)).rowcount > 0
