"""Server-sent events over ASGI: one stream a client, ended by the client, its producer, or the end of the process.

A client that does not read is waited for SEND_DEADLINE_S and then cut off; it can resume. Nothing is queued here: a slow
client holds up its own producer only. `Streams` is the one count of open streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from starlette.types import Message, Receive, Scope, Send

from processsupervisor.web.problem import Problem

KEEPALIVE_S = 15.0
SEND_DEADLINE_S = 30.0
MAX_STREAMS = 256
MAX_STREAMS_PER_BOT = 40
"""Below the 64 connections that a bot's socket takes, so that messages still come through."""

_log = logging.getLogger(__name__)

Emit = Callable[[bytes], Awaitable[None]]
"""Sends one framed event; raises TimeoutError when the client does not read."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def frame(data: object, *, event: str | None = None, id: int | None = None) -> bytes:
    """Return one event with `data` as JSON on one line (JSON escapes every line break that SSE knows)."""
    lines = [] if id is None else [f"id: {id}"]
    if event is not None:
        lines.append(f"event: {event}")
    lines.append("data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


class Streams:
    """How many streams are open, in all and per key; and the signal that ends them all."""

    def __init__(self, most: int = MAX_STREAMS, most_per_key: int = MAX_STREAMS_PER_BOT) -> None:
        self._most = most
        self._most_per_key = most_per_key
        self._open: Counter[str] = Counter()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def hold(self, key: str | None) -> Iterator[None]:
        """Count one stream while it lasts; see check."""
        self._open[key or ""] += 1
        try:
            yield
        finally:
            self._open[key or ""] -= 1
            self._open += Counter()  # drops what fell to zero

    def check(self, key: str | None) -> None:
        """Raise Problem 503 when one more stream would be too many."""
        if self._open.total() >= self._most or (key is not None and self._open[key] >= self._most_per_key):
            hint = "close some and try again"
            raise Problem(503, "too-many-streams", "too many pages are open on this fleet", hint=hint, retry_after_s=5)


class EventStream:
    """An ASGI response that sends what `produce` emits."""

    def __init__(self, streams: Streams, key: str | None, produce: Callable[[Emit], Awaitable[None]]) -> None:
        streams.check(key)
        self._streams = streams
        self._key = key
        self._produce = produce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until one side ends."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        if scope["method"] != "HEAD":
            with self._streams.hold(self._key):
                await self._run(receive, send)
        # The client may be the reason for the end and read nothing any more: the last chunk is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _run(self, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        sent_mono = loop.time()

        async def emit(chunk: bytes) -> None:
            nonlocal sent_mono
            async with asyncio.timeout(SEND_DEADLINE_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            sent_mono = loop.time()

        async def keep_alive() -> None:
            while True:
                await asyncio.sleep(max(sent_mono + KEEPALIVE_S - loop.time(), 0.05))
                if loop.time() >= sent_mono + KEEPALIVE_S:
                    await emit(b": keepalive\n\n")

        async def until_gone() -> None:
            message: Message = {"type": "http.request"}
            while message["type"] != "http.disconnect":
                message = await receive()

        try:
            await emit(b"retry: 1000\n\n")
            await _first_of(self._produce(emit), keep_alive(), until_gone(), self._streams.stopping.wait())
        except TimeoutError:
            _log.info("a page stopped reading its events and was cut off; it can resume")


async def _first_of(*jobs: Awaitable[object]) -> None:
    """Run `jobs` until one ends, end the others and raise what the first raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
