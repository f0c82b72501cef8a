"""A reply in pieces: its id is committed before the first piece is shown, every piece carries the whole text so far.

Pieces are shown at most every 50 ms, the last one of a burst by a timer, so that a fast handler costs its readers little.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from processsupervisor.bot.dispatch import BadReply
from processsupervisor.connectors.base import clean_text
from processsupervisor.kernel import clock
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Outgoing

MAX_REPLY_CHARS = 150_000  # whatever JSON makes of it, one reply fits one line of 1 MiB
_SHOW_EVERY_S = 0.05


def cut_reply(text: str) -> str:
    """Return at most MAX_REPLY_CHARS of a reply."""
    return text if len(text) <= MAX_REPLY_CHARS else text[: MAX_REPLY_CHARS - 1] + "…"


class Draft:
    """Collects one streamed reply and shows it as it grows."""

    def __init__(self, row: InboxRow, database: BotDatabase, publish: Callable[[Outgoing], None]) -> None:
        self._row = row
        self._database = database
        self._publish = publish
        self._text = ""
        self._shown_mono = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def collect(self, pieces: AsyncIterator[str]) -> str | None:
        """Return the whole reply, None when no piece came. Closes the iterator whatever happens."""
        is_committed = False
        try:
            async for piece in pieces:
                if not isinstance(piece, str):
                    raise BadReply(f"a handler yielded {type(piece).__name__}, expected str")
                if not is_committed:
                    await self._database.draft(self._row)
                    is_committed = True
                if len(self._text) <= MAX_REPLY_CHARS:
                    self._text = cut_reply(self._text + clean_text(piece))
                    self._grown()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        return self._text if is_committed else None

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
        self._publish(Outgoing(None, self._row.reply_id, self._row.place, self._row.id, self._text, clock.wall(), final=False))
