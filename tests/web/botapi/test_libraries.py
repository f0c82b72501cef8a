"""aiogram's and python-telegram-bot's own pollers, unchanged, take the proxy for Telegram: given its address, everything works."""

from __future__ import annotations

import asyncio

from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import BufferedInputFile, Message
from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters
from tests.web.botapi.conftest import Stand

from processsupervisor.testing.botapi.people import ADA


async def test_aiogram_polls_sends_and_fetches_through_it(stand: Stand) -> None:
    """Messages, buttons of its own making, files up and down, each once; the bot's id is the real one's."""
    crowd = stand.crowd
    bot = Bot(stand.token, session=AiohttpSession(api=TelegramAPIServer.from_base(stand.url), timeout=20))
    dispatcher = Dispatcher()

    @dispatcher.message(F.document)
    async def on_file(message: Message) -> None:
        assert message.document is not None
        content = await bot.download(message.document)
        assert content is not None
        await message.answer_document(BufferedInputFile(content.read().upper(), "b.txt"), caption="here")

    @dispatcher.message()
    async def on_message(message: Message) -> None:
        await message.answer(f"You said {message.text}")

    crowd.says("before")
    polling = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False, polling_timeout=5))
    await asyncio.to_thread(crowd.wait_for, "You said before")
    crowd.says("after")
    await asyncio.to_thread(crowd.wait_for, "You said after")
    crowd.sends("document", b"content", name="a.txt")
    shown = await asyncio.to_thread(crowd.wait_for, "here")
    assert bot.id == (await bot.get_me()).id == 123456
    await dispatcher.stop_polling()
    await polling
    document = shown.message["document"]
    assert isinstance(document, dict)
    assert stand.api.known(stand.crowd.token).files.find(str(document["file_id"])).content == b"CONTENT"
    assert crowd.times_shown(ADA.id) == {"You said before": 1, "You said after": 1, "here": 1}


async def test_python_telegram_bot_polls_and_fetches_through_it(stand: Stand) -> None:
    """Its Application starts, polls, answers and stops as at Telegram."""
    crowd = stand.crowd

    async def on_message(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(f"You said {update.message.text}")

    async def on_file(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None and update.message.document is not None
        content = await (await update.message.document.get_file()).download_as_bytearray()
        await update.message.reply_document(bytes(content).upper(), filename="b.txt", caption="here")

    builder = Application.builder().token(stand.token).base_url(f"{stand.url}/bot").base_file_url(f"{stand.url}/file/bot")
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, on_message))
    application.add_handler(MessageHandler(filters.Document.ALL, on_file))
    crowd.says("before")
    async with application:
        await application.start()
        assert application.updater is not None
        await application.updater.start_polling(timeout=5)
        await asyncio.to_thread(crowd.wait_for, "You said before")
        crowd.sends("document", b"content", name="a.txt")
        await asyncio.to_thread(crowd.wait_for, "here")
        await application.updater.stop()
        await application.stop()
    assert crowd.times_shown() == {"You said before": 1, "here": 1}
