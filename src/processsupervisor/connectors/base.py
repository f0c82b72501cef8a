"""What a connector is. Its law stands in processsupervisor/testing/connectorlaw.py and holds for every one, ours and others'.

1. A message is acknowledged to the network only after `Port.accept` resolved; a refusal is told, and nothing is stored.
2. The network's own id of a message goes into `Incoming.id` unchanged: a repeat is acknowledged and handled once.
3. Networks that readers pull from (`is_pulled`): `publish` never waits and never raises, and a reader that resumes behind the last `seq`
   it saw is shown every final Outgoing once. Networks that must be sent to: `send` returns when the network has taken it, or raises
   NetworkError with the kind that says what to do; it never tries again by itself and never waits out a rate limit.
4. A connector with a network says each proof of it by `Port.prove`; without one it is never offline.
5. `identify` is asked before anything is received; a NetworkError of kind AUTH or CONFLICT there or later ends the bot, with that reason.
6. After `close` nothing is accepted, shown or sent. `open` raises when the network cannot be served.
7. What a network lacks (`capabilities`) the engine says in words before it commits a row. A row that holds it all the same, of a life
   when the network could more, is shown in words (`lacking.worded`) or refused as PERMANENT with a message that names what is
   missing (edits, buttons, files): never dropped in silence, and never shown without its text.
8. A row that comes twice under one id is shown once where `takes_key` says so, and a piece behind its whole changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.storage.known import HistoryEntry
from processsupervisor.storage.records import Accepted, Attachment, Incoming, Outgoing, Place, SendState

MAX_TEXT_BYTES = 64 * 1024
MAX_ID_CHARS = 200
MAX_HISTORY = 200


class ErrorKind(StrEnum):
    """What a network's error asks of us."""

    AUTH = "auth"
    """The token is not valid: nothing helps but another one. The bot ends with 77."""
    CONFLICT = "conflict"
    """Somebody else receives with the same token. The bot ends with 79."""
    RATE = "rate"
    """Too much at once: again after `retry_after_s`, not before."""
    TRANSIENT = "transient"
    """The network or the way to it fails: again, later."""
    PERMANENT = "permanent"
    """This message can never be sent as it is."""
    GONE = "gone"
    """Nobody can be reached there any more: blocked, kicked, deleted."""


class NetworkError(PsvError):
    """A network refused, or cannot be reached. The message names no token and no text of a contact.

    `is_uncertain`: the call may have been carried out all the same (the connection was cut behind the request).
    `moved_to`: GONE because the conversation has this id now. `is_for_bot`: RATE of the whole bot, not of one conversation.
    """

    code = "network"
    retryable = True

    def __init__(
        self, kind: ErrorKind, message: str, *, retry_after_s: float | None = None, is_uncertain: bool = False, moved_to: str | None = None,
        is_for_bot: bool = False, hint: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.is_uncertain = is_uncertain
        self.moved_to = moved_to
        self.is_for_bot = is_for_bot


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a network can do. The engine leaves out, or says in words, what it cannot."""

    takes_key: bool = False
    """A send that is repeated with the same Outgoing.id is shown once."""
    max_text_chars: int = MAX_TEXT_BYTES
    """Longest text of one message, in UTF-16 units; longer ones are split before they are committed."""
    markup: bool = False
    edits: bool = False
    buttons: bool = False
    files: bool = False
    typing: bool = False
    drafts: bool = False
    """Pieces of a streamed reply are shown by `publish` (final = False)."""


class Identity(NamedTuple):
    """Who the bot is on a network."""

    id: str
    name: str


class Receipt(NamedTuple):
    """What a network said of a message that it took: its own id, "" when it gives none."""

    network_id: str


class Port(Protocol):
    """What a connector may ask of the bot that owns it."""

    def accept(self, incoming: Incoming) -> asyncio.Future[Accepted]:
        """Commit a message. Raises Refused ("paused", "stopping", "busy") at once, StorageError by the future."""

    def prove(self, network: str) -> None:
        """Say that the network has answered just now: after each poll and each message. Costs nothing, at any rate."""

    def end(self, error: NetworkError) -> None:
        """End the bot: the token is refused (AUTH) or in use elsewhere (CONFLICT). Returns at once."""

    async def cursor(self, network: str) -> int | None:
        """Return how far the network was read, as the last committed Incoming.cursor said. Raises StorageError."""

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows behind `seq`. Raises StorageError."""

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides. Raises StorageError."""

    async def network_id(self, out_id: str) -> str | None:
        """Return the network's id of a message of ours that was sent, for an edit of it. Raises StorageError."""

    async def reply_state(self, out_id: str) -> SendState | None:
        """Return how far a reply is, WAITING also while its message is handled; None: none of that id is to come. Raises StorageError."""

    async def moved(self, old: Place, new: Place) -> None:
        """Note that a conversation has another id now: all that is kept of it, and what waits, is of the new one. Raises StorageError."""


class Connector(Protocol):
    """One network of one bot."""

    @property
    def network(self) -> str:
        """The network's name in Place."""

    @property
    def has_network(self) -> bool:
        """Tell whether there is a network that can be cut off; then the bot is connected by what `Port.prove` was told."""

    @property
    def is_pulled(self) -> bool:
        """Tell whether readers take rows by `publish` and `Port.after`; otherwise the engine sends each row by `send`."""

    @property
    def capabilities(self) -> Capabilities:
        """What the network can do; fixed once `identify` has returned."""

    async def identify(self) -> Identity | None:
        """Ask the network who the bot is; None where nobody is asked. Raises NetworkError; receives nothing yet."""

    async def open(self, port: Port) -> None:
        """Begin to serve. Raises a PsvError when it cannot."""

    def publish(self, out: Outgoing) -> None:
        """Show a committed row or a draft to whoever reads its place. Never waits, never raises."""

    async def send(self, out: Outgoing) -> Receipt:
        """Send a committed row. Raises NetworkError. Not called where `is_pulled`."""

    async def typing(self, place: Place) -> None:
        """Show that an answer is being made. Whatever goes wrong is not told."""

    def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Return the content of a file that came in, in pieces. Raises NetworkError while it is read."""

    async def close(self) -> None:
        """End serving; what readers have not seen stays in the outbox."""


class Posted(Protocol):
    """A connector whose network posts to the web process, which hands each post on (web.sock, op "update")."""

    @property
    def network(self) -> str:
        """The network's name in Place."""

    async def take(self, secret: str, update: Mapping[str, object]) -> None:
        """Commit what was posted. Raises Refused ("forbidden" when `secret` is not the network's) and StorageError: it is posted again."""


def clean_text(text: str) -> str:
    """Return text that every layer can store: lone surrogates, which UTF-8 has no bytes for, become "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def check_incoming(place: Place, message_id: str, text: str) -> None:
    """Raise Refused for a message that no network of ours takes: too long, or without an id or a text."""
    if not text.strip():
        raise Refused("a message needs a text", code="empty")
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise Refused(f"a message has at most {MAX_TEXT_BYTES // 1024} KiB", code="too-long")
    for name, value in (("id", message_id), ("conversation", place.conversation)):
        if not 0 < len(value) <= MAX_ID_CHARS:
            raise Refused(f"{name} needs 1 to {MAX_ID_CHARS} characters", code="bad-message")
