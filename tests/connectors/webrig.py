"""A person at a web.sock: connections that speak its protocol, and the rig of the law."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from processsupervisor.connectors.web import WebConnector
from processsupervisor.ipc.client_async import open_unix
from processsupervisor.storage.records import Place
from processsupervisor.testing.lawengine import until

DEADLINE_S = 40.0


class Peer:
    """One connection to a web.sock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict] = []
        self._changed = asyncio.Event()

    async def connect(self) -> Peer:
        self._reader, self.writer = await open_unix(self.path, 2.0)
        self._task = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                self.lines.append(json.loads(line))
                self._changed.set()
        self.lines.append({"op": "closed"})
        self._changed.set()

    @property
    def is_closed(self) -> bool:
        return bool(self.lines) and self.lines[-1]["op"] == "closed"

    def send(self, **request) -> None:
        self.writer.write(json.dumps(request).encode() + b"\n")

    async def wait(self, condition, skip: int = 0) -> dict:
        """Return the first line, behind the first `skip`, that fulfils the condition."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                self._changed.clear()
                for line in self.lines[skip:]:
                    if condition(line):
                        return line
                await self._changed.wait()

    async def op(self, op: str, **keys) -> dict:
        return await self.wait(lambda line: line["op"] == op and all(line.get(key) == value for key, value in keys.items()))

    def finals(self) -> list[dict]:
        return [line for line in self.lines if line["op"] == "event" and line["final"]]

    def cut(self) -> None:
        """Break the connection."""
        self.lines.append({"op": "closed"})
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        self._task.cancel()


class WebRig:
    """A person at the web page, who reads each conversation that they write into."""

    place = Place("web", "default")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._peers: list[tuple[str, Peer]] = []
        self._said = 0
        self._folder: Path | None = None
        self._latest: tuple[str, dict] | None = None

    def connect(self, folder: Path) -> WebConnector:
        self._folder = folder
        return WebConnector(self.path)

    async def _reader(self, conversation: str, after: int | None = None) -> Peer:
        peer = await Peer(self.path).connect()
        peer.send(op="subscribe", conversation=conversation, after=after)
        self._peers.append((conversation, peer))
        return peer

    async def _peer(self, conversation: str) -> Peer:
        for known, peer in reversed(self._peers):
            if known == conversation and not peer.is_closed:
                return peer
        return await self._reader(conversation)

    async def say(self, text: str, *, to: str = "") -> str:
        self._said += 1
        conversation = to or "default"
        self._latest = conversation, {"op": "post", "id": f"m{self._said}", "text": text, "conversation": conversation}
        await self.repeat()
        return f"m{self._said}"

    async def repeat(self) -> None:
        assert self._latest is not None
        conversation, post = self._latest
        peer = await self._peer(conversation)
        try:
            peer.send(**post)
            await peer.writer.drain()
        except ConnectionError:  # of the life before, whose end was not read yet
            peer = await self._reader(conversation)
            peer.send(**post)

    def shown(self, *, to: str = "") -> list[str]:
        return [line["text"] for known, peer in self._peers if known == (to or "default") for line in peer.finals()]

    async def told_refused(self) -> str:
        peer = [peer for known, peer in self._peers if known == "default"][-1]
        told: list[dict] = []
        await until(lambda: told.extend(line for line in peer.lines if line["op"] in ("refused", "error")) or told, "the refusal")
        line = told[0]
        peer.lines.remove(line)
        return f"{line['code']} {line['message']}"

    def acknowledged(self) -> int:
        return sum(line["op"] == "accepted" for _, peer in self._peers for line in peer.lines)

    async def garble(self) -> None:
        peer = await self._peer("default")
        peer.writer.write(b'{"op":"post","id":"g1","conversation":"default","text":"gr\xfcn \xff\xfe"}\n')

    def cut(self) -> None:
        for _, peer in self._peers:
            peer.cut()

    def _events(self) -> list[dict]:
        return [line for known, peer in self._peers if known == "default" for line in peer.finals()]

    def standing(self) -> list[str]:
        standing: dict[str, str] = {}
        for event in self._events():
            standing[event.get("edits", event["id"])] = event["text"]
        return list(standing.values())

    def _with_buttons(self) -> dict:
        return next((event for event in reversed(self._events()) if "buttons" in event), {"id": "", "buttons": []})

    def buttons(self) -> list[str]:
        return [button["label"] for row in self._with_buttons()["buttons"] for button in row]

    async def press(self, label: str) -> None:
        event = self._with_buttons()
        (data,) = [button["data"] for row in event["buttons"] for button in row if button["label"] == label]
        peer = await self._peer("default")
        self._said += 1
        peer.send(
            op="post", id=f"m{self._said}", text=label, conversation="default", press={"message": event.get("edits", event["id"]), "data": data}
        )

    def files(self) -> dict[str, bytes]:
        assert self._folder is not None
        return {file["name"]: (self._folder / file["path"]).read_bytes() for event in self._events() for file in event.get("files", ())}

    def pieces(self) -> list[str]:
        return [line["text"] for _, peer in self._peers for line in peer.lines if line["op"] == "event" and not line["final"]]

    async def resume(self, seq: int) -> Callable[[], Sequence[str]]:
        peer = await Peer(self.path).connect()
        peer.send(op="subscribe", conversation="default", after=seq)
        self._peers.append(("read again", peer))
        return lambda: [line["text"] for line in peer.finals()]

    async def close(self) -> None:
        for _, peer in self._peers:
            await peer.close()
