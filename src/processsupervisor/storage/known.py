"""What is known of the past, as it is read back: people, conversations, what was said, what was given up. No SQL and no behaviour here."""

from __future__ import annotations

from dataclasses import dataclass

from processsupervisor.storage.records import NO_EXTRAS, Consent, Extras, Kind, Place, RoomKind


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up: its inbox row's number, why, when, and how often it was tried."""

    row_id: int
    place: Place
    id: str
    sender: str
    text: str
    kind: Kind
    received_at: float
    died_at: float
    reason: str
    """error, timeout, crashed (the process died with it again and again), bad-reply, or usage (our code refused what a handler did)."""
    detail: str
    """The place in the author's code, or the kind of the exception; never a contact's text."""
    attempts: int


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """What is known of a conversation."""

    place: Place
    room: RoomKind
    title: str
    first_at: float
    consent: Consent | None
    is_reachable: bool
    """False once the network said that the bot is blocked, kicked or the chat is gone; a new message makes it true."""


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A person, known by one identity on each network."""

    contact_id: int
    network: str
    identity: str
    name: str
    locale: str
    first_at: float


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a conversation's past; `sender` is "contact" or "bot"."""

    id: str
    sender: str
    text: str
    at: float
    seq: int | None
    extras: Extras = NO_EXTRAS
