"""A double of Telegram's Bot API: real HTTP on a loopback port, long polls and webhooks, as https://core.telegram.org/bots/api says.

Any token is a bot, its number the part before the colon. What a person sends waits until an offset confirms it, or is posted to the
webhook; what bots send is kept in `sent`. A second poll of a token sends the first away with 409, and counts in `conflicts`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, web
from tests.doubles.server import Server

PERSON = {"id": 7, "is_bot": False, "first_name": "Ada"}
CHAT = {"id": 7, "type": "private", "first_name": "Ada"}
_CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


@dataclass
class _Account:
    """What Telegram keeps of one token."""

    updates: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0
    webhook: dict[str, Any] = field(default_factory=dict)
    poll: asyncio.Future[None] | None = None
    """The long poll under way: its result is that something came, its cancellation that another poll took its place."""


class Telegram(Server):
    """`url` is what takes the place of https://api.telegram.org."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.called: dict[str, set[str]] = defaultdict(set)
        self.conflicts: Counter[str] = Counter()
        self._accounts: dict[str, _Account] = defaultdict(_Account)
        self._asked: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._answer)
        self._runner = await self.listen(app)

    async def close(self) -> None:
        for task in self._asked:
            task.cancel()
        await self._runner.cleanup()

    def say(self, token: str, text: str) -> None:
        """Have a person write to the bot of `token`."""
        self.call(self._deliver(token, text))

    def wait_for(self, token: str, text: str, timeout_s: float) -> None:
        """Wait until the bot has sent `text`; TimeoutError says what it sent instead."""
        with self.heard:
            if not self.heard.wait_for(lambda: text in self.sent[token], timeout_s):
                raise TimeoutError(f"bot {token.partition(':')[0]} did not send {text!r} but {self.sent[token]}")

    async def _deliver(self, token: str, text: str) -> None:
        account = self._accounts[token]
        account.number += 1
        message = {"message_id": account.number, "date": int(time.time()), "chat": CHAT, "from": PERSON, "text": text}
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}]
        update = {"update_id": account.number, "message": message}
        if account.webhook.get("url"):
            headers = {"X-Telegram-Bot-Api-Secret-Token": account.webhook.get("secret_token", "")}
            async with ClientSession() as client, client.post(account.webhook["url"], json=update, headers=headers) as answer:
                answer.raise_for_status()
            return
        account.updates.append(update)
        if account.poll is not None and not account.poll.done():
            account.poll.set_result(None)

    async def _answer(self, request: web.Request) -> web.Response:
        token, method = request.match_info["token"], request.match_info["method"]
        self.called[token].add(method)
        params = dict(request.query) | await _body(request)
        match method:
            case "getMe":
                return _ok(_bot(token))
            case "getUpdates":
                return await self._get_updates(token, params)
            case "setWebhook":
                self._accounts[token].webhook = params
                self._asked.add(asyncio.create_task(self._await_server(token, params["url"])))
            case "deleteWebhook":
                self._accounts[token].webhook = {}
            case "sendMessage":
                with self.heard:
                    self.sent[token].append(params["text"])
                    self.heard.notify_all()
                chat = {**CHAT, "id": int(params["chat_id"])}
                return _ok({"message_id": 1000, "date": int(time.time()), "chat": chat, "from": _bot(token), "text": params["text"]})
        return _ok(True)

    async def _await_server(self, token: str, url: str) -> None:
        """A bot with a webhook listens as soon as its own server does, which is after it has asked for one."""
        address = urlsplit(url)
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.close()
                self.is_ready(token)
                return
            await asyncio.sleep(0.01)

    async def _get_updates(self, token: str, params: dict[str, Any]) -> web.Response:
        account = self._accounts[token]
        if account.poll is not None and not account.poll.done():
            self.conflicts[token] += 1
            account.poll.cancel()
        offset = int(params.get("offset") or 0)
        account.updates = [update for update in account.updates if update["update_id"] >= offset]
        if not account.updates and (timeout_s := float(params.get("timeout") or 0)):
            self.is_ready(token)
            poll = account.poll = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait({poll}, timeout=timeout_s)
            finally:
                was_ended = poll.cancelled()
                poll.cancel()
            if was_ended:
                return web.json_response({"ok": False, "error_code": 409, "description": _CONFLICT}, status=409)
        return _ok(account.updates[: int(params.get("limit") or 100)])


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        content: dict[str, Any] = json.loads(await request.text() or "{}")
        return content
    return dict(await request.post())


def _bot(token: str) -> dict[str, Any]:
    number = int(token.partition(":")[0])
    return {"id": number, "is_bot": True, "first_name": f"Bot {number}", "username": f"n{number}_bot"}


def _ok(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})
