"""A server in a thread of its own: a loop, started with `with`, on which the doubles of the networks run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

T = TypeVar("T")


class Server:
    """The loop and what is heard on it; `port` is there from `with` on. Doubles derive from it and say what `open` does."""

    def __init__(self) -> None:
        self.port = 0
        self.heard = threading.Condition()
        self.ready: dict[str, list[float]] = {}
        """{token: monotonic times at which a program that had it began to listen to the network}."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)

    async def open(self) -> None:
        """Begin to listen and set `port`."""
        raise NotImplementedError

    async def close(self) -> None:
        """End all connections."""

    async def listen(self, app: web.Application) -> web.AppRunner:
        """Serve an HTTP application on a free loopback port; a handler ends when its client goes away."""
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the loop from another thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    def is_ready(self, token: str) -> None:
        """Note that a program with this token listens now."""
        with self.heard:
            self.ready.setdefault(token, []).append(time.monotonic())
            self.heard.notify_all()

    def wait_for_ready(self, token: str, count: int, timeout_s: float) -> float:
        """Return when a program with this token was ready for the `count`-th time; TimeoutError names it."""
        with self.heard:
            if not self.heard.wait_for(lambda: len(self.ready.get(token, ())) >= count, timeout_s):
                raise TimeoutError(f"{type(self).__name__}: {token.partition(':')[0]} was not ready within {timeout_s:g} s")
            return self.ready[token][count - 1]

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self.open())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.call(self.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
