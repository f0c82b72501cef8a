"""aiogram's own client and dispatcher, unchanged, are the referee: they take the double's objects and errors for Telegram's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import BufferedInputFile, CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, ReplyParameters, Update
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import ADA
from processsupervisor.testing.botapi.server import BotApi

BUTTONS = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Yes", callback_data="vote:yes")]])


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(api.url), timeout=10)
    yield Bot(TOKEN, session=session)
    assert session._session is None or await session._session.close() is None


@contextlib.asynccontextmanager
async def polling(dispatcher: Dispatcher, bot: Bot) -> AsyncIterator[None]:
    """Run aiogram's own polling, as an author does; ended as by SIGTERM."""
    task = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False, polling_timeout=5))
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            await dispatcher.stop_polling()
        await task


async def test_its_dispatcher_polls_and_answers(api: BotApi, bot: Bot) -> None:
    """Messages, edits, buttons and membership arrive at its handlers as its types; each is answered once."""
    crowd = api.bot(TOKEN)
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def on_message(message: Message) -> None:
        await message.reply(f"You said {message.text}", reply_markup=BUTTONS)

    @dispatcher.edited_message()
    async def on_edit(message: Message) -> None:
        await message.answer(f"Now {message.text}")

    @dispatcher.callback_query()
    async def on_button(query: CallbackQuery) -> None:
        await query.answer("Noted")
        assert isinstance(query.message, Message)
        await query.message.edit_text("Voted")

    said = [crowd.says(f"m{number}") for number in range(3)]
    async with polling(dispatcher, bot):
        sent = [shown.message_id for number in range(3) if (shown := await asyncio.to_thread(crowd.wait_for, f"You said m{number}"))]
        crowd.edits(said[0], "m0!")
        pressed = crowd.presses(sent[0], "Yes")
        await asyncio.to_thread(crowd.wait_for, "Now m0!")
        await asyncio.to_thread(crowd.wait_for, "Voted")
    assert pressed.answer == "Noted"
    assert crowd.times_shown() == {"You said m0": 1, "You said m1": 1, "You said m2": 1, "Now m0!": 1}
    assert api.known(TOKEN).conflicts == 0


async def test_every_kind_of_update_is_its_type(api: BotApi, bot: Bot) -> None:
    """What people do parses as aiogram's strict Update, none falls back to an unknown one."""
    crowd = api.bot(TOKEN)
    crowd.says("/start now")
    for kind in ("document", "photo", "voice", "audio", "video", "sticker"):
        crowd.sends(kind, b"x", name=f"a.{kind}")
    forum = crowd.group("House", forum=True)
    crowd.says("hi", chat=forum, topic=crowd.topic(forum, "Kitchen"))
    moved = crowd.upgrades(crowd.group("Small"))
    crowd.blocks()
    updates: list[Update] = await bot.get_updates()
    assert [update.event_type for update in updates[:7]] == ["message"] * 7
    contents = [update.message.content_type for update in updates if update.message]
    assert contents == ["text", "document", "photo", "voice", "audio", "video", "sticker", "new_chat_members", "forum_topic_created", "text",
                        "new_chat_members", "migrate_to_chat_id", "migrate_from_chat_id"]
    assert updates[0].message is not None and updates[0].message.entities is not None and updates[0].message.entities[0].type == "bot_command"
    last = updates[-1].my_chat_member
    assert last is not None and last.new_chat_member.status == "kicked"
    assert updates[-2].message is not None and updates[-2].message.chat.id == moved.id


async def test_its_files_go_up_and_come_down(api: BotApi, bot: Bot) -> None:
    """A multipart upload is a file that can be fetched again, and sent again by its id."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    sent = await bot.send_document(ADA.id, BufferedInputFile(b"content", "a.txt"), caption="<b>c</b>", parse_mode="HTML")
    assert sent.document is not None and sent.document.file_name == "a.txt" and sent.caption == "c"
    file = await bot.get_file(sent.document.file_id)
    assert file.file_path is not None
    content = await bot.download_file(file.file_path)
    assert content is not None and content.read() == b"content"
    again = await bot.send_document(ADA.id, sent.document.file_id)
    assert again.document is not None and again.document.file_size == 7
    photo = await bot.send_photo(ADA.id, BufferedInputFile(b"pic", "a.png"))
    assert photo.photo is not None and len(photo.photo) == 2
    big = crowd.sends("document", b"", size_bytes=21 * 1024 * 1024)
    update = (await bot.get_updates(offset=-1))[0]
    assert update.message is not None and update.message.message_id == big and update.message.document is not None
    with pytest.raises(TelegramBadRequest, match="file is too big"):
        await bot.get_file(update.message.document.file_id)


async def test_its_other_methods(api: BotApi, bot: Bot) -> None:
    """Identity, topics, replies, drafts, actions, commands, chats, deletion: each returns what aiogram wants it to be."""
    crowd = api.bot(TOKEN)
    number = crowd.says("hi")
    me = await bot.get_me()
    assert (me.id, me.username) == (123456, "n123456_bot")
    answer = await bot.send_message(ADA.id, "x", reply_parameters=ReplyParameters(message_id=number))
    assert answer.reply_to_message is not None and answer.reply_to_message.text == "hi"
    assert await bot.send_chat_action(ADA.id, "typing") and api.known(TOKEN).actions == [(ADA.id, "typing")]
    assert await bot.send_message_draft(chat_id=ADA.id, draft_id=1, text="x y")
    assert crowd.shown[-1].kind == "draft"
    assert await bot.delete_message(ADA.id, answer.message_id)
    assert (await bot.get_chat(ADA.id)).first_name == "Ada"
    assert (await bot.get_chat_member(crowd.group().id, me.id)).status == "member"
    assert (await bot.get_webhook_info()).url == ""
    assert await bot.set_my_commands([]) and await bot.get_my_commands() == []


@pytest.mark.parametrize(("fault", "expected"), [
    (Fault(FaultKind.RATE, retry_after_s=3), TelegramRetryAfter), (Fault(FaultKind.ERROR), TelegramServerError),
    (Fault(FaultKind.ERROR, status=502, description="Bad Gateway"), TelegramServerError),
    (Fault(FaultKind.CUT_BEFORE), TelegramNetworkError), (Fault(FaultKind.CUT_AFTER), TelegramNetworkError)])
async def test_faults_are_its_errors(api: BotApi, bot: Bot, fault: Fault, expected: type[Exception]) -> None:
    """What goes wrong on the way is raised as aiogram's own kind."""
    api.bot(TOKEN).says("hi")
    api.faults.add(fault)
    with pytest.raises(expected) as caught:
        await bot.send_message(ADA.id, "x")
    if isinstance(caught.value, TelegramRetryAfter):
        assert caught.value.retry_after == 3
    await bot.send_message(ADA.id, "x")


async def test_refusals_are_its_errors(api: BotApi, bot: Bot) -> None:
    """Blocked, moved, revoked, in use: each as aiogram's own kind, with what it carries."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    crowd.blocks()
    with pytest.raises(TelegramForbiddenError):
        await bot.send_message(ADA.id, "x")
    group = crowd.group()
    moved = crowd.upgrades(group)
    with pytest.raises(TelegramMigrateToChat) as caught:
        await bot.send_message(group.id, "x")
    assert caught.value.migrate_to_chat_id == moved.id
    await bot.set_webhook("http://127.0.0.1:9/")
    with pytest.raises(TelegramConflictError):
        await bot.get_updates()
    api.revoke(TOKEN)
    with pytest.raises(TelegramUnauthorizedError):
        await bot.get_me()


async def test_its_webhook_server_takes_updates(api: BotApi, bot: Bot) -> None:
    """Posted with the secret, kept until it is there, and an answer in the body is carried out."""
    crowd = api.bot(TOKEN)
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def on_message(message: Message) -> object:
        return message.answer(f"You said {message.text}")  # not awaited: aiogram puts it into the response

    application = web.Application()
    SimpleRequestHandler(dispatcher, bot, handle_in_background=False, secret_token="s3cret").register(application, "/hook")
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        await bot.set_webhook(f"http://127.0.0.1:{port}/hook", secret_token="wrong")
        crowd.says("hello")
        hook = api.known(TOKEN).hook
        assert hook is not None and await asyncio.to_thread(_wait, api, lambda: "401" in hook.last_error)
        assert (await bot.get_webhook_info()).pending_update_count == 1
        await bot.set_webhook(f"http://127.0.0.1:{port}/hook", secret_token="s3cret")
        await asyncio.to_thread(crowd.wait_for, "You said hello")
        assert (await bot.get_webhook_info()).pending_update_count == 0
    finally:
        await runner.cleanup()


def _wait(api: BotApi, condition: Callable[[], bool]) -> bool:
    with api.heard:
        return api.heard.wait_for(condition, 10)
