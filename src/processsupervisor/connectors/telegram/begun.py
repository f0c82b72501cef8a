"""Which message of a group is the beginning of which reply, in a file, until the reply is whole; and the end of those that never will be.

A reply ends in the message that it began as (drafts.py), also in the next life. What began there and never comes, because its handler
answered something else the second time or nothing at all, is taken away: it would stand there as a sentence that goes on.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from aiogram.methods import DeleteMessage

from processsupervisor.connectors.base import ErrorKind, NetworkError, Port
from processsupervisor.connectors.telegram.calls import target_of
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.kept import read_rows, write_rows
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.records import SendState

SWEEP_S = 60.0
_MAX_BEGUN = 200
_COMING = (SendState.WAITING, SendState.SENDING)
_log = logging.getLogger("processsupervisor.telegram")


class Begun:
    """{reply: [conversation, message that is its beginning]}, in a file that is not there when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[str, int]] | None = None

    def find(self, out_id: str, conversation: str) -> int | None:
        """Return the message that a reply has begun as, if it stands in that conversation."""
        found = self._all().get(out_id)
        return found[1] if found is not None and found[0] == conversation else None

    def note(self, out_id: str, conversation: str, message_id: int) -> None:
        """Keep it; of very many the oldest are forgotten."""
        known = self._all()
        known[out_id] = (conversation, message_id)
        while len(known) > _MAX_BEGUN:
            del known[next(iter(known))]
        write_rows(self._path, known)

    def all(self) -> dict[str, tuple[str, int]]:
        """Return a copy of everything that is known."""
        return dict(self._all())

    def forget(self, out_id: str) -> None:
        """Drop it: the reply is whole."""
        if self._all().pop(out_id, None) is not None:
            write_rows(self._path, self._all())

    def _all(self) -> dict[str, tuple[str, int]]:
        if self._known is None:
            self._known = {key: (row[0], row[1]) for key, row in read_rows(self._path, str, int).items()}
        return self._known


async def sweep(begun: Begun, client: Client, port: Port) -> None:
    """Take away what began and never comes, at once and each minute; until cancelled."""
    while True:
        try:
            for out_id, (conversation, message_id) in begun.all().items():
                state = await port.reply_state(out_id)
                if state in _COMING:
                    continue
                if state is None and not await _is_taken_away(client, conversation, message_id):
                    continue
                begun.forget(out_id)
        except StorageError as err:
            _log.warning("whether replies that have begun still come is not to be had: %s", err)
        await asyncio.sleep(SWEEP_S)


async def _is_taken_away(client: Client, conversation: str, message_id: int) -> bool:
    """Delete a message; False when that has to be tried again. Telegram deletes those of the last 48 hours."""
    try:
        await client.call(DeleteMessage(chat_id=target_of(conversation).chat_id, message_id=message_id))
    except NetworkError as err:
        return err.kind in (ErrorKind.PERMANENT, ErrorKind.GONE)
    return True
