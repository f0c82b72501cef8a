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
        self._before: list[Reply] = []
        self._number = 0
        """Which reply has grown last; those in front of it stand in `_before`."""
        self._grown_text: str | None = None
        """All of it; `_text` is what is shown."""
        self._id = row.reply_id
        self._text = ""
        self._may_show = False
        """Its id is committed, and all that was said before is sent: nothing is shown in front of the statement of a program."""
        self._shown_mono = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def grow(self, before: list[Reply], text: str) -> None:
        """Show the whole text so far of the reply behind `before`, soon."""
        can = self._networks.can(self._row.place.network)
        if not can.drafts:
            return
        if not self._may_show:
            self._may_show = await self._database.draft(self._row)
        self._before, self._number, self._grown_text = before, len(before), text
        if len(text) * 2 > can.max_text_chars and units(text) > can.max_text_chars:
            return  # it will be several messages: what is shown stays until then
        if not self._may_show:
            return
        self._text = text
        self._id = self._row.reply_id if not before else f"{self._row.reply_id}.{len(before) + 1}"
        self._grown()

    def shown(self) -> list[Reply]:
        """Return what has grown until now, and what stood in front of it: what stays of a message whose handler is interrupted."""
        return [] if self._grown_text is None else [*self._before[: self._number], Reply(self._grown_text)]

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
