"""What a handler gets: one message of a contact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from processsupervisor.bot.files import Attachment, attachment_of
from processsupervisor.bot.store import Store
from processsupervisor.storage import records
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Kind, Place
from processsupervisor.storage.values import scope_of


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its network delivered it; `id` is the network's, `at` when the bot accepted it (UTC)."""

    id: str
    text: str
    conversation: str
    network: str
    sender: str
    at: datetime
    store: Store[Any] = field(repr=False, compare=False)
    """Values of this conversation, committed together with the reply."""
    kind: Kind = Kind.MESSAGE
    about: str | None = None
    """The network's id of the message that this one answers, edits or presses a button of."""
    attachments: tuple[Attachment, ...] = ()
    """The files that came with it."""

    @property
    def place(self) -> Place:
        """The conversation on its network."""
        return Place(self.network, self.conversation)


def message_of(row: InboxRow, database: BotDatabase, fetch: Callable[[records.Attachment], AsyncIterator[bytes]]) -> Message:
    """Return the author's view of an inbox row; `fetch` gets a file that came with it."""
    return Message(
        id=row.id,
        text=row.text,
        conversation=row.place.conversation,
        network=row.place.network,
        sender=row.sender,
        at=datetime.fromtimestamp(row.received_at, UTC),
        store=Store(database, scope_of(row.place)),
        kind=row.kind,
        about=row.envelope.about,
        attachments=tuple(attachment_of(one, fetch) for one in row.envelope.attachments),
    )
