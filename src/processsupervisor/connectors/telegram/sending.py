"""Sends what is committed: the calls of one message in their order, under the limits of the token.

Nothing is tried twice here but a text whose markup Telegram refused, which is known not to have been sent. A message of several
calls goes on behind the last one that was answered when it is sent again (progress.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiogram.exceptions import AiogramError
from aiogram.methods import AnswerCallbackQuery, EditMessageCaption, EditMessageText, SendChatAction, TelegramMethod

from processsupervisor.connections.buckets import Buckets
from processsupervisor.connectors.base import ErrorKind, NetworkError, Receipt
from processsupervisor.connectors.telegram import BEGUN_FILE
from processsupervisor.connectors.telegram.calls import Step, Target, edit_step, steps_of, target_of
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.errors import is_broken_markup, network_error, says
from processsupervisor.connectors.telegram.progress import Progress
from processsupervisor.kernel import clock
from processsupervisor.storage.records import Outgoing

_NETWORK_ID = "net:"


class Sending:
    """The way out of one bot. `network_id` finds the network's id of an earlier message of ours."""

    def __init__(self, client: Client, buckets: Buckets, folder: Path, network_id: Callable[[str], Awaitable[str | None]]) -> None:
        self._client = client
        self._buckets = buckets
        self._folder = folder
        self._network_id = network_id
        self._progress = Progress(folder / BEGUN_FILE)

    async def send(self, out: Outgoing, standing: int | None = None) -> Receipt:
        """Send a message, an edit, or the answer to a pressed button; `standing` is the message that its beginning stands in.

        Raises NetworkError.
        """
        if out.extras.acknowledges is not None:
            await self._acknowledge(out.extras.acknowledges)
            if not out.text.strip() and not out.extras.files and out.extras.edits is None:
                return Receipt("")
        target = target_of(out.place.conversation)
        if out.extras.edits is not None:
            return await self._edit(out, target, out.extras.edits)
        if standing is not None and not out.extras.files:
            try:
                return await self._edit(out, target, f"{_NETWORK_ID}{standing}")
            except NetworkError as err:
                if err.kind != ErrorKind.PERMANENT:
                    raise
                # it was deleted meanwhile: the whole is a message of its own
        steps = steps_of(out, target, self._folder)
        done, network_id = self._progress.find(out)
        for index in range(done, len(steps)):
            try:
                result = await self._step(steps[index], target)
            except NetworkError as err:
                if err.kind == ErrorKind.PERMANENT:
                    self._progress.forget(out)
                raise
            if steps[index].is_main:
                network_id = _message_id(result)
            if index + 1 < len(steps):
                self._progress.note(out, index + 1, network_id)
        self._progress.forget(out)
        return Receipt(network_id)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being made, for 5 s. Whatever goes wrong is not told."""
        try:
            await self._client.call(SendChatAction(action="typing", **target_of(conversation).fields()))
        except NetworkError:
            pass

    async def _acknowledge(self, token: str) -> None:
        try:
            await self._client.call(AnswerCallbackQuery(callback_query_id=token))
        except NetworkError as err:
            if err.kind == ErrorKind.AUTH:
                raise
            # Too old, or answered before: the wheel on the button turns no more either way.

    async def _edit(self, out: Outgoing, target: Target, edits: str) -> Receipt:
        found = edits.removeprefix(_NETWORK_ID) if edits.startswith(_NETWORK_ID) else await self._network_id(edits)
        if not found or not found.isdigit():
            raise NetworkError(ErrorKind.PERMANENT, "telegram: the message to be edited was never sent")
        try:
            await self._step(edit_step(out, target, int(found)), target)
        except _Unchanged:
            pass
        except NetworkError as err:
            err.is_uncertain = False  # made twice it is still one message
            raise
        return Receipt(found)

    async def _step(self, step: Step, target: Target) -> Any:
        """Make one call. Raises NetworkError; RATE without a call when the token's limits leave no room now."""
        self._make_room(target)
        method = step.make(False)
        try:
            try:
                return await self._client.try_call(method, step.timeout_s)
            except AiogramError as err:
                again = _instead(step, method, err)
                if again is None:
                    raise
                return await self._client.try_call(again, step.timeout_s)
        except (AiogramError, OSError, RuntimeError) as err:
            if says(err, "message is not modified"):
                raise _Unchanged from None
            error = network_error(err, self._client.server)
            if error.kind == ErrorKind.RATE and error.retry_after_s is not None:
                chat = str(target.chat_id)
                error.is_for_bot = self._buckets.refused(chat, error.retry_after_s, clock.mono(), is_group=target.is_group)
            raise error from None

    def _make_room(self, target: Target) -> None:
        now_mono = clock.mono()
        wait_s = self._buckets.take(str(target.chat_id), now_mono, is_group=target.is_group)
        if wait_s > 0:
            words = f"telegram: the limits leave no room for {wait_s:.1f} s"
            is_for_bot = self._buckets.token_wait_s(now_mono) >= wait_s
            raise NetworkError(ErrorKind.RATE, words, retry_after_s=wait_s, is_for_bot=is_for_bot)


class _Unchanged(Exception):
    """An edit found everything as it wanted it: it was made before."""


def _instead(step: Step, method: TelegramMethod[Any], err: AiogramError) -> TelegramMethod[Any] | None:
    """Return the call to make in place of one that was refused and changed nothing, None when there is none."""
    if step.has_markup and is_broken_markup(err):
        return step.make(True)
    if isinstance(method, EditMessageText) and says(err, "there is no text in the message to edit"):
        return EditMessageCaption(
            chat_id=method.chat_id, message_id=method.message_id, caption=method.text, parse_mode=method.parse_mode,
            caption_entities=method.entities, reply_markup=method.reply_markup,
        )  # fmt: skip
    return None


def _message_id(result: Any) -> str:
    """Return the number of the message that was sent, or of the first of an album."""
    first = result[0] if isinstance(result, list) and result else result
    number = first.get("message_id") if isinstance(first, dict) else None
    return str(number) if isinstance(number, int) else ""
