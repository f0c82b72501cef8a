"""Replies that grow: the id is committed before the first piece is shown, every piece carries the whole text so far.

Pieces are shown at most every 50 ms, the last one of a burst by a timer, so that a fast handler costs its readers little. Where
the network shows no drafts nothing is shown or committed before the end.
"""

from __future__ import annotations

import asyncio

from processsupervisor.bot.networks import Networks
from processsupervisor.chat.splitting import units
from processsupervisor.kernel import clock
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Outgoing, Reply

_SHOW_EVERY_S = 0.05


class Draft:
    """Shows those replies to one message that grow."""

    def __init__(self, row: InboxRow, database: BotDatabase, networks: Networks) -> None:
        self._row = row
        self._database = database
        self._networks = networks
        self._texts: dict[int, str] = {}
        """What was shown, by the number of the reply."""
        self._id = row.reply_id
        self._text = ""
        self._is_committed = False
        self._shown_mono = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def grow(self, number: int, text: str) -> None:
        """Show the whole text so far of reply `number`, soon."""
        can = self._networks.can(self._row.place.network)
        if not can.drafts:
            return
        if not self._is_committed:
            await self._database.draft(self._row)
            self._is_committed = True
        self._texts[number] = text
        if len(text) * 2 > can.max_text_chars and units(text) > can.max_text_chars:
            return  # it will be several messages: what is shown stays until then
        self._text = text
        self._id = self._row.reply_id if number == 0 else f"{self._row.reply_id}.{number + 1}"
        self._grown()

    def shown(self) -> list[Reply]:
        """Return what has grown until now: what stays of a message whose handler is interrupted."""
        return [Reply(text) for number, text in enumerate(self._texts.values()) if number in self._texts]

    def close(self) -> None:
        """Show nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _grown(self) -> None:
        wait_s = self._shown_mono + _SHOW_EVERY_S - clock.mono()
        if wait_s <= 0:
            self._show()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._show)

    def _show(self) -> None:
        self.close()
        self._shown_mono = clock.mono()
        self._networks.show(Outgoing(None, self._id, self._row.place, self._row.id, self._text, clock.wall(), final=False))
