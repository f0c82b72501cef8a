"""Messages that were committed although that was told to have failed: found again, and queued in the order of the inbox.

Their networks may never bring them a second time. While they are looked for, every other message waits to be queued, so that what
was accepted behind them is not handled before them. Queues nothing itself and knows no conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Outgoing

_log = logging.getLogger("processsupervisor.bot")


class Doubts:
    """Rows go through `put`; `queue` gets them. `open_rows` are those that were queued already, `show` gets statements that were found."""

    def __init__(
        self, database: BotDatabase, open_rows: Collection[int], queue: Callable[[InboxRow], None], show: Callable[[Outgoing], None]
    ) -> None:
        self._database = database
        self._open_rows = open_rows
        self._queue = queue
        self._show = show
        self._looks = 0
        """How many looks are under way."""
        self._held_back: dict[int, InboxRow] = {}
        """What waits for their end, by number."""

    @property
    def waiting(self) -> int:
        """Return how many messages wait to be queued."""
        return len(self._held_back)

    def put(self, rows: Iterable[InboxRow]) -> None:
        """Queue committed messages: now, or with those that are being looked for."""
        for row in rows:
            if self._looks:
                self._held_back[row.row_id] = row
            else:
                self._queue(row)

    def look(self) -> None:
        """Find what is committed and not queued. What was submitted to the database before this call is seen."""
        with contextlib.suppress(StorageError):  # closed: the next life takes them up
            self._database.held().add_done_callback(self._found)
            self._looks += 1

    def _found(self, done: asyncio.Future[tuple[list[InboxRow], list[Outgoing]]]) -> None:
        self._looks -= 1
        if not done.cancelled() and done.exception() is None:
            rows, statements = done.result()
            unknown = {row.row_id: row for row in rows if row.row_id not in self._open_rows and row.row_id not in self._held_back}
            for statement in statements:
                if int(statement.id.removeprefix("program-")) in unknown:
                    self._show(statement)
            if unknown:
                _log.warning("%d messages were kept although the disk refused them; they are handled now", len(unknown))
            self._held_back.update(unknown)
        if not self._looks:
            found, self._held_back = self._held_back, {}
            for number in sorted(found):
                self._queue(found[number])
