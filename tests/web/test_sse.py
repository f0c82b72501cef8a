"""Server-sent events as ASGI: the frame, the keepalive, and the end of a stream from each side."""

from __future__ import annotations

import asyncio
import json

import pytest

from processsupervisor.web import sse
from processsupervisor.web.sse import EventStream, Streams, frame

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Client:
    """The server's side of one client: what was sent, when it goes, and whether it reads."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, object]) -> None:
        await self.reads.wait()
        self.sent.append(message)
        self.arrived.set()

    async def body_with(self, part: bytes) -> bytes:
        """Wait until what was sent holds `part`."""
        async with asyncio.timeout(10):
            while True:
                body = b"".join(message.get("body", b"") for message in self.sent)
                if part in body:
                    return body
                self.arrived.clear()
                await self.arrived.wait()


async def silence(_: object) -> None:
    await asyncio.Event().wait()


def test_frame_is_one_line_whatever_the_text() -> None:
    """Line breaks of any kind stay inside the JSON, so that no text can end an event or begin another."""
    text = "a\nb\r\nc\rid: 7\n\ndata: x\u2028y\x85\x00"
    framed = frame({"text": text}, id=5)
    head, data = framed.decode().removesuffix("\n\n").split("\n")
    assert head == "id: 5"
    assert json.loads(data.removeprefix("data: ")) == {"text": text}
    assert "\r" not in data


async def test_keepalive_only_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent stream gets a comment after the interval, again and again; it is 15 s."""
    assert sse.KEEPALIVE_S == 15.0
    monkeypatch.setattr(sse, "KEEPALIVE_S", 0.1)
    client = Client()
    serving = asyncio.create_task(EventStream(Streams(), None, silence)(SCOPE, client.receive, client.send))
    await client.body_with(b": keepalive\n\n: keepalive\n\n")
    client.gone.set()
    async with asyncio.timeout(5):
        await serving


async def test_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read for the deadline is let go, and its place is free again."""
    monkeypatch.setattr(sse, "SEND_DEADLINE_S", 0.1)
    streams, client = Streams(most=1), Client()

    async def talk(emit: sse.Emit) -> None:
        await emit(b"one")
        client.reads.clear()
        await emit(b"two")

    serving = asyncio.create_task(EventStream(streams, "guide", talk)(SCOPE, client.receive, client.send))
    async with asyncio.timeout(5):
        await serving
    streams.check("guide")


async def test_end_of_the_process_ends_every_stream() -> None:
    """The stopping signal completes the answer at once."""
    streams, client = Streams(), Client()
    serving = asyncio.create_task(EventStream(streams, None, silence)(SCOPE, client.receive, client.send))
    await client.body_with(b"retry: 1000")
    streams.stopping.set()
    async with asyncio.timeout(5):
        await serving
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_failing_producer_is_raised_and_counted_off() -> None:
    """What the producer raises comes out, and the stream no longer counts."""
    streams, client = Streams(most=1), Client()

    async def fail(_: sse.Emit) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await EventStream(streams, "guide", fail)(SCOPE, client.receive, client.send)
    streams.check("guide")


async def test_head_sends_no_body() -> None:
    """HEAD answers with the headers and ends."""
    client = Client()
    async with asyncio.timeout(5):
        await EventStream(Streams(), None, silence)(SCOPE | {"method": "HEAD"}, client.receive, client.send)
    assert client.sent[0]["status"] == 200
    assert await client.body_with(b"") == b""
