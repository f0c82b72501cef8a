"""What ordinary bots call, by both libraries, and what both make of it: neither finds a field it does not know, or misses one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiogram
import pytest
import telegram
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import BufferedInputFile, InputMediaPhoto
from aiohttp import ClientSession
from pydantic import BaseModel
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.people import ADA, Person
from processsupervisor.testing.botapi.server import BotApi

EVE = Person(8, "Eve")
_AG_BUTTONS = aiogram.types.InlineKeyboardMarkup(inline_keyboard=[[aiogram.types.InlineKeyboardButton(text="Yes", callback_data="y")]])
_PTB_BUTTONS = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="y")]])


@pytest.fixture
async def ag(api: BotApi) -> AsyncIterator[aiogram.Bot]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(api.url), timeout=10)
    yield aiogram.Bot(TOKEN, session=session)
    await session.close()


@pytest.fixture
async def ptb(api: BotApi) -> AsyncIterator[telegram.Bot]:
    async with telegram.Bot(TOKEN, base_url=f"{api.url}/bot", base_file_url=f"{api.url}/file/bot") as made:
        yield made


async def raw(api: BotApi, method: str, **params: Any) -> dict[str, Any]:
    """Ask without any library and return the whole answer."""
    async with ClientSession() as session, session.post(f"{api.url}/bot{TOKEN}/{method}", json=params) as answer:
        found = await answer.json()
        assert answer.status == found.get("error_code", 200)
        return dict(found)


def unknown(model: object, at: str = "") -> list[str]:
    """Return what aiogram was given and has no field for."""
    if isinstance(model, BaseModel):
        extra = [f"{at}.{name}" for name in model.model_extra or ()]
        return extra + [one for name in model.model_fields_set for one in unknown(getattr(model, name, None), f"{at}.{name}")]
    return [one for index, item in enumerate(model) for one in unknown(item, f"{at}[{index}]")] if isinstance(model, list) else []


def lost(sent: object, kept: object, at: str = "") -> list[str]:
    """Return what was sent and python-telegram-bot does not give back."""
    if isinstance(sent, dict):
        there = kept if isinstance(kept, dict) else {}
        return [one for name, value in sent.items() for one in (lost(value, there[name], f"{at}.{name}") if name in there else [f"{at}.{name}"])]
    if isinstance(sent, list) and isinstance(kept, list | tuple):
        return [one for index, pair in enumerate(zip(sent, kept, strict=True)) for one in lost(*pair, f"{at}[{index}]")]
    return []


async def test_both_libraries_know_all_that_the_double_says(api: BotApi, ptb: telegram.Bot) -> None:
    """Every kind of update, with every kind of content: no field is made up, none is dropped by either."""
    crowd = api.bot(TOKEN)
    crowd.says("/start @n123456_bot 🙂")
    for kind in ("document", "photo", "voice", "audio", "video", "sticker"):
        crowd.sends(kind, b"x", name=f"a.{kind}", caption="" if kind == "sticker" else "c")
    crowd.sends_album("photo", [b"1", b"2"], caption="/album")
    number = crowd.says("one")
    crowd.edits(number, "two")
    sent = await raw(api, "sendMessage", chat_id=ADA.id, text="<b>x</b>", parse_mode="HTML", reply_markup={"inline_keyboard": [[{"text": "Y", "callback_data": "y"}]]})
    crowd.presses(sent["result"]["message_id"], "y")
    crowd.says("an answer", answers=sent["result"]["message_id"])
    forum = crowd.group("House", forum=True)
    crowd.promotes_bot(forum)
    crowd.says("in it", EVE, chat=forum, topic=crowd.topic(forum, "Kitchen"))
    crowd.removes_bot(forum)
    crowd.upgrades(crowd.group("Small"))
    crowd.blocks()
    updates = (await raw(api, "getUpdates", limit=100))["result"]
    assert len(updates) > 20
    for update in updates:
        assert unknown(aiogram.types.Update.model_validate(update)) == []
        parsed = telegram.Update.de_json(update, ptb)
        assert parsed is not None and not parsed.api_kwargs
        assert lost(update, parsed.to_dict()) == []


async def test_albums_go_up_and_again_by_their_ids(api: BotApi, ag: aiogram.Bot, ptb: telegram.Bot) -> None:
    """Two messages of one group, of new files and of those that Telegram has; both libraries attach in their own way."""
    api.bot(TOKEN).says("hi")
    first = await ag.send_media_group(ADA.id, [InputMediaPhoto(media=BufferedInputFile(b"1", "1.png"), caption="both"), InputMediaPhoto(media=BufferedInputFile(b"2", "2.png"))])
    second = await ptb.send_media_group(ADA.id, [telegram.InputMediaPhoto(b"3", caption="both"), telegram.InputMediaPhoto(first[1].photo[0].file_id)])
    for album in (first, second):
        assert [message.caption for message in album] == ["both", None]
        assert len({message.media_group_id for message in album}) == 1 and all(message.photo for message in album)
    assert first[0].media_group_id != second[0].media_group_id
    with pytest.raises(telegram.error.BadRequest, match="Wrong file identifier"):
        await ptb.send_media_group(ADA.id, [telegram.InputMediaPhoto("nothing"), telegram.InputMediaPhoto(b"4")])


async def test_buttons_are_changed_and_taken_away(api: BotApi, ag: aiogram.Bot, ptb: telegram.Bot) -> None:
    """editMessageReplyMarkup leaves the text; what is as it was is refused in Telegram's words."""
    api.bot(TOKEN).says("hi")
    one = await ag.send_message(ADA.id, "x", reply_markup=_AG_BUTTONS)
    changed = await ag.edit_message_reply_markup(chat_id=ADA.id, message_id=one.message_id)
    assert isinstance(changed, aiogram.types.Message) and (changed.text, changed.reply_markup) == ("x", None)
    again = await ptb.edit_message_reply_markup(ADA.id, one.message_id, reply_markup=_PTB_BUTTONS)
    assert isinstance(again, telegram.Message) and again.reply_markup == _PTB_BUTTONS and again.edit_date is not None
    with pytest.raises(telegram.error.BadRequest, match="Message is not modified: specified new message content and reply markup are exactly the same"):
        await ptb.edit_message_reply_markup(ADA.id, one.message_id, reply_markup=_PTB_BUTTONS)


async def test_messages_are_forwarded_copied_pinned_and_deleted(api: BotApi, ag: aiogram.Bot, ptb: telegram.Bot) -> None:
    """A forward says where it is from, a copy does not; a copied file may have another caption."""
    crowd = api.bot(TOKEN)
    number = crowd.says("hello")
    photo = crowd.sends("photo", b"x", caption="old")
    crowd.says("hi", EVE)
    forward = await ag.forward_message(EVE.id, ADA.id, number)
    assert isinstance(forward.forward_origin, aiogram.types.MessageOriginUser) and forward.forward_origin.sender_user.id == ADA.id
    assert (await ptb.forward_message(EVE.id, ADA.id, number)).forward_origin.sender_user.first_name == "Ada"
    copies = [(await ag.copy_message(EVE.id, ADA.id, number)).message_id, (await ptb.copy_message(EVE.id, ADA.id, photo, caption="new")).message_id]
    assert crowd.texts(EVE.id)[-2:] == ["hello", "new"]
    assert await ag.pin_chat_message(EVE.id, copies[0]) and await ptb.unpin_chat_message(EVE.id, copies[0])
    assert await ag.delete_messages(EVE.id, copies) and await ptb.delete_messages(EVE.id, copies)
    assert await ag.set_message_reaction(ADA.id, number, [aiogram.types.ReactionTypeEmoji(emoji="👍")]) and await ptb.set_message_reaction(ADA.id, number, "👍")
    assert (await ag.send_location(ADA.id, 1.5, 2.5)).location.latitude == (await ptb.send_location(ADA.id, 1.5, 2.5)).location.latitude == 1.5
    assert (await ag.send_contact(ADA.id, "1", "Bob")).contact.first_name == (await ptb.send_contact(ADA.id, "1", "Bob")).contact.first_name
    assert (await ag.send_dice(ADA.id)).dice.value == (await ptb.send_dice(ADA.id)).dice.value


async def test_topics_are_made_written_to_and_closed(api: BotApi, ag: aiogram.Bot, ptb: telegram.Bot) -> None:
    """By an administrator; others get Telegram's words for why not."""
    crowd = api.bot(TOKEN)
    forum = crowd.group("House", forum=True)
    with pytest.raises(aiogram.exceptions.TelegramBadRequest, match="not enough rights to create a topic"):
        await ag.create_forum_topic(forum.id, "Kitchen")
    crowd.promotes_bot(forum)
    assert (await ag.get_chat_member(forum.id, ag.id)).status == "administrator"
    assert [admin.user.id for admin in await ptb.get_chat_administrators(forum.id)] == [ag.id]
    for topic in (await ag.create_forum_topic(forum.id, "Kitchen"), await ptb.create_forum_topic(forum.id, "Cellar")):
        sent = await ptb.send_message(forum.id, "in it", message_thread_id=topic.message_thread_id)
        assert sent.is_topic_message and sent.message_thread_id == topic.message_thread_id
        assert await ag.edit_forum_topic(forum.id, topic.message_thread_id, name="Attic") and forum.topics[topic.message_thread_id] == "Attic"
        assert await ptb.close_forum_topic(forum.id, topic.message_thread_id) and await ag.reopen_forum_topic(forum.id, topic.message_thread_id)
        assert await ptb.delete_forum_topic(forum.id, topic.message_thread_id)
        with pytest.raises(telegram.error.BadRequest, match="Message thread not found"):
            await ptb.send_message(forum.id, "gone", message_thread_id=topic.message_thread_id)
    assert await ag.get_chat_member_count(forum.id) == await ptb.get_chat_member_count(forum.id) == 2
    assert await ag.leave_chat(forum.id)
    with pytest.raises(telegram.error.Forbidden, match="bot is not a member of the supergroup chat"):
        await ptb.send_message(forum.id, "x")


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("sendMessage", {"chat_id": 99, "text": "x"}, 400, "Bad Request: chat not found"),
    ("sendMessage", {"chat_id": 7, "text": " "}, 400, "Bad Request: message text is empty"),
    ("sendMessage", {"chat_id": 7, "text": "x" * 4097}, 400, "Bad Request: message is too long"),
    ("sendMessage", {"chat_id": 7, "text": "x", "reply_parameters": {"message_id": 99}}, 400, "Bad Request: message to be replied not found"),
    ("sendMessage", {"chat_id": 7, "text": "x", "message_thread_id": 9}, 400, "Bad Request: message thread not found"),
    ("sendMessage", {"chat_id": 7, "text": "<b>x", "parse_mode": "HTML"}, 400, "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""),
    ("editMessageText", {"chat_id": 7, "message_id": 99, "text": "x"}, 400, "Bad Request: message to edit not found"),
    ("editMessageText", {"chat_id": 7, "message_id": "theirs", "text": "x"}, 400, "Bad Request: message can't be edited"),
    ("deleteMessage", {"chat_id": 7, "message_id": 99}, 400, "Bad Request: message to delete not found"),
    ("copyMessage", {"chat_id": 7, "from_chat_id": 7, "message_id": 99}, 400, "Bad Request: message to copy not found"),
    ("forwardMessage", {"chat_id": 7, "from_chat_id": 7, "message_id": 99}, 400, "Bad Request: message to forward not found"),
    ("pinChatMessage", {"chat_id": 7, "message_id": 99}, 400, "Bad Request: message to pin not found"),
    ("createForumTopic", {"chat_id": 7, "name": "x"}, 400, "Bad Request: the chat is not a forum"),
    ("answerCallbackQuery", {"callback_query_id": "1"}, 400, "Bad Request: query is too old and response timeout expired or query ID is invalid"),
    ("sendPhoto", {"chat_id": 7, "photo": "nothing"}, 400, "Bad Request: wrong file identifier/HTTP URL specified"),
    ("getFile", {"file_id": "nothing"}, 400, "Bad Request: invalid file_id"),
    ("sendMessage", {"chat_id": 8, "text": "x"}, 403, "Forbidden: bot was blocked by the user"),
    ("setWebhook", {"url": "ftp://x"}, 400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params", "status", "words"), REFUSED, ids=[f"{row[0]}-{index}" for index, row in enumerate(REFUSED)])
async def test_refusals_have_telegrams_words_and_codes(api: BotApi, method: str, params: dict[str, Any], status: int, words: str) -> None:
    """Programs compare them; the status of HTTP is the error_code."""
    crowd = api.bot(TOKEN)
    said = crowd.says("hi")
    crowd.says("hi", EVE)
    crowd.blocks(EVE)
    params = {name: said if value == "theirs" else value for name, value in params.items()}
    assert await raw(api, method, **params) == {"ok": False, "error_code": status, "description": words}


async def test_the_words_of_a_token_and_of_a_method_that_are_not(api: BotApi) -> None:
    """401 for a token that was taken back, 404 for one that has not the form of a token."""
    api.revoke(TOKEN)
    assert await raw(api, "getMe") == {"ok": False, "error_code": 401, "description": "Unauthorized"}
    async with ClientSession() as session, session.post(f"{api.url}/botno-token/getMe") as answer:
        assert (answer.status, await answer.json()) == (404, {"ok": False, "error_code": 404, "description": "Not Found"})
