"""The webhook servers of both libraries, unchanged, are posted to by the double as by Telegram."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramConflictError
from aiogram.types import BufferedInputFile, Message
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import ClientSession, web
from telegram import Update
from telegram.error import Conflict
from telegram.ext import Application, ContextTypes, MessageHandler, filters
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.server import BotApi

SECRET = "s3cret_-"
EMPTY = {"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "forged"}}


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago: both libraries tell Telegram their address before they listen there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(api: BotApi, condition: Callable[[], object]) -> None:
    def wait() -> bool:
        with api.heard:
            return api.heard.wait_for(lambda: bool(condition()), 15)

    assert await asyncio.to_thread(wait), "it did not come about"


async def forged(url: str, **headers: str) -> int:
    """Post as somebody who is not Telegram, and return the status."""
    async with ClientSession() as session, session.post(url, json=EMPTY, headers=headers) as answer:
        return answer.status


@contextlib.asynccontextmanager
async def aiogram_server(api: BotApi, port: int, answer: Callable[[Message], Awaitable[object]], **settings: object) -> AsyncIterator[Bot]:
    """As in aiogram's own example of a webhook (echo_bot_webhook.py): the webhook is set on startup, then the server listens."""
    bot = Bot(TOKEN, session=AiohttpSession(api=TelegramAPIServer.from_base(api.url), timeout=10))
    dispatcher = Dispatcher()
    dispatcher.message()(answer)

    @dispatcher.startup()
    async def on_startup(bot: Bot) -> None:
        await bot.set_webhook(f"http://127.0.0.1:{port}/webhook", secret_token=SECRET)

    application = web.Application()
    SimpleRequestHandler(dispatcher, bot, secret_token=SECRET, **settings).register(application, "/webhook")
    setup_application(application, dispatcher, bot=bot)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield bot
    finally:
        await runner.cleanup()


async def test_aiograms_server_takes_updates_with_its_secret(api: BotApi, port: int) -> None:
    """What waited before and what comes later, each once and in order; who does not show the secret is turned away; no poll beside it."""
    crowd = api.bot(TOKEN)

    async def answer(message: Message) -> None:
        await message.answer(f"You said {message.text}")

    crowd.says("before")
    async with aiogram_server(api, port, answer) as bot:
        await asyncio.to_thread(crowd.wait_for, "You said before")
        for number in range(5):
            crowd.says(f"m{number}")
        await asyncio.to_thread(crowd.wait_for, "You said m4")
        assert await forged(f"http://127.0.0.1:{port}/webhook") == 401
        with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active"):
            await bot.get_updates()
        info = await bot.get_webhook_info()
        assert (info.pending_update_count, info.url) == (0, f"http://127.0.0.1:{port}/webhook")
        assert await bot.delete_webhook() and await bot.get_updates() == []
    assert set(crowd.times_shown().values()) == {1} and len(crowd.texts()) == 6


async def test_a_500_of_aiograms_server_is_posted_again(api: BotApi, port: int) -> None:
    """Until a handler gets through; the next message of that chat waits behind it, and what went wrong is told by getWebhookInfo."""
    crowd, tries = api.bot(TOKEN), 0

    async def answer(message: Message) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise ValueError("not yet")
        await message.answer(f"You said {message.text}")

    async with aiogram_server(api, port, answer, handle_in_background=False) as bot:
        crowd.says("one")
        crowd.says("two")
        await asyncio.to_thread(crowd.wait_for, "You said two")
        info = await bot.get_webhook_info()
    assert crowd.texts() == ["You said one", "You said two"] and tries == 4
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error" and info.last_error_date is not None


async def test_aiograms_answer_in_the_body_may_have_a_file(api: BotApi, port: int) -> None:
    """The method and its upload stand in the response, as a multipart form."""
    crowd = api.bot(TOKEN)

    async def answer(message: Message) -> object:
        return message.answer_document(BufferedInputFile(b"content", "a.txt"), caption="here")  # not awaited

    async with aiogram_server(api, port, answer, handle_in_background=False):
        crowd.says("hello")
        shown = await asyncio.to_thread(crowd.wait_for, "here")
    document = shown.message["document"]
    assert isinstance(document, dict) and api.known(TOKEN).files.find(document["file_id"]).content == b"content"


async def test_python_telegram_bots_server_takes_updates_with_its_secret(api: BotApi, port: int) -> None:
    """Its Updater sets the webhook and listens; what could not be delivered before is posted again until it is."""
    crowd = api.bot(TOKEN)

    async def on_message(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(f"You said {update.message.text}")

    builder = Application.builder().token(TOKEN).base_url(f"{api.url}/bot").base_file_url(f"{api.url}/file/bot")
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, on_message))
    url = f"http://127.0.0.1:{port}/telegram"
    async with application:
        await application.start()
        await application.bot.set_webhook(url, secret_token="of_another_life")
        crowd.says("before")
        hook = api.known(TOKEN).hook
        assert hook is not None
        await until(api, lambda: hook.last_error == "Connection refused")
        updater = application.updater
        assert updater is not None
        await updater.start_webhook("127.0.0.1", port, "telegram", webhook_url=url, secret_token=SECRET)
        await asyncio.to_thread(crowd.wait_for, "You said before")
        crowd.says("after")
        await asyncio.to_thread(crowd.wait_for, "You said after")
        assert await forged(url) == 403
        assert await forged(url, **{"X-Telegram-Bot-Api-Secret-Token": "of_another_life"}) == 403
        with pytest.raises(Conflict):
            await application.bot.get_updates()
        assert (await application.bot.get_webhook_info()).pending_update_count == 0
        await updater.stop()
        crowd.says("while it is away")
        hook = api.known(TOKEN).hook
        assert hook is not None
        await until(api, lambda: "Connection refused" in hook.last_error)
        await updater.start_webhook("127.0.0.1", port, "telegram", webhook_url=url, secret_token=SECRET)
        await asyncio.to_thread(crowd.wait_for, "You said while it is away")
        await updater.stop()
        await application.stop()
    assert crowd.times_shown() == {"You said before": 1, "You said after": 1, "You said while it is away": 1}


async def test_python_telegram_bots_polling_takes_the_webhook_away(api: BotApi) -> None:
    """As at Telegram its start_polling deletes it first; what waited for the webhook comes by the poll."""
    crowd = api.bot(TOKEN)
    got: list[str] = []

    async def on_message(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None and update.message.text is not None
        got.append(update.message.text)

    application = Application.builder().token(TOKEN).base_url(f"{api.url}/bot").build()
    application.add_handler(MessageHandler(filters.TEXT, on_message))
    async with application:
        await application.bot.set_webhook("http://127.0.0.1:9/nobody")
        crowd.says("waits")
        await application.start()
        assert application.updater is not None
        await application.updater.start_polling(timeout=2)
        async with asyncio.timeout(10):
            while not got:
                await asyncio.sleep(0.01)
        await application.updater.stop()
        await application.stop()
    assert got == ["waits"] and api.known(TOKEN).hook is None
