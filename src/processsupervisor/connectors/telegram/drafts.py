"""A reply that grows: Telegram's own drafts in private chats, which vanish by themselves and leave nothing behind a crash.

The newest piece wins: one call at a time and chat, at most one in `EVERY_S`. Nothing here is needed; whatever fails is left out.
"""

from __future__ import annotations

import asyncio
import zlib

from aiogram.methods import SendMessageDraft

from processsupervisor.connections.buckets import Buckets
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram.calls import target_of, text_fields
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.markup import units
from processsupervisor.kernel import clock
from processsupervisor.storage.records import Outgoing

EVERY_S = 0.5
MAX_CHARS = 4096
_SETTLE_S = 2.0
_MAX_REFUSALS = 5


class Drafts:
    """The drafts of one bot."""

    def __init__(self, client: Client, buckets: Buckets) -> None:
        self._client = client
        self._buckets = buckets
        self._newest: dict[str, Outgoing] = {}
        self._showing: dict[str, asyncio.Task[None]] = {}
        self._refusals = 0
        """In a row. A server of the Bot API that has no drafts is not asked for ever."""
        self._is_closed = False

    def show(self, out: Outgoing) -> None:
        """Show a piece soon. Never waits, never raises."""
        conversation = out.place.conversation
        if self._is_closed or self._refusals >= _MAX_REFUSALS or conversation.startswith("-") or not out.text.strip():
            return
        self._newest[conversation] = out
        if conversation not in self._showing:
            task = asyncio.get_running_loop().create_task(self._run(conversation))
            self._showing[conversation] = task
            task.add_done_callback(lambda _: self._showing.pop(conversation, None))

    async def settle(self, conversation: str) -> None:
        """Return when no draft of a conversation can come any more: its message is about to be sent."""
        self._newest.pop(conversation, None)
        task = self._showing.get(conversation)
        if task is not None:
            await asyncio.wait((task,), timeout=_SETTLE_S)

    def close(self) -> None:
        """Show nothing more."""
        self._is_closed = True
        self._newest.clear()
        for task in tuple(self._showing.values()):
            task.cancel()

    async def _run(self, conversation: str) -> None:
        while (out := self._newest.pop(conversation, None)) is not None:
            began_mono = clock.mono()
            await self._show(out)
            if conversation not in self._newest:
                return
            await asyncio.sleep(max(EVERY_S - (clock.mono() - began_mono), 0.0))

    async def _show(self, out: Outgoing) -> None:
        if units(out.text) > MAX_CHARS or self._buckets.held_s(clock.mono()) > 0:
            return
        try:
            target = target_of(out.place.conversation)
            draft = SendMessageDraft(draft_id=zlib.crc32(out.id.encode()) & 0x7FFFFFFF | 1, **target.fields(), **text_fields(out, False))
            await self._client.call(draft)
        except NetworkError as err:
            if err.kind == ErrorKind.RATE and err.retry_after_s is not None:
                self._buckets.refused(out.place.conversation, err.retry_after_s, clock.mono())
            elif err.kind == ErrorKind.PERMANENT:
                self._refusals += 1
        else:
            self._refusals = 0
