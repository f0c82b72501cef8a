"""What a connector is, and the law it keeps; tests/connectors/law.py holds every connector to it.

1. A message is acknowledged to the network only after `Port.accept` resolved; a refusal is told, and nothing is stored.
2. The network's own id of a message goes into `Incoming.id` unchanged: a repeat is acknowledged and handled once.
3. `publish` never waits and never raises; a slow reader is cut off at a bound and can take up where it was.
4. Every final Outgoing is shown once to a reader that resumes behind the last `seq` it saw; drafts may be skipped.
5. A connector with a network says each proof of it by `Port.prove`; without one it is never offline.
6. After `close` nothing is accepted. `open` raises when the network cannot be served; the bot then ends with the reason.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.records import Accepted, HistoryEntry, Incoming, Outgoing, Place

MAX_TEXT_BYTES = 64 * 1024
MAX_ID_CHARS = 200
MAX_HISTORY = 200


class Port(Protocol):
    """What a connector may ask of the bot that owns it."""

    def accept(self, incoming: Incoming) -> asyncio.Future[Accepted]:
        """Commit a message to the inbox. Raises Refused ("paused", "stopping", "busy") at once, StorageError by the future."""

    def prove(self, network: str) -> None:
        """Say that the network has answered just now: after each poll and each message. Costs nothing, at any rate."""

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows behind `seq`. Raises StorageError."""

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides. Raises StorageError."""


class Connector(Protocol):
    """One network of one bot."""

    @property
    def network(self) -> str:
        """The network's name in Place."""

    @property
    def has_network(self) -> bool:
        """Tell whether there is a network that can be cut off; then the bot is connected by what `Port.prove` was told."""

    async def open(self, port: Port) -> None:
        """Begin to serve. Raises a PsvError when it cannot."""

    def publish(self, out: Outgoing) -> None:
        """Show a committed row or a draft to whoever reads its place."""

    async def close(self) -> None:
        """End serving; what readers have not seen stays in the outbox."""


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
