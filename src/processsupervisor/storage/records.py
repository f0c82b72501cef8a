"""The values that cross the bot's rooms: what came in, what goes out, what finishing one message changes.

No SQL and no behaviour here. A conversation is known by its network and its own id, `Place`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Place(NamedTuple):
    """Where a message belongs: one conversation on one network."""

    network: str
    conversation: str


class Consent(StrEnum):
    """What a contact said about messages that the bot sends first; unsaid is NULL in the database."""

    OPTED_IN = "in"
    OPTED_OUT = "out"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as a connector received it; `id` is the network's and unique within its place."""

    place: Place
    id: str
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class InboxRow:
    """An accepted message. `attempts` counts the lives of the process that began it after a crash."""

    row_id: int
    place: Place
    id: str
    sender: str
    text: str
    received_at: float
    attempts: int = 0

    @property
    def reply_id(self) -> str:
        """Return the id of the one reply; derived, so that a repeated run cannot make a second one."""
        return f"r{self.row_id}"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something for a contact. `seq` is None for a draft (a piece of a streamed reply), which is not kept."""

    seq: int | None
    id: str
    place: Place
    reply_to: str | None
    text: str
    at: float
    final: bool = True


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder to be set: wall clock, epoch seconds."""

    place: Place
    due_at: float
    text: str


@dataclass(slots=True)
class Changes:
    """What a handler changed besides its reply; committed with it or not at all.

    `values` maps (scope, key) to JSON text, None deletes.
    """

    values: dict[tuple[str, str], str | None] = field(default_factory=dict)
    reminders: list[Due] = field(default_factory=list)
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome of an accept: `row` is None for a repeat, `first_contact` the disclosure committed with it."""

    row: InboxRow | None
    first_contact: Outgoing | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a conversation's past; `sender` is "contact" or "bot"."""

    id: str
    sender: str
    text: str
    at: float
    seq: int | None
