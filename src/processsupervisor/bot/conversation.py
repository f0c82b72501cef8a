"""`Conversation`: where a message belongs, and what a handler can say there besides its reply."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from processsupervisor.bot.context import Context
from processsupervisor.bot.questions import Said, ask
from processsupervisor.bot.reply import Part, Reply, record_of
from processsupervisor.bot.store import Store
from processsupervisor.bot.work import told
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.storage.known import HistoryEntry
from processsupervisor.storage.records import Place, RoomKind
from processsupervisor.storage.values import scope_of

MAX_SENDS = 100
MAX_HISTORY = 200


class Conversation:
    """One conversation on one network, in one run of a handler."""

    __slots__ = ("_context", "id", "network", "room", "title")

    def __init__(self, context: Context) -> None:
        row = context.row
        self._context = context
        self.network, self.id = row.place
        self.room: RoomKind = row.envelope.room
        self.title = row.envelope.title

    @property
    def place(self) -> Place:
        """The conversation on its network."""
        return self._context.row.place

    @property
    def is_private(self) -> bool:
        """Whether it is with one person alone."""
        return self.room is RoomKind.PRIVATE

    @property
    def store(self) -> Store[Any]:
        """Values of this conversation, committed together with the reply."""
        return Store(self._context.database, scope_of(self.place))

    async def send(self, message: str | Reply) -> None:
        """Say something besides the reply: committed together with it, and shown behind it.

        Raises Refused (code "ended") once the handler's changes were handed over; UsageError for more than 100 in one run.
        """
        work = self._context.work
        if not work.is_open:
            raise Refused("the handler of this message has ended", hint="use bot.send", code="ended")
        if len(work.changes.sends) >= MAX_SENDS:
            raise UsageError(f"a handler sends at most {MAX_SENDS} messages besides its reply")
        work.changes.sends.append((self.place, await record_of(message, self._context.row)))

    async def history(self, limit: int = 50) -> list[HistoryEntry]:
        """Return the last messages of both sides, oldest first, at most 200."""
        wanted = max(1, min(limit, MAX_HISTORY))

        async def read() -> list[list[Any]]:
            found = await self._context.database.history(self.place, wanted)
            return [[entry.id, entry.sender, entry.text, entry.at, entry.seq] for entry in found]

        return [HistoryEntry(*entry) for entry in await told("history", str(wanted), read)]

    async def ask(self, question: Part, *, timeout: float | timedelta | str | None = None, choices: Sequence[str] = ()) -> Said:
        """Ask, and wait for the answer, as `ask` (bot/questions.py) does."""
        return await ask(question, timeout=timeout, choices=choices)

    def __repr__(self) -> str:
        return f"Conversation({self.network!r}, {self.id!r})"
