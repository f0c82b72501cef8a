"""Webhooks: each update posted to the bot until it says 200, in the order of its chat, many chats at once.

What the bot answers with a method in its body is carried out, and its result is told to nobody, as at Telegram.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, ClientError, ClientResponse, ClientSession, ClientTimeout, MultipartReader

from processsupervisor.testing.botapi.account import Account, Hook
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.values import Json, Rejected, Upload

RETRY_S = 0.25
DEADLINE_S = 30.0
_ANY_MIME = "application/octet-stream"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"


class Hooks:
    """Posts what waits for the bots that have a webhook; belongs to the double's loop. `carry_out` runs a method of an answer."""

    def __init__(self, heard: threading.Condition, carry_out: Callable[[Account, str, Params], object]) -> None:
        self._heard = heard
        self._carry_out = carry_out
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._session: ClientSession | None = None

    def wake(self, account: Account) -> None:
        """Begin to post what waits and is not on its way already; called on the loop."""
        with self._heard:
            if account.hook is None:
                return
            for update in account.updates.waiting:
                key = (account.token, _chat(update))
                if key not in self._under_way and len(self._under_way) < account.hook.max_connections:
                    task = self._under_way[key] = asyncio.create_task(self._post(account, account.hook, update))
                    task.add_done_callback(partial(self._posted, account, key))

    async def close(self) -> None:
        """Stop posting."""
        for task in list(self._under_way.values()):
            task.cancel()
        if self._session is not None:
            await self._session.close()

    def _posted(self, account: Account, key: tuple[str, str], _task: asyncio.Task[None]) -> None:
        self._under_way.pop(key, None)
        if not asyncio.get_running_loop().is_closed():
            self.wake(account)

    async def _post(self, account: Account, hook: Hook, update: Json) -> None:
        while account.hook is hook:
            error = await self._try(account, hook, update)
            if not error:
                return
            with self._heard:
                hook.last_error, hook.last_error_at = error, time.time()
                self._heard.notify_all()
            await asyncio.sleep(RETRY_S)

    async def _try(self, account: Account, hook: Hook, update: Json) -> str:
        """Post once; return "" when the bot took it, else what getWebhookInfo says of it."""
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(DEADLINE_S))
        headers = {SECRET_HEADER: hook.secret} if hook.secret else {}
        try:
            async with self._session.post(hook.url, json=update, headers=headers) as response:
                if not 200 <= response.status < 300:
                    return f"Wrong response from the webhook: {response.status} {response.reason}"
                values, uploads = await _read_method(response)
        except TimeoutError:
            return "Read timeout expired"
        except (ClientError, OSError):
            return "Connection refused"
        with self._heard:
            account.updates.remove(update)
            self._heard.notify_all()
        with contextlib.suppress(Rejected):
            if method := values.pop("method", None):
                self._carry_out(account, str(method), Params(values, uploads))
        return ""


async def _read_method(response: ClientResponse) -> tuple[Json, dict[str, Upload]]:
    """Return the method that a bot put into its answer, with its parameters and files; empty when there is none that can be read."""
    if response.content_type.startswith("multipart/"):
        found: Json = {}
        uploads: dict[str, Upload] = {}
        parts = MultipartReader.from_response(response)
        while isinstance(part := await parts.next(), BodyPartReader):
            if part.name and part.filename:
                uploads[part.name] = Upload(part.filename, part.headers.get("Content-Type", _ANY_MIME), bytes(await part.read()))
            elif part.name:
                found[part.name] = await part.text()
        return found, uploads
    body = await response.text()
    if response.content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body)), {}
    try:
        values = json.loads(body)
    except ValueError:
        return {}, {}
    return values if isinstance(values, dict) else {}, {}


def _chat(update: Json) -> str:
    """Return what orders an update: its chat, else its sender."""
    content = next((value for key, value in update.items() if key != "update_id"), {})
    if not isinstance(content, dict):
        return ""
    holder = content.get("message") if isinstance(content.get("message"), dict) else content
    chat = holder.get("chat") if isinstance(holder, dict) else None
    return str(chat.get("id")) if isinstance(chat, dict) else ""
