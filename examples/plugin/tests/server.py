"""A LineChat server in the test's own process, with the faults of the law; and the rig: a person at it."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from pathlib import Path

from psv_linechat.connector import LineChat, make

from processsupervisor.connectors.base import ErrorKind
from processsupervisor.storage.records import Place
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Mishap

TOKEN = "a-token-of-the-test"
_ERRORS = {
    Mishap.AUTH: {"kind": "token"}, Mishap.RATE: {"kind": "busy", "retry_after": RETRY_AFTER_S}, Mishap.SERVER: {"kind": "broken"},
    Mishap.REFUSED: {"kind": "refused"}, Mishap.BLOCKED: {"kind": "blocked"}, Mishap.MOVED: {"kind": "moved", "moved_to": MOVED_TO},
}  # fmt: skip


class Server:
    """Keeps messages until they are acknowledged; shows what is sent, each key once."""

    def __init__(self) -> None:
        self.port = 0
        self.waiting: dict[int, dict] = {}
        self.shown: defaultdict[str, list[str]] = defaultdict(list)
        self.mishaps: deque[Mishap] = deque()
        self.denied = ""
        self.acknowledged = self.calls = self._numbers = 0
        self._keys: dict[str, str] = {}
        self._receivers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for writer in self._receivers:
            writer.close()

    def bring(self, room: str, text: str) -> str:
        self._numbers += 1
        message = {"op": "message", "id": f"m{self._numbers}", "number": self._numbers, "room": room, "sender": "ada", "text": text}
        self.waiting[self._numbers] = self.latest = message
        self.push(message)
        return message["id"]

    def push(self, line: dict) -> None:
        for writer in self._receivers:
            writer.write(json.dumps(line).encode() + b"\n")

    def deny(self, kind: str) -> None:
        self.denied = kind
        self.push({"op": "denied", "kind": kind})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = json.loads(await reader.readline())
            kind = self.denied or ("" if hello["token"] == TOKEN else "token")
            self._say(writer, {"op": "denied", "kind": kind} if kind else {"op": "welcome", "id": "b1", "name": "parrot"})
            if kind or not hello["receives"]:
                return
            self._receivers.append(writer)
            for message in self.waiting.values():
                self._say(writer, message)
            while line := await reader.readline():
                if not self._handle(json.loads(line), writer):
                    return
        except ConnectionError:
            pass
        finally:
            if writer in self._receivers:
                self._receivers.remove(writer)
            writer.close()

    def _say(self, writer: asyncio.StreamWriter, line: dict) -> None:
        writer.write(json.dumps(line).encode() + b"\n")

    def _handle(self, line: dict, writer: asyncio.StreamWriter) -> bool:
        """Handle a line; False when the connection is to end."""
        if line["op"] == "ack":
            self.acknowledged += 1
            self.waiting.pop(line["number"], None)
            return True
        self.calls += 1
        mishap = self.mishaps.popleft() if self.mishaps else None
        if mishap is Mishap.CUT_BEFORE:
            return False
        if mishap in _ERRORS:
            self._say(writer, {"op": "error", "key": line["key"], **_ERRORS[mishap]})
            return True
        if line["key"] not in self._keys:
            self._keys[line["key"]] = f"s{len(self._keys) + 1}"
            self.shown[line["room"]].append(line["text"])
        if mishap is Mishap.CUT_AFTER:
            return False
        self._say(writer, {"op": "sent", "key": line["key"], "id": self._keys[line["key"]]})
        return True


class LineChatRig:
    """A person at the server."""

    place = Place("linechat", "ada")

    def __init__(self, server: Server) -> None:
        self.server = server

    def connect(self, folder: Path) -> LineChat:
        return make({"host": "127.0.0.1", "port": self.server.port, "token": TOKEN}, "anna", folder)

    async def say(self, text: str, *, to: str = "") -> str:
        return self.server.bring(to or "ada", text)

    async def repeat(self) -> None:
        self.server.push(self.server.latest)

    def shown(self, *, to: str = "") -> list[str]:
        return self.server.shown[to or "ada"]

    def acknowledged(self) -> int:
        return self.server.acknowledged

    def befall(self, mishap: Mishap) -> None:
        self.server.mishaps.append(mishap)

    def deny(self, kind: ErrorKind) -> None:
        self.server.deny("token" if kind is ErrorKind.AUTH else "conflict")

    def calls(self) -> int:
        return self.server.calls
