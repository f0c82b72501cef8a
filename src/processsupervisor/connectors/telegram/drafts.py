"""A reply that grows: in private Telegram's own drafts, which vanish by themselves, in groups a message that is edited until it is whole.

The newest piece wins: one call at a time and chat, and none sooner than its pause. Which message of a group is the beginning of
which reply is kept (begun.py), so that the life after a crash makes it whole instead of writing another one. Nothing here is needed;
whatever fails is left out.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiogram.methods import EditMessageText, SendMessage, SendMessageDraft, TelegramMethod

from processsupervisor.connections.buckets import Buckets
from processsupervisor.connectors.base import ErrorKind, NetworkError, Port
from processsupervisor.connectors.telegram.begun import Begun, sweep
from processsupervisor.connectors.telegram.calls import Target, target_of, text_fields
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.markup import units
from processsupervisor.kernel import clock
from processsupervisor.storage.records import Outgoing

EVERY_S = 0.5
GROUP_FIRST_S = 1.0
"""A reply that is whole sooner is sent as one message."""
GROUP_EVERY_S = 4.0
"""A group takes twenty calls a minute; the answers themselves are among them."""
MAX_CHARS = 4096
_MORE = " …"
_SETTLE_S = 2.0
_MAX_REFUSALS = 5
_MAX_UNSURE = 200


class Drafts:
    """The growing replies of one bot; `path` is the file of those in groups, `port` says which of them still come."""

    def __init__(self, client: Client, buckets: Buckets, path: Path, port: Port) -> None:
        self._client = client
        self._buckets = buckets
        self._begun = Begun(path)
        self._sweeping = asyncio.get_running_loop().create_task(sweep(self._begun, client, port))
        self._unsure: deque[str] = deque(maxlen=_MAX_UNSURE)
        """Replies whose first piece may stand in a group under a number that nobody knows: there shall not be a second one."""
        self._newest: dict[str, Outgoing] = {}
        self._showing: dict[str, asyncio.Task[None]] = {}
        self._calling: set[str] = set()
        self._next_mono: dict[str, float] = {}
        """When a chat may be shown its next piece."""
        self._refusals = 0
        """In a row. A server of the Bot API that has no drafts is not asked for ever."""
        self._is_closed = False

    def show(self, out: Outgoing) -> None:
        """Show a piece soon. Never waits, never raises."""
        conversation = out.place.conversation
        if self._is_closed or out.id in self._unsure or self._refusals >= _MAX_REFUSALS:
            return
        if not out.text.strip() or units(out.text + _MORE) > MAX_CHARS:
            return
        self._newest[conversation] = out
        if conversation not in self._showing:
            self._next_mono.setdefault(conversation, clock.mono() + (GROUP_FIRST_S if conversation.startswith("-") else 0.0))
            task = asyncio.get_running_loop().create_task(self._run(conversation))
            self._showing[conversation] = task
            task.add_done_callback(lambda done: self._ended(conversation, done))

    def _ended(self, conversation: str, task: asyncio.Task[None]) -> None:
        if self._showing.get(conversation) is task:
            del self._showing[conversation]

    async def settle(self, out: Outgoing) -> int | None:
        """Return when no piece can come any more, as the whole is about to be sent: the message that it takes the place of, if any.

        Raises NetworkError (TRANSIENT): a piece is still on its way to a group.
        """
        conversation = out.place.conversation
        self._newest.pop(conversation, None)
        self._next_mono.pop(conversation, None)
        task = self._showing.get(conversation)
        if task is not None:
            if conversation not in self._calling:
                task.cancel()
            _, late = await asyncio.wait((task,), timeout=_SETTLE_S)
            self._next_mono.pop(conversation, None)
            if late and conversation.startswith("-"):  # it would put a piece into the place of the whole, and stay
                raise NetworkError(ErrorKind.TRANSIENT, "telegram: a piece of this reply is still on its way")
        return self._begun.find(out.id, conversation)

    def done(self, out: Outgoing) -> None:
        """Note that the whole was sent."""
        self._begun.forget(out.id)

    def close(self) -> None:
        """Show nothing more."""
        self._is_closed = True
        self._sweeping.cancel()
        self._newest.clear()
        for task in tuple(self._showing.values()):
            task.cancel()

    async def _run(self, conversation: str) -> None:
        while conversation in self._newest:
            wait_s = self._next_mono.get(conversation, 0.0) - clock.mono()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue  # with what is the newest by now
            out = self._newest.pop(conversation)
            self._calling.add(conversation)
            try:
                await self._show(out)
            finally:
                self._calling.discard(conversation)
            self._next_mono[conversation] = clock.mono() + (GROUP_EVERY_S if conversation.startswith("-") else EVERY_S)
        self._showing.pop(conversation, None)  # at once: a piece that comes before the callbacks of this task needs another one

    async def _show(self, out: Outgoing) -> None:
        if self._buckets.token_wait_s(clock.mono()) > 0:
            return
        try:
            target = target_of(out.place.conversation)
            if target.is_group:
                await self._grow(out, target)
            else:
                number = zlib.crc32(out.id.encode()) & 0x7FFFFFFF | 1
                await self._client.call(SendMessageDraft(draft_id=number, **target.fields(), **text_fields(out, False)))
        except NetworkError as err:
            if err.kind == ErrorKind.RATE and err.retry_after_s is not None:
                chat = out.place.conversation.partition("/")[0]
                self._buckets.refused(chat, err.retry_after_s, clock.mono(), is_group=chat.startswith("-"))
            elif err.kind == ErrorKind.PERMANENT:
                self._refusals += 1
        else:
            self._refusals = 0

    async def _grow(self, out: Outgoing, target: Target) -> None:
        if self._buckets.take(str(target.chat_id), clock.mono(), is_group=True) > 0:
            return
        fields = text_fields(replace(out, text=out.text + _MORE), False)
        standing = self._begun.find(out.id, out.place.conversation)
        method: TelegramMethod[Any]
        if standing is not None:
            method = EditMessageText(chat_id=target.chat_id, message_id=standing, **fields)
        else:
            method = SendMessage(**target.fields(), **fields)
        try:
            result = await self._client.call(method)
        except NetworkError as err:
            if standing is None and err.is_uncertain:
                self._unsure.append(out.id)
            raise
        if standing is None and isinstance(result, dict) and isinstance(result.get("message_id"), int):
            self._begun.note(out.id, out.place.conversation, result["message_id"])
