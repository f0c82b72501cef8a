"""The way to one bot: JSON lines over its own `run/bots/NAME/web.sock`.

The bot commits before it says `accepted`; nothing is kept, repeated or reordered here. A bot that is away, ends in the
middle or says nothing within the deadline is BotAway: the sender repeats the message under the same id, and the bot
handles it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.problem import BotAway, Problem

DEADLINE_S = 10.0
MAX_LINE_BYTES = 16 << 20
"""A history is one line: 100 messages of 64 KiB, escaped."""

CALLS_PER_BOT = 16
"""Connections at once for messages and histories; the others wait their turn within the deadline."""

_REFUSED_AS = {"too-long": 413, "empty": 400, "bad-message": 400, "protocol": 400, "forbidden": 403}
"""What a repetition cannot cure; every other refusal (paused, stopping, busy, storage) is 503 with Retry-After."""

_MORE = ("buttons", "files", "edits")

Line = dict[str, object]
"""One JSON object of the bot's protocol, as on the wire."""


class ChatEvent(NamedTuple):
    """What a bot says: `seq` (its durable number) only when final; pieces carry the whole text so far."""

    seq: int | None
    id: str
    reply_to: str | None
    text: str
    final: bool
    more: Line
    """Buttons, files, and the message whose place it takes, where there are any; passed on as they are."""


class BotLink:
    """Speaks to the bots of one fleet; every method raises BotAway while the bot is."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def post(self, bot: str, message_id: str, text: str, conversation: str, press: Line | None = None) -> None:
        """Return when the bot has committed the message, or the press of a button; raises Problem when it refuses it (503: paused)."""
        post: Line = {"op": "post", "id": message_id, "text": text, "conversation": conversation}
        answer = await self._ask(bot, post if press is None else {**post, "press": press})
        match answer.get("op"):
            case "accepted" if answer.get("id") == message_id:
                return
            case "refused" | "error":
                raise _refusal(bot, answer)
            case other:
                raise ProtocolError(f"{bot} answered a message with {str(other)[:40]!r}")

    async def update(self, bot: str, network: str, secret: str, update: Line) -> None:
        """Return when the bot has committed what a network posted. Raises Problem: 403 when the secret is not the bot's, else 503."""
        answer = await self._ask(bot, {"op": "update", "id": "update", "network": network, "secret": secret, "update": update})
        if answer.get("op") != "accepted":
            raise _refusal(bot, answer)

    async def history(self, bot: str, conversation: str, limit: int) -> list[Line]:
        """Return the newest `limit` messages, oldest first: `{id, from, text, at, seq}`."""
        answer = await self._ask(bot, {"op": "history", "conversation": conversation, "limit": limit})
        if answer.get("op") in ("refused", "error"):
            raise _refusal(bot, answer)
        messages = answer.get("messages")
        if not isinstance(messages, list):
            raise ProtocolError(f"{bot} answered with something that is no history")
        return [message for message in messages if isinstance(message, dict)]

    @contextlib.asynccontextmanager
    async def subscribe(self, bot: str, conversation: str, after: int | None) -> AsyncIterator[AsyncIterator[ChatEvent]]:
        """Connect and give the events with seq > `after` (None: only new ones); the iterator ends when the bot goes."""
        async with asyncio.timeout(DEADLINE_S), _away_on_error(bot):
            reader, writer = await self._open(bot)
        try:
            async with _away_on_error(bot):
                await _send(writer, {"op": "subscribe", "conversation": conversation, "after": after})
            yield _events(bot, reader)
        finally:
            writer.close()

    async def _ask(self, bot: str, request: Line) -> Line:
        turn = self._turns.setdefault(bot, asyncio.Semaphore(CALLS_PER_BOT))
        try:
            async with asyncio.timeout(DEADLINE_S), turn, _away_on_error(bot):
                reader, writer = await self._open(bot)
                try:
                    await _send(writer, request)
                    answer = await _read(bot, reader)
                finally:
                    writer.close()
        except TimeoutError as err:
            raise BotAway(bot, f"{bot} did not answer within {DEADLINE_S:g} s", code="bot-timeout") from err
        if answer is None:
            raise BotAway(bot, f"{bot} ended before it answered")
        return answer

    async def _open(self, bot: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = self._paths.bot_run(bot) / "web.sock"
        while True:
            try:
                client = connect_unix(path, 0.5)
                break
            except BlockingIOError:
                # A full backlog; the connect itself is immediate on a unix socket. The caller's deadline ends this.
                await asyncio.sleep(0.05)
        client.setblocking(False)
        return await asyncio.open_unix_connection(sock=client, limit=MAX_LINE_BYTES)


@contextlib.asynccontextmanager
async def _away_on_error(bot: str) -> AsyncIterator[None]:
    try:
        yield
    except TimeoutError:
        raise  # an OSError too, but the caller's own deadline
    except OSError as err:
        raise BotAway(bot) from err


async def _send(writer: asyncio.StreamWriter, request: Line) -> None:
    writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


async def _read(bot: str, reader: asyncio.StreamReader) -> Line | None:
    try:
        async with _away_on_error(bot):
            line = await reader.readline()
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError as err:
        raise ProtocolError(f"{bot} sent a line that is too long or not JSON") from err
    if value is not None and not isinstance(value, dict):
        raise ProtocolError(f"{bot} sent a line that is not an object")
    return value


async def _events(bot: str, reader: asyncio.StreamReader) -> AsyncIterator[ChatEvent]:
    while (line := await _read(bot, reader)) is not None:
        match line:
            case {"op": "event", "id": str(id_), "text": str(text), "final": bool(final)}:
                seq, reply_to = line.get("seq"), line.get("reply_to")
                more = {key: line[key] for key in _MORE if key in line}
                answered = reply_to if isinstance(reply_to, str) else None
                yield ChatEvent(seq if isinstance(seq, int) else None, id_, answered, text, final, more)
            case {"op": "refused" | "error"}:
                raise _refusal(bot, line)
            case _:
                continue  # of a later protocol


def _refusal(bot: str, answer: Line) -> Problem:
    code, message = str(answer.get("code", "refused")), str(answer.get("message", f"{bot} refused it"))
    if code == "paused":
        return BotAway(bot, f"{bot} is paused and takes nothing new", code="paused")
    if code in _REFUSED_AS:
        return Problem(_REFUSED_AS[code], code, message)
    return BotAway(bot, message, code=code)
