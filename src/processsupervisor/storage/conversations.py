"""The conversations' statements: what is known of a place, who works on it, and where it has moved to.

A claim is a lease with a number, the fence. Only the newest fence may finish messages of its conversation, so that a process that
was taken for dead changes nothing. In a file that one process alone may open (its lock says so) every lease of another is over.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from processsupervisor.kernel import clock
from processsupervisor.storage.known import ConversationRow
from processsupervisor.storage.records import Changes, Consent, Place, RoomKind
from processsupervisor.storage.values import place_of, scope_of, write_value

LEASE_S = 60.0
_ALWAYS = 1e18  # every lease has ended before

_TOUCH = """
INSERT INTO conversations (network, conversation, first_at, room, title, is_reachable, fence, lease_owner, lease_until)
VALUES (:network, :conversation, :now, :room, :title, :reachable, 1, :owner, :until)
ON CONFLICT (network, conversation) DO UPDATE SET
  room = CASE WHEN :is_news = 1 THEN excluded.room ELSE conversations.room END,
  title = CASE WHEN excluded.title = '' THEN conversations.title ELSE excluded.title END,
  is_reachable = CASE WHEN :is_news = 1 THEN excluded.is_reachable ELSE conversations.is_reachable END,
  fence = CASE WHEN conversations.lease_owner = :owner THEN conversations.fence
    WHEN conversations.lease_owner IS NULL OR conversations.lease_until < :over THEN conversations.fence + 1 ELSE conversations.fence END,
  lease_until = CASE WHEN conversations.lease_owner IS NULL OR conversations.lease_owner = :owner OR conversations.lease_until < :over
    THEN :until ELSE conversations.lease_until END,
  lease_owner = CASE WHEN conversations.lease_owner IS NULL OR conversations.lease_until < :over THEN :owner
    ELSE conversations.lease_owner END
RETURNING fence, lease_owner, disclosed_at, moved_to
"""
_AGREED = (
    "SELECT network, conversation, room, title, first_at FROM conversations WHERE consent = 'in' AND is_reachable = 1 AND moved_to IS NULL "
    "AND (network > ? OR (network = ? AND conversation > ?)) ORDER BY network, conversation LIMIT ?"
)
_FIND = "SELECT room, title, first_at, consent, is_reachable FROM conversations WHERE network = ? AND conversation = ?"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims. `is_only`: nobody else can have the file open."""

    name: str
    is_only: bool = True

    def over_before(self, now: float) -> float:
        """Return the time before which another's lease has to end to be over."""
        return _ALWAYS if self.is_only else now


class Facts(NamedTuple):
    """What a message says of its conversation."""

    room: RoomKind = RoomKind.PRIVATE
    title: str = ""
    is_reachable: bool = True


class Claim(NamedTuple):
    """The claim of a conversation: its fence, 0 when somebody else holds it; whether the disclosure was made there; where it went."""

    fence: int
    is_disclosed: bool
    moved_to: Place | None


def touch(connection: sqlite3.Connection, place: Place, owner: Owner, facts: Facts | None) -> Claim:
    """Claim a conversation or renew its claim, keep what is news of it (None: nothing), make it when it is new."""
    now = clock.wall()
    shown = facts or Facts()
    given = {
        "network": place.network, "conversation": place.conversation, "now": now, "room": shown.room.value, "title": shown.title,
        "reachable": int(shown.is_reachable), "owner": owner.name, "until": now + LEASE_S, "over": owner.over_before(now),
        "is_news": int(facts is not None),
    }  # fmt: skip
    fence, holder, disclosed_at, moved_to = connection.execute(_TOUCH, given).fetchone()
    there = None if moved_to is None else Place(place.network, moved_to)
    return Claim(fence if holder == owner.name else 0, disclosed_at is not None, there)


def disclosed(connection: sqlite3.Connection, place: Place) -> None:
    """Write down that it was said there that a program answers."""
    connection.execute("UPDATE conversations SET disclosed_at = ? WHERE network = ? AND conversation = ?", (clock.wall(), *place))


def standing(connection: sqlite3.Connection, place: Place) -> tuple[int, Place]:
    """Return the newest fence of a conversation (0: unknown), and where it is now."""
    found = connection.execute("SELECT fence, moved_to FROM conversations WHERE network = ? AND conversation = ?", place).fetchone()
    if found is None:
        return 0, place
    fence, moved_to = found
    return int(fence), place if moved_to is None else Place(place.network, moved_to)


def place_now(connection: sqlite3.Connection, place: Place) -> Place:
    """Return where a conversation is now."""
    return standing(connection, place)[1]


def scope_now(connection: sqlite3.Connection, scope: str) -> str:
    """Return the scope in which the values are that were kept in this one: that of the conversation as it is known now."""
    place = place_of(scope)
    return scope if place is None else scope_of(place_now(connection, place))


def write_values(connection: sqlite3.Connection, changes: Changes) -> None:
    """Set the values of `changes`, each where its conversation is now."""
    scopes = {scope: scope_now(connection, scope) for scope, _ in changes.values}
    for (scope, key), value in changes.values.items():
        write_value(connection, scopes[scope], key, value)


def find(connection: sqlite3.Connection, place: Place) -> ConversationRow | None:
    """Return what is known of a conversation, where it is now."""
    place = place_now(connection, place)
    found = connection.execute(_FIND, place).fetchone()
    if found is None:
        return None
    room, title, first_at, consent, is_reachable = found
    return ConversationRow(place, RoomKind(room), title, first_at, Consent(consent) if consent else None, bool(is_reachable))


def set_reachable(connection: sqlite3.Connection, place: Place, is_reachable: bool) -> None:
    """Write down whether the network lets us write there."""
    connection.execute("UPDATE conversations SET is_reachable = ? WHERE network = ? AND conversation = ?", (int(is_reachable), *place))


def say_consent(connection: sqlite3.Connection, place: Place, said: Consent, row_id: int | None) -> None:
    """Write down what a contact said about messages sent first: what holds now, and that it was said where that is news."""
    place = place_now(connection, place)
    if consent_of(connection, place) == said:
        return
    connection.execute("UPDATE conversations SET consent = ? WHERE network = ? AND conversation = ?", (said.value, *place))
    given = (*place, said.value, clock.wall(), row_id)
    connection.execute("INSERT INTO consents (network, conversation, said, said_at, inbox_id) VALUES (?,?,?,?,?)", given)


def consent_of(connection: sqlite3.Connection, place: Place) -> str | None:
    """Return what the contact said about messages sent first, None when nothing."""
    found = connection.execute(
        "SELECT consent FROM conversations WHERE network = ? AND conversation = ?", place_now(connection, place)
    ).fetchone()
    return found[0] if found else None


def agreed(connection: sqlite3.Connection, behind: Place, limit: int) -> list[ConversationRow]:
    """Return conversations that may be written to first, in order, from behind a place on."""
    return [
        ConversationRow(Place(network, conversation), RoomKind(room), title, first_at, Consent.OPTED_IN, True)
        for network, conversation, room, title, first_at in connection.execute(_AGREED, (behind.network, *behind, limit))
    ]


def move(connection: sqlite3.Connection, old: Place, new: Place) -> None:
    """Let a conversation go on under another id: what is to be sent, values, dialog, timers and reminders go there.

    Messages that came in stay where they came, so that a repeat of one is still known; what finishes them goes to the new place.
    Where both have something, the new place's stays, but whoever opted out stays out.
    """
    if old == new:
        return
    key = {"network": old.network, "old": old.conversation, "new": new.conversation, "from": scope_of(old), "to": scope_of(new)}
    for statement in _MOVE:
        connection.execute(statement, key)


_MOVE = (
    "INSERT INTO conversations (network, conversation, first_at, consent, room, title, disclosed_at) "
    "SELECT network, :new, first_at, consent, room, title, disclosed_at FROM conversations "
    "WHERE network = :network AND conversation = :old ON CONFLICT (network, conversation) DO UPDATE SET moved_to = NULL, "
    "disclosed_at = coalesce(conversations.disclosed_at, excluded.disclosed_at), "
    "consent = CASE WHEN 'out' IN (conversations.consent, excluded.consent) THEN 'out' "
    "ELSE coalesce(conversations.consent, excluded.consent) END",
    "UPDATE conversations SET moved_to = :new WHERE network = :network AND (conversation = :old OR moved_to = :old)",
    "UPDATE outbox SET conversation = :new WHERE network = :network AND conversation = :old AND state IN (0, 2)",
    "INSERT INTO kv (scope, key, value) SELECT :to, key, value FROM kv WHERE scope = :from ON CONFLICT (scope, key) DO NOTHING",
    "DELETE FROM kv WHERE scope = :from",
    "INSERT INTO dialogs (network, conversation, handler, row_id, journal, deadline_at, updated_at) "
    "SELECT network, :new, handler, row_id, journal, deadline_at, updated_at FROM dialogs WHERE network = :network AND conversation = :old "
    "ON CONFLICT (network, conversation) DO NOTHING",
    "DELETE FROM dialogs WHERE network = :network AND conversation = :old",
    "INSERT INTO timers (network, conversation, name, handler, due_at, payload, rule) "
    "SELECT network, :new, name, handler, due_at, payload, rule FROM timers WHERE network = :network AND conversation = :old "
    "ON CONFLICT (network, conversation, name) DO NOTHING",
    "DELETE FROM timers WHERE network = :network AND conversation = :old",
    "UPDATE reminders SET conversation = :new WHERE network = :network AND conversation = :old AND state = 0",
)
