"""What connectors may look up in the bot's database: how far a network was read, what was said, how far a reply is."""

from __future__ import annotations

from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.known import HistoryEntry
from processsupervisor.storage.records import Outgoing, Place, SendState


class Lookups:
    """The part of a connector's port that only reads. Every method raises StorageError."""

    def __init__(self, database: BotDatabase) -> None:
        self._database = database

    async def cursor(self, network: str) -> int | None:
        """Return how far a network was read."""
        return await self._database.cursor(network) if self._database.is_used() else None

    async def network_id(self, out_id: str) -> str | None:
        """Return the network's id of a message of ours."""
        return await self._database.network_id(out_id)

    async def reply_state(self, out_id: str) -> SendState | None:
        """Return how far a reply is, None when it will never be."""
        return await self._database.reply_state(out_id) if self._database.is_used() else None

    async def after(self, place: Place, seq: int, limit: int) -> list[Outgoing]:
        """Return committed rows of a place behind `seq`."""
        return await self._database.after(place, seq, limit)

    async def history(self, place: Place, limit: int) -> list[HistoryEntry]:
        """Return the last messages of both sides."""
        return await self._database.history(place, limit)
