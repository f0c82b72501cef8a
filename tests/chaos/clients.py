"""Outside clients of native bots: one over a bot's web.sock, one over HTTP through the web process.

Each behaves as the client of a network does: it connects again whenever its connection ends, goes on reading after the last
event it has, and sends a message again under the same id until it has seen that it was accepted. Counting is tally.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.chaos.tally import Tally

from processsupervisor.ipc.client_async import open_unix
from processsupervisor.kernel.paths import FleetPaths

CONNECT_AGAIN_S = 0.02
SEND_AGAIN_S = 0.1
_ANSWER_WITHIN_S = 3.0
_SILENCE_S = 20.0
"""Longer than the 15 s after which the web process shows on every stream that it is there."""


class Client(Protocol):
    """One conversation with one bot."""

    tally: Tally

    def say(self, due: float) -> None:
        """Send the next message, which was due at this time of the loop's clock."""
        ...

    async def run(self) -> None:
        """Stay connected for ever."""
        ...


class SocketClient:
    """Speaks JSON lines on web.sock; messages are pipelined."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self.tally = tally
        self._path = path
        self._writer: asyncio.StreamWriter | None = None

    def say(self, due: float) -> None:
        self._post(self.tally.new(due))

    def _post(self, message_id: str) -> None:
        text = self.tally.unaccepted.get(message_id)
        if text is not None and self._writer is not None:
            self._send({"op": "post", "id": message_id, "text": text, "conversation": self.tally.name})

    def _send(self, request: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(request).encode() + b"\n")

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await open_unix(self._path, 0.05)
                try:
                    await self._converse(reader)
                finally:
                    self._writer.close()
                    self._writer = None
            await asyncio.sleep(CONNECT_AGAIN_S)

    async def _converse(self, reader: asyncio.StreamReader) -> None:
        self._send({"op": "subscribe", "conversation": self.tally.name, "after": self.tally.last_seq})
        for message_id in list(self.tally.unaccepted):
            self._post(message_id)
        while (line := await reader.readline()).endswith(b"\n"):
            self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        match line:
            case {"op": "accepted", "id": str(message_id)}:
                self.tally.on_accepted(message_id)
            case {"op": "refused", "id": str(message_id)}:
                loop.call_later(SEND_AGAIN_S, self._post, message_id)
            case {"op": "event", "final": True, "reply_to": str(reply_to)}:
                self.tally.on_reply(line["seq"], reply_to, line["text"], loop.time())
            case {"op": "error"}:
                self.tally.faults.append(f"{self.tally.name}: {line}")

    async def everything(self, within_s: float) -> dict[str, list[str]]:
        """Return all replies that the bot has kept, {id: texts}; the end is where nothing comes for half a second."""
        found: dict[str, list[str]] = {}
        reader, writer = await open_unix(self._path, 1.0)
        try:
            writer.write(json.dumps({"op": "subscribe", "conversation": self.tally.name, "after": 0}).encode() + b"\n")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while line := await asyncio.wait_for(reader.readline(), 0.5):
                        event = json.loads(line)
                        if event.get("final") and event.get("reply_to"):
                            found.setdefault(event["reply_to"], []).append(event["text"])
        finally:
            writer.close()
        return found


class HttpClient:
    """POSTs one message after the other and reads the conversation's event stream; both move with the web process's port."""

    def __init__(self, paths: FleetPaths, bot: str, tally: Tally) -> None:
        self.tally = tally
        self._paths = paths
        self._bot = bot
        self._has_message = asyncio.Event()

    def say(self, due: float) -> None:
        self.tally.new(due)
        self._has_message.set()

    async def run(self) -> None:
        await asyncio.gather(self._read_for_ever(), self._post_for_ever())

    async def _post_for_ever(self) -> None:
        while True:
            self._has_message.clear()
            for message_id in list(self.tally.unaccepted):
                await self._post(message_id)
            if not self.tally.unaccepted:
                await self._has_message.wait()

    async def _post(self, message_id: str) -> None:
        text = self.tally.unaccepted.get(message_id)
        if text is None:
            return
        body = json.dumps({"id": message_id, "text": text, "conversation": self.tally.name}).encode()
        status = 0
        with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(_ANSWER_WITHIN_S), self._request("POST", "messages", body) as reader:
                status = int((await reader.readline()).split()[1])
        if status == 202:
            self.tally.on_accepted(message_id)
            return
        if status and status not in (502, 503, 504):
            self.tally.faults.append(f"{self.tally.name}: HTTP {status} for {message_id}")
        await asyncio.sleep(SEND_AGAIN_S)

    async def _read_for_ever(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                async with self._request("GET", f"events?conversation={self.tally.name}", b"") as reader:
                    await self._read(reader)
            await asyncio.sleep(CONNECT_AGAIN_S)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        seq: int | None = None
        while line := await asyncio.wait_for(reader.readline(), _SILENCE_S):
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                seq = int(value)
            elif name == "data":
                event = json.loads(value)
                if event.get("final") and event.get("reply_to"):
                    self.tally.on_reply(seq, event["reply_to"], event["text"], asyncio.get_running_loop().time())
                seq = None

    @contextlib.asynccontextmanager
    async def _request(self, method: str, target: str, body: bytes) -> AsyncIterator[asyncio.StreamReader]:
        """HTTP/1.0, so that the answer ends with the connection; the address is read anew, a new web process may have another."""
        where = urlsplit(json.loads((self._paths.run / "web.json").read_bytes())["url"])
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            head = f"{method} /chat/{self._bot}/{target} HTTP/1.0\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
            head += f"Last-Event-ID: {self.tally.last_seq}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            yield reader
        finally:
            writer.close()
