"""What a handler gets: one message of a contact."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from processsupervisor.bot.store import Store
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Place
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
    store: Store = field(repr=False, compare=False)
    """Values of this conversation, committed together with the reply."""

    @property
    def place(self) -> Place:
        """The conversation on its network."""
        return Place(self.network, self.conversation)


def message_of(row: InboxRow, database: BotDatabase) -> Message:
    """Return the author's view of an inbox row."""
    return Message(
        id=row.id,
        text=row.text,
        conversation=row.place.conversation,
        network=row.place.network,
        sender=row.sender,
        at=datetime.fromtimestamp(row.received_at, UTC),
        store=Store(database, scope_of(row.place)),
    )
