"""Imported by a zygote: makes all that bots on Telegram can share before they are forked, which each would make for itself otherwise.

Libraries that are imported late, validators that pydantic builds at their first use, the known authorities of TLS, and the places that
CPython writes into when a function has been called a few times. No socket, no loop, no thread, and no token but an invented one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.methods import AnswerCallbackQuery, GetMe, GetUpdates, GetWebhookInfo, SendChatAction, SendMessageDraft, TelegramMethod

from processsupervisor.connectors.telegram.calls import steps_of, target_of
from processsupervisor.connectors.telegram.client import Session, tls_context
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.convert import Me
from processsupervisor.connectors.telegram.polling import read_update
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.storage.records import Extras, Markup, Outgoing, Place

_TIMES = 20  # CPython adapts a function to what it is called with after some calls
_TOKEN = "1:warm"
_ADA = {"id": 7, "is_bot": False, "first_name": "Ada", "username": "ada", "language_code": "en"}
_PRIVATE = {"id": 7, "type": "private", "first_name": "Ada"}
_GROUP = {"id": -7, "type": "group", "title": "Team"}
_WORDS = {"message_id": 1, "date": 1, "chat": _PRIVATE, "from": _ADA, "text": "/help me"}
_MARKED = [{"type": "bot_command", "offset": 0, "length": 5}]
_UPDATES: tuple[dict[str, Any], ...] = (
    {"message": _WORDS | {"entities": _MARKED}}, {"message": _WORDS | {"chat": _GROUP, "reply_to_message": _WORDS}},
    {"edited_message": _WORDS | {"edit_date": 2}},
    {"callback_query": {"id": "1", "from": _ADA, "chat_instance": "1", "data": "x", "message": _WORDS}},
    {"my_chat_member": {
        "chat": _GROUP, "from": _ADA, "date": 1, "old_chat_member": {"status": "left", "user": _ADA},
        "new_chat_member": {"status": "member", "user": _ADA},
    }},
)  # fmt: skip
_ANSWER = '{"ok": true, "result": {"message_id": 1}}'


def warm() -> None:
    """Go the ways of a message in and a reply out, without a network."""
    TelegramConnector(read_settings({"token": _TOKEN}, "warm"), "warm", Path())
    tls_context()
    session = Session()
    bot = Bot(_TOKEN, session=session)
    me = Me(1, "warm_bot")
    replies = [
        Outgoing(1, "r1", Place("telegram", "7"), None, "**x**", 0.0, extras=Extras(markup=markup))
        for markup in (Markup.PLAIN, Markup.MARKDOWN)
    ]
    calls: list[TelegramMethod[Any]] = [
        GetMe(), GetWebhookInfo(), GetUpdates(offset=1, timeout=1, allowed_updates=["message"]), SendChatAction(chat_id=7, action="typing"),
        SendMessageDraft(chat_id=7, draft_id=1, text="x"), AnswerCallbackQuery(callback_query_id="1"),
    ]  # fmt: skip
    for number in range(_TIMES):
        for update in _UPDATES:
            read_update({"update_id": number, **update}, me)
        sends = [steps_of(reply, target_of("7"), Path())[0].make(False) for reply in replies]
        for method in (*calls, *sends):
            session.form_of(bot, method)()
            session.check_response(bot, method, 200, _ANSWER)


warm()
