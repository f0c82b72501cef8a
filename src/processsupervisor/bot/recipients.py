"""Who can be written to first: the conversations that agreed and can be reached, a page at a time, so that any number fits the memory.

A handler that is played again after a question is told the same pages. Whoever agrees while they are read may be among them or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from processsupervisor.bot.work import told
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Place, RoomKind

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Recipient:
    """A conversation that `bot.send` may write to: `network` and `conversation` are what it takes."""

    network: str
    conversation: str
    title: str = ""
    """Of a group or channel; empty where the network tells none."""
    room: RoomKind = RoomKind.PRIVATE

    @property
    def is_private(self) -> bool:
        """Whether it is with one person alone."""
        return self.room is RoomKind.PRIVATE


async def recipients(database: BotDatabase) -> AsyncIterator[Recipient]:
    """Yield all of them, by network and conversation."""
    last = Place("", "")

    async def page() -> list[list[str]]:
        if not database.is_used():
            return []
        return [[*row.place, row.title, row.room.value] for row in await database.agreed(last, _PAGE)]

    while rows := await told("recipients", " ".join(last), page):
        for network, conversation, title, room in rows:
            yield Recipient(network, conversation, title, RoomKind(room))
        last = Place(*rows[-1][:2])
