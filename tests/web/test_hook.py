"""POST /hook/BOT: Telegram posts to the web process, and hears 200 when the bot has committed the update."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests.connectors.telegramrig import TOKEN, Port, until
from tests.web.webfleet import Fleet

from processsupervisor.connectors.base import ErrorKind
from processsupervisor.connectors.telegram import make
from processsupervisor.connectors.telegram import webhook as module
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.connectors.web import WebConnector, hook_up
from processsupervisor.kernel.errors import Refused, StorageError
from processsupervisor.testing.botapi.hooks import RETRY_S
from processsupervisor.testing.botapi.server import BotApi

SECRET = {"X-Telegram-Bot-Api-Secret-Token": read_settings({"token": TOKEN}, "guide").secret}


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi() as double:
        yield double


@contextlib.asynccontextmanager
async def posted_to(fleet: Fleet, api: BotApi, port: Port) -> AsyncIterator[TelegramConnector]:
    """The bot `guide` with a web connector and one that Telegram posts to."""
    web = WebConnector(fleet.paths.bot_run("guide") / "web.sock")
    telegram = make({"token": TOKEN, "base_url": api.url, "mode": "webhook", "url": fleet.url}, "guide", fleet.paths.data)
    hook_up([web, telegram])
    await web.open(port)
    try:
        await telegram.identify()
        await telegram.open(port)
        await until(lambda: api.known(TOKEN).hook is not None, "the webhook")
        yield telegram
    finally:
        await telegram.close()
        await web.close()


def post(fleet: Fleet, body: object, headers: dict[str, str] | None = None, bot: str = "guide") -> httpx.Response:
    return fleet.client.post(f"{fleet.url}/hook/{bot}", json=body, headers=headers or {})


async def test_updates_come_by_the_web_process(fleet: Fleet, api: BotApi) -> None:
    """Each is committed before Telegram lets it go, also one that could not be stored at first; none comes by polling."""
    port = Port()
    async with posted_to(fleet, api, port):
        ada = api.bot(TOKEN)
        port.fails = [StorageError("the disk is full")]
        ada.says("one")
        ada.says("two")
        await until(lambda: port.texts == ["one", "two"], "both messages")
        await until(lambda: len(api.known(TOKEN).updates) == 0, "the last acknowledgement")
        assert "503" in api.known(TOKEN).hook.last_error
        assert api.known(TOKEN).called["getUpdates"] == 0 and port.proofs > 0 and RETRY_S > 0


async def test_only_telegram_is_believed(fleet: Fleet, api: BotApi) -> None:
    """Without the header, with another secret, for a bot that is not posted to: 403, and nothing reaches the bot."""
    port = Port()
    update = {"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "forged"}}
    async with posted_to(fleet, api, port):
        async def status(*args: object) -> int:
            return (await asyncio.to_thread(post, fleet, update, *args)).status_code

        assert [await status(), await status({"X-Telegram-Bot-Api-Secret-Token": "guess"})] == [403, 403]
        assert await status(SECRET | {"Host": "bots.example.org"}) == 200
        assert await status(SECRET | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert port.texts == ["forged"]


async def test_what_is_no_update_and_who_is_not_there(fleet: Fleet, api: BotApi) -> None:
    """400 for what a repeat does not cure, 404 for no bot of the fleet, 409 for a program, 503 while the bot is away or takes nothing."""
    port = Port()
    good = {"update_id": 1}
    async with posted_to(fleet, api, port):
        async def status(body: object, bot: str = "guide") -> int:
            return (await asyncio.to_thread(post, fleet, body, SECRET, bot)).status_code

        assert [await status([]), await status({}), await status("x" * 600_000), await status(good, "nobody"), await status(good, "legacy")] == [
            400, 400, 413, 404, 409]
        assert [await status(good), await status(good, "notes")] == [200, 503]
        port.refuses = Refused("the bot is paused", code="paused")
        assert await status({"update_id": 2, "message": {"message_id": 2, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "x"}}) == 503


async def test_a_message_that_can_never_be_taken_is_not_posted_for_ever(fleet: Fleet, api: BotApi) -> None:
    """It is left out, as by polling, and the next one comes."""
    port = Port()
    async with posted_to(fleet, api, port):
        port.fails = [Refused("a message has at most 64 KiB", code="too-long")]
        api.bot(TOKEN).says("too long")
        api.bot(TOKEN).says("next")
        await until(lambda: len(api.known(TOKEN).updates) == 0, "the acknowledgement of both")
    assert len(port.texts) == 1 and len(port.tried) == 2


async def test_a_webhook_that_somebody_takes_ends_the_bot(fleet: Fleet, api: BotApi, monkeypatch) -> None:
    """Telegram is asked now and then; another address, or none, is a conflict."""
    monkeypatch.setattr(module, "WATCH_S", 0.05)
    port = Port()
    async with posted_to(fleet, api, port):
        with api.heard:
            api.known(TOKEN).hook.url = "https://elsewhere.example.org/"
        await until(lambda: port.ended is not None, "the end")
    assert port.ended.kind == ErrorKind.CONFLICT and api.known(TOKEN).hook.url == "https://elsewhere.example.org/"
