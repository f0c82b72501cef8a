"""A reply in pieces: its id is committed before the first piece is shown, every piece carries the whole text so far.

Pieces are shown at most every 50 ms, the last one of a burst by a timer, so that a fast handler costs its readers little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processsupervisor.bot.reply import Answer, collect
from processsupervisor.kernel import clock
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Outgoing, Reply

_SHOW_EVERY_S = 0.05


class Draft:
    """Collects the replies to one message and shows those that grow."""

    def __init__(self, row: InboxRow, database: BotDatabase, publish: Callable[[Outgoing], None]) -> None:
        self._row = row
        self._database = database
        self._publish = publish
        self._text = ""
        self._id = row.reply_id
        self._is_committed = False
        self._shown_mono = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def collect(self, answer: Answer) -> list[Reply]:
        """Return the replies of an answer. Closes an iterator whatever happens."""
        try:
            return await collect(answer, self._row, self)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def grow(self, number: int, text: str) -> None:
        """Show the whole text so far of reply `number`, soon."""
        if not self._is_committed:
            await self._database.draft(self._row)
            self._is_committed = True
        self._text = text
        self._id = self._row.reply_id if number == 0 else f"{self._row.reply_id}.{number + 1}"
        self._grown()

    def _grown(self) -> None:
        wait_s = self._shown_mono + _SHOW_EVERY_S - clock.mono()
        if wait_s <= 0:
            self._show()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._show)

    def _show(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._shown_mono = clock.mono()
        self._publish(Outgoing(None, self._id, self._row.place, self._row.id, self._text, clock.wall(), final=False))
