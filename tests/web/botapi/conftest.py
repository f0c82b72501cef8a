"""A proxy of one bot between the double of Telegram's Bot API and whoever the test lets ask it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.botapi import note_path
from processsupervisor.testing.botapi.crowd import Crowd
from processsupervisor.testing.botapi.server import BotApi
from processsupervisor.web.botapi.proxies import Proxies
from processsupervisor.web.botapi.routes import BotApiRoutes
from processsupervisor.web.listener import open_listener
from processsupervisor.web.main import compose
from processsupervisor.web.server import WebServer
from processsupervisor.web.settings import Listen
from processsupervisor.web.sse import Streams

TOKEN = "123456:AAtherealtokenthatnobodysees"
BOT = "anna"


@dataclass
class Stand:
    """One bot's proxy, started and stopped as often as the test likes; `token` and `url` are what its note says."""

    api: BotApi
    paths: FleetPaths
    settings: dict[str, Any]
    token: str = ""
    url: str = ""
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def crowd(self) -> Crowd:
        return self.api.bot(TOKEN)

    async def start(self) -> None:
        spec = {"name": BOT, "folder": str(self.paths.folder), "env_files": [], "telegram_proxy": self.settings}
        wanted = Listen("127.0.0.1", 0, False)
        listener = open_listener(wanted, None)
        proxies = Proxies(self.paths, [spec], f"http://127.0.0.1:{listener.getsockname()[1]}/")
        streams = Streams()
        server = WebServer(compose(self.paths, wanted, streams, BotApiRoutes(proxies).routes()), streams.stopping.set)
        note_path(self.paths, BOT).unlink(missing_ok=True)
        proxies.start()
        task = asyncio.create_task(server.run_on(listener))
        self._running = contextlib.AsyncExitStack()
        self._running.push_async_callback(proxies.close)
        self._running.push_async_callback(_end, server, task)
        note = await self.note()
        self.token, self.url = note.get("token", ""), note.get("url", "")

    async def note(self) -> dict[str, Any]:
        """Wait for what the bot is told, and return it."""
        path = note_path(self.paths, BOT)
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.005)
        return dict(json.loads(path.read_text()))

    async def stop(self) -> None:
        await self._running.aclose()

    async def call(self, method: str, **params: Any) -> Any:
        """Ask the proxy as a bot without any library would; return the whole answer."""
        async with ClientSession() as session, session.post(f"{self.url}/bot{self.token}/{method}", json=params) as answer:
            return await answer.json()

    async def updates(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.call("getUpdates", **params)
        assert answer["ok"], answer
        return list(answer["result"])


async def _end(server: WebServer, task: asyncio.Task[None]) -> None:
    server.stop()
    await task


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    """A proxy that runs, with the double behind it."""
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "runtime").mkdir()
    paths = FleetPaths(tmp_path / "fleet")
    paths.folder.mkdir()
    paths.ensure()
    with BotApi(conflict_pause_s=0.1) as api:
        made = Stand(api, paths, {"token": TOKEN, "env": "BOT_TOKEN", "url_env": "TELEGRAM_API_URL", "url": api.url, "keep_s": 86400.0})
        await made.start()
        yield made
        await made.stop()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    async def wait(condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (found := condition()):
                await asyncio.sleep(0.005)
        return found

    return wait
