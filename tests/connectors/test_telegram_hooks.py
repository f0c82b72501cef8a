"""Whose a webhook is that stands at Telegram: the bot takes its own away or over, and leaves another's as it is."""

from __future__ import annotations

import pytest
from aiogram.methods import SetWebhook
from tests.connectors.telegramrig import TOKEN, Port, connected, until

from processsupervisor.connectors.base import ErrorKind
from processsupervisor.connectors.telegram.client import Client
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.testing.botapi.server import BotApi


@pytest.fixture
def port() -> Port:
    return Port()


async def _set_webhook(api: BotApi, url: str) -> None:
    client = Client(read_settings({"token": TOKEN, "base_url": api.url}, "anna"))
    await client.call(SetWebhook(url=url))
    await client.close()


async def test_a_foreign_webhook_is_not_taken_away(api: BotApi, port: Port, tmp_path) -> None:
    """Somebody is posted to with this token: that is a conflict, and it stays as it is."""
    await _set_webhook(api, "https://elsewhere.example.org/bot")
    async with connected(api, port, tmp_path):
        await until(lambda: port.ended is not None)
    assert port.ended is not None and port.ended.kind == ErrorKind.CONFLICT and "deleteWebhook" in port.ended.hint
    hook = api.known(TOKEN).hook
    assert hook is not None and hook.url == "https://elsewhere.example.org/bot"


@pytest.mark.parametrize("url", [{}, {"url": "https://new.example.org"}])
async def test_an_own_webhook_is_taken_away(api: BotApi, port: Port, tmp_path, url: dict[str, str]) -> None:
    """A bot that was posted to and is to poll now does so, whatever `url` says by now."""
    async with connected(api, port, tmp_path, mode="webhook", url="http://here.example.org"):
        await until(lambda: api.known(TOKEN).hook)
    async with connected(api, port, tmp_path, **url):
        api.bot(TOKEN).says("hello")
        await until(lambda: port.texts == ["hello"])
    assert api.known(TOKEN).hook is None


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_a_webhook_of_another_fleets_bot_of_the_same_name_is_foreign(api: BotApi, port: Port, tmp_path, mode: str) -> None:
    """The whole address is compared; what is told of it is the host alone."""
    await _set_webhook(api, "https://elsewhere.example.org/hook/anna")
    async with connected(api, port, tmp_path, mode=mode, url="https://here.example.org"):
        await until(lambda: port.ended is not None)
    assert port.ended is not None and port.ended.kind == ErrorKind.CONFLICT
    assert "on elsewhere.example.org" in port.ended.message and "hook/" not in port.ended.message
    hook = api.known(TOKEN).hook
    assert hook is not None and hook.url == "https://elsewhere.example.org/hook/anna"


async def test_another_url_takes_the_place_of_the_former_one(api: BotApi, port: Port, tmp_path) -> None:
    """Who changes `url` needs not take the webhook away by hand."""
    for host in ("one", "two"):
        async with connected(api, port, tmp_path, mode="webhook", url=f"http://{host}.example.org"):
            await until(lambda h=host: (hook := api.known(TOKEN).hook) and hook.url == f"http://{h}.example.org/hook/anna")
    assert port.ended is None
