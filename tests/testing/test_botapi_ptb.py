"""python-telegram-bot's own client and updater, unchanged, are the second referee of the double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.ext import Application, CallbackQueryHandler, ContextTypes, MessageHandler, filters
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import ADA
from processsupervisor.testing.botapi.server import BotApi


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=f"{api.url}/bot", base_file_url=f"{api.url}/file/bot") as made:
        yield made


async def test_its_application_polls_and_answers(api: BotApi) -> None:
    """Messages and buttons arrive at its handlers; each is answered once."""
    crowd = api.bot(TOKEN)

    async def on_message(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="vote:yes")]])
        await update.message.reply_text(f"You said {update.message.text}", reply_markup=keyboard)

    async def on_button(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.callback_query is not None
        await update.callback_query.answer("Noted")
        await update.callback_query.edit_message_text("Voted")

    builder = Application.builder().token(TOKEN).base_url(f"{api.url}/bot").base_file_url(f"{api.url}/file/bot")
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, on_message))
    application.add_handler(CallbackQueryHandler(on_button))
    crowd.says("m0")
    async with application:
        await application.start()
        assert application.updater is not None
        await application.updater.start_polling(timeout=5)
        crowd.says("m1")
        first = await asyncio.to_thread(crowd.wait_for, "You said m0")
        await asyncio.to_thread(crowd.wait_for, "You said m1")
        crowd.presses(first.message_id, "vote:yes")
        await asyncio.to_thread(crowd.wait_for, "Voted")
        await application.updater.stop()
        await application.stop()
    assert crowd.times_shown() == {"You said m0": 1, "You said m1": 1}


async def test_its_files_go_up_and_come_down(api: BotApi, bot: Bot) -> None:
    """An upload with its own way of attaching, fetched by the address that it makes of a file_path."""
    api.bot(TOKEN).says("hi")
    sent = await bot.send_document(ADA.id, b"content", filename="a.txt", caption="c")
    assert sent.document is not None and sent.caption == "c"
    file = await (await bot.get_file(sent.document.file_id)).download_as_bytearray()
    assert bytes(file) == b"content"
    photo = await bot.send_photo(ADA.id, b"pic")
    assert len(photo.photo) == 2


async def test_every_kind_of_update_is_its_type(api: BotApi, bot: Bot) -> None:
    """What people do is taken in without a loss."""
    crowd = api.bot(TOKEN)
    number = crowd.says("/start")
    for kind in ("document", "photo", "voice", "audio", "video", "sticker"):
        crowd.sends(kind, b"x", name=f"a.{kind}")
    crowd.edits(number, "/start again")
    crowd.blocks()
    updates = await bot.get_updates()
    attachments = [type(update.message.effective_attachment).__name__ for update in updates if update.message]
    assert attachments == ["NoneType", "Document", "tuple", "Voice", "Audio", "Video", "Sticker"]
    assert updates[-2].edited_message is not None and updates[-1].my_chat_member is not None


@pytest.mark.parametrize(("fault", "expected"), [
    (Fault(FaultKind.RATE, retry_after_s=3), RetryAfter), (Fault(FaultKind.ERROR), NetworkError), (Fault(FaultKind.CUT_BEFORE), NetworkError),
    (Fault(FaultKind.CUT_AFTER), NetworkError), (Fault(FaultKind.GARBAGE), TelegramError)])
async def test_faults_are_its_errors(api: BotApi, bot: Bot, fault: Fault, expected: type[Exception]) -> None:
    """What goes wrong on the way is raised as its own kind."""
    api.bot(TOKEN).says("hi")
    api.faults.add(fault)
    with pytest.raises(expected):
        await bot.send_message(ADA.id, "x")
    await bot.send_message(ADA.id, "x")


async def test_refusals_are_its_errors(api: BotApi, bot: Bot) -> None:
    """Unknown, blocked, moved, in use, revoked: each as its own kind, with what it carries."""
    crowd = api.bot(TOKEN)
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(99, "x")
    crowd.says("hi")
    crowd.blocks()
    with pytest.raises(Forbidden):
        await bot.send_message(ADA.id, "x")
    group = crowd.group()
    moved = crowd.upgrades(group)
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(group.id, "x")
    assert caught.value.new_chat_id == moved.id
    await bot.set_webhook("http://127.0.0.1:9/")
    with pytest.raises(Conflict):
        await bot.get_updates()
    api.revoke(TOKEN)
    with pytest.raises(InvalidToken):
        await bot.get_me()
