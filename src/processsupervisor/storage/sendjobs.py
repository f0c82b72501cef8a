"""The database's methods for sending: what is due, and how far each row is. The statements stand in sends.py."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from processsupervisor.storage import cursors, outbox, sends
from processsupervisor.storage.conversations import place_now
from processsupervisor.storage.jobs import Jobs
from processsupervisor.storage.records import NO_EXTRAS, Extras, Outgoing, Place, Reply, SendState


class SendJobs(Jobs):
    """Marks that say how a send ended are sticky: they wait out a failing disk, for the network has been called already."""

    async def send(self, out_id: str, place: Place, text: str, extras: Extras = NO_EXTRAS) -> Outgoing | None:
        """Append an outbox row that answers nothing; None when the id exists."""

        def work(db: sqlite3.Connection) -> Outgoing | None:
            there = place_now(db, place)
            return outbox.add_outgoing(db, out_id, there, None, Reply(text, extras), self.state_of(there))

        return await self.run(work)

    async def sends_due(self, network: str, now: float, limit: int) -> list[Outgoing]:
        """Return the oldest unsent row of each conversation, as far as it may be sent now."""
        return await self.run(lambda db: sends.sends_due(db, network, now, limit))

    async def next_send_at(self, network: str) -> float | None:
        """Return when the next row may be sent (epoch seconds, 0 for at once), None when none waits."""
        return await self.run(lambda db: sends.next_send_at(db, network))

    def sending(self, ids: Sequence[str]) -> asyncio.Future[list[str]]:
        """Commit that these are about to be sent; resolves to those that may be. Raises StorageError, also through the future."""
        return self.writer.submit(lambda db: sends.sending(db, ids))

    def sent(self, out_id: str, network_id: str) -> asyncio.Future[None]:
        """Commit that the network took a row, under an id of its own ("" when it gave none)."""
        return self.writer.submit(lambda db: sends.sent(db, out_id, network_id), sticky=True)

    def send_again(self, out_id: str, not_before: float) -> asyncio.Future[None]:
        """Commit that a row was not taken and waits until `not_before` (epoch seconds)."""
        return self.writer.submit(lambda db: sends.send_again(db, out_id, not_before), sticky=True)

    def send_failed(self, out_id: str, reason: str) -> asyncio.Future[None]:
        """Commit that the network refuses a row for good."""
        return self.writer.submit(lambda db: sends.send_failed(db, out_id, reason), sticky=True)

    def send_unknown(self, out_id: str, resend: bool) -> asyncio.Future[None]:
        """Commit that it is unknown whether a row was taken: it is sent again, as a repeat, or ends UNCERTAIN."""
        return self.writer.submit(lambda db: sends.send_unknown(db, out_id, resend), sticky=True)

    async def left_sending(self, network: str) -> list[Outgoing]:
        """Return rows that an earlier life was sending when it ended; to be asked before anything is sent."""
        return await self.run(lambda db: sends.left_sending(db, network))

    async def uncertain_count(self, network: str) -> int:
        """Return how many rows are marked as uncertain, sent again or not."""
        return await self.run(lambda db: sends.uncertain_count(db, network))

    async def network_id(self, out_id: str) -> str | None:
        """Return the network's id of a row of ours that was sent."""
        return await self.run(lambda db: sends.network_id(db, out_id))

    async def reply_state(self, out_id: str) -> SendState | None:
        """Return how far a reply is, WAITING while its message is open, None when it will never be."""
        return await self.run(lambda db: sends.reply_state(db, out_id))

    async def find_out(self, place: Place, network_id: str) -> str | None:
        """Return the id of our row that the network knows by `network_id` in that place."""
        return await self.run(lambda db: sends.find_out(db, place, network_id))

    async def cursor(self, network: str) -> int | None:
        """Return how far a network was read, None when never."""
        return await self.run(lambda db: cursors.read_cursor(db, network))

    async def set_cursor(self, network: str, position: int) -> None:
        """Commit how far a network was read, where no message says it."""
        await self.run(lambda db: cursors.write_cursor(db, network, position))
