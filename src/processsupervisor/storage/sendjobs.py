"""The database's methods for sending: what is due, and how far each row is. The statements stand in sends.py."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from processsupervisor.storage import cursors, outbox, sends, uncertain
from processsupervisor.storage.conversations import place_now
from processsupervisor.storage.presses import PressJobs
from processsupervisor.storage.records import NO_EXTRAS, Extras, Outgoing, Place, Reply, SendState
from processsupervisor.storage.uncertain import UncertainSend


class SendJobs(PressJobs):
    """Marks that say how a send ended are sticky: they wait out a failing disk, for the network has been called already."""

    async def send(self, out_id: str, place: Place, text: str, extras: Extras = NO_EXTRAS) -> Outgoing | None:
        """Append an outbox row that answers nothing; None when the id exists."""
        reply = Reply(text, extras)
        self.note_buttons(place, [reply])

        def work(db: sqlite3.Connection) -> Outgoing | None:
            there = place_now(db, place)
            return outbox.add_outgoing(db, out_id, there, None, reply, self.state_of(there))

        return await self.run(work)

    async def sends_due(self, network: str, now: float, limit: int) -> list[Outgoing]:
        """Return the oldest unsent row of each conversation, as far as it may be sent now."""
        return await self.run(lambda db: sends.sends_due(db, network, now, limit))

    async def next_send_at(self, network: str) -> float | None:
        """Return when the next row may be sent (monotonic, 0 for at once), None when none waits."""
        return await self.run(lambda db: sends.next_send_at(db, network))

    def sending(self, ids: Sequence[str]) -> asyncio.Future[list[str]]:
        """Commit that these are about to be sent; resolves to those that may be. Raises StorageError, also through the future."""
        return self.writer.submit(lambda db: sends.sending(db, ids))

    def sent(self, out_id: str, network_id: str) -> asyncio.Future[None]:
        """Commit that the network took a row, under an id of its own ("" when it gave none)."""
        return self.writer.submit(lambda db: sends.sent(db, out_id, network_id), sticky=True)

    def send_again(self, out_id: str, not_before: float) -> asyncio.Future[None]:
        """Commit that a row was not taken and waits until `not_before` (monotonic, of this life)."""
        return self.writer.submit(lambda db: sends.send_again(db, out_id, not_before), sticky=True)

    def send_failed(self, out_id: str, reason: str) -> asyncio.Future[None]:
        """Commit that the network refuses a row for good."""
        return self.writer.submit(lambda db: sends.send_failed(db, out_id, reason), sticky=True)

    def send_unknown(self, out_id: str, resend: bool) -> asyncio.Future[None]:
        """Commit that it is unknown whether a row was taken: it is sent again, as a repeat, or ends UNCERTAIN."""
        return self.writer.submit(lambda db: sends.send_unknown(db, out_id, resend), sticky=True)

    async def all_due(self, network: str) -> None:
        """Commit that all rows of a network may be sent at once; to be asked before anything is sent."""
        await self.run(lambda db: sends.all_due(db, network))

    async def left_sending(self, network: str) -> list[Outgoing]:
        """Return rows that an earlier life was sending when it ended; to be asked before anything is sent."""
        return await self.run(lambda db: sends.left_sending(db, network))

    async def uncertain_sends(self, limit: int = 100) -> list[UncertainSend]:
        """Return rows whose outcome was unknown, newest first, with what became of them."""
        return await self.run(lambda db: uncertain.uncertain_sends(db, limit)) if self.is_used() else []

    async def send_anew(self, number: int) -> Outgoing | None:
        """Let a row wait that was uncertain and not sent again; None when there is no such one. Raises Refused: its files are gone."""
        return await self.run(lambda db: uncertain.send_anew(db, number)) if self.is_used() else None

    async def network_id(self, out_id: str) -> str | None:
        """Return the network's id of a row of ours that was sent."""
        return await self.run(lambda db: sends.network_id(db, out_id))

    async def reply_state(self, out_id: str) -> SendState | None:
        """Return how far a reply is, WAITING while its message is open, None when it will never be."""
        return await self.run(lambda db: sends.reply_state(db, out_id))

    async def cursor(self, network: str) -> int | None:
        """Return how far a network was read, None when never."""
        return await self.run(lambda db: cursors.read_cursor(db, network))
