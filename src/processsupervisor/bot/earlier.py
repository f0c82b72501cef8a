"""Messages that an earlier life of the bot left: each is written down as begun again, and those that ran at a crash run one at a time.

So one that always kills the bot is found out, and does not take others down with it. A stop in good order is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence

from processsupervisor.chat.turns import Turn
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow

MAX_LIVES = 3  # so often a message may be running when the process dies before it is given up
_log = logging.getLogger("processsupervisor.bot")


class Earlier:
    """The messages of earlier lives, in one life of the bot."""

    def __init__(self, database: BotDatabase) -> None:
        self._database = database
        self._left: set[int] = set()
        """Rows that an earlier life left, until this one begins them."""
        self._counted: set[int] = set()
        """Rows whose begin in this life is written down, until they end."""
        self._suspects = asyncio.Lock()
        self._suspect: Turn | None = None
        """The one that runs."""

    def add(self, rows: Iterable[InboxRow]) -> None:
        """Note what was left."""
        self._left.update(row.row_id for row in rows)

    async def begin(self, turn: Turn) -> bool:
        """Write down that this life begins a turn, if earlier ones had it; False for one that was running at too many crashes."""
        if not self._left:
            return True
        await self._count((*turn.others, turn.row))
        return turn.row.attempts < MAX_LIVES - 1  # and once in the life that accepted it

    async def _count(self, rows: Sequence[InboxRow]) -> None:
        for row in rows:
            if row.row_id not in self._left:
                continue
            while row.attempts < MAX_LIVES - 1:
                try:
                    await self._database.count_attempt(row, 1)
                except StorageError as err:
                    _log.warning("a message waits for the database: %s", err)
                    await asyncio.sleep(1.0)
                    continue
                self._counted.add(row.row_id)
                break
            self._left.discard(row.row_id)

    def stopped(self, turn: Turn) -> None:
        """Take the begin of a turn back: the bot is stopped in good order, which is the fault of none of its messages."""
        for row in (*turn.others, turn.row):
            if row.row_id in self._counted:
                with contextlib.suppress(StorageError):
                    self._database.count_attempt(row, -1)

    def ended(self, turn: Turn) -> None:
        """Forget a turn that is through."""
        self._counted.difference_update((turn.row.row_id, *(row.row_id for row in turn.others)))

    async def wait_alone(self, turn: Turn) -> None:
        """Wait until no other suspect runs; `clear` lets the next one run."""
        await self._suspects.acquire()
        self._suspect = turn

    def clear(self, turn: Turn) -> None:
        """Let the next suspect run, if this is the one that did."""
        if self._suspect is turn:
            self._suspect = None
            self._suspects.release()
