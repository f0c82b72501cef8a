"""The methods by which a bot puts something before people: messages, files, edits, deletions, drafts, chat actions.

Each is a function of the account and the parameters that returns the result or raises Rejected in Telegram's words. What is carried
out here has been seen by people, whatever becomes of the answer.
"""

from __future__ import annotations

import time

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.crowd import media
from processsupervisor.testing.botapi.markup import read_markup
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.people import Chat, RoomType, Standing
from processsupervisor.testing.botapi.values import (
    MAX_CAPTION_UNITS,
    MAX_DATA_BYTES,
    MAX_TEXT_UNITS,
    Json,
    Rejected,
    bad_request,
    utf16_units,
)

MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_PHOTO_BYTES = 10 * 1024 * 1024
MAX_ALBUM = 10
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content and "
    "reply markup of the message"
)


def send_message(account: Account, params: Params) -> Json:
    """sendMessage."""
    chat = account.chat_for(params.text("chat_id"))
    content = text_of(params, "text", MAX_TEXT_UNITS)
    if not content.get("text"):
        raise bad_request("message text is empty")
    return put(account, chat, params, content, "message")


def send_file(account: Account, params: Params, kind: str) -> Json:
    """sendDocument, sendPhoto and their kin: a file that comes along, or one that Telegram has, by its file_id."""
    chat = account.chat_for(params.text("chat_id"))
    upload = params.upload(kind)
    if upload is not None:
        if len(upload.content) > (MAX_PHOTO_BYTES if kind == "photo" else MAX_UPLOAD_BYTES):
            raise Rejected(413, "Request Entity Too Large")
        if not upload.content:
            raise bad_request("file must be non-empty")
        file = account.files.add(kind, upload)
    elif params.has(kind):
        file = account.files.find(params.text(kind))
    else:
        raise bad_request(f"there is no {kind} in the request")
    content = media(kind, file.json, file.name, file.mime) | text_of(params, "caption", MAX_CAPTION_UNITS)
    return put(account, chat, params, content, kind)


def send_album(account: Account, params: Params) -> list[Json]:
    """sendMediaGroup: two to ten files in one call, which are so many messages; photos with videos, others with their like."""
    items = [Params(item, params.uploads) for item in params.array("media") or () if isinstance(item, dict)]
    kinds = {item.text("type") for item in items}
    if not 2 <= len(items) <= MAX_ALBUM:
        raise bad_request("wrong number of items in the media group: from 2 to 10 are allowed")
    if len(kinds) > 1 and not kinds <= {"photo", "video"}:
        raise bad_request(f"{sorted(kinds)[0]} can't be mixed with other media types")
    chat = account.chat_for(params.text("chat_id"))
    uploads = [item.upload("media") for item in items]
    contents = []
    for item, upload in zip(items, uploads, strict=True):
        if upload is not None and not upload.content:
            raise bad_request("file must be non-empty")
        file = account.files.find(item.text("media")) if upload is None else account.files.add(item.text("type"), upload)
        contents.append(media(item.text("type"), file.json, file.name, file.mime) | text_of(item, "caption", MAX_CAPTION_UNITS))
    account.albums += 1
    group = {"media_group_id": f"{account.id}{account.albums:04}"}
    return [put(account, chat, params, content | group, item.text("type")) for item, content in zip(items, contents, strict=True)]


def send_location(account: Account, params: Params) -> Json:
    """sendLocation."""
    chat = account.chat_for(params.text("chat_id"))
    try:
        place = {name: float(params.text(name)) for name in ("latitude", "longitude")}
    except ValueError:
        raise bad_request("latitude and longitude must be numbers") from None
    return put(account, chat, params, {"location": place}, "location")


def send_contact(account: Account, params: Params) -> Json:
    """sendContact."""
    chat = account.chat_for(params.text("chat_id"))
    for name in ("phone_number", "first_name"):
        if not params.has(name):
            raise bad_request(f"{name.replace('_', ' ')} must be non-empty")
    contact = {name: params.text(name) for name in ("phone_number", "first_name", "last_name") if params.has(name)}
    return put(account, chat, params, {"contact": contact}, "contact")


def send_dice(account: Account, params: Params) -> Json:
    """sendDice: always a one, so that a test knows it."""
    chat = account.chat_for(params.text("chat_id"))
    return put(account, chat, params, {"dice": {"emoji": params.text("emoji", "🎲"), "value": 1}}, "dice")


def set_reaction(account: Account, params: Params) -> bool:
    """setMessageReaction."""
    chat = account.chat_for(params.text("chat_id"))
    if params.integer("message_id") not in chat.messages:
        raise bad_request("message to react not found")
    account.reactions.append((chat.id, params.integer("message_id"), params.array("reaction") or []))
    return True


def edit_text(account: Account, params: Params) -> Json:
    """editMessageText, editMessageCaption and editMessageReplyMarkup: the last leaves the text as it is."""
    chat = account.chat_for(params.text("chat_id"))
    number = params.integer("message_id")
    message = chat.messages.get(number)
    if message is None:
        raise bad_request("message to edit not found")
    sender = message["from"]
    if not isinstance(sender, dict) or sender.get("id") != account.id:
        raise bad_request("message can't be edited")
    changed = {key: value for key, value in message.items() if key != "reply_markup"} | _markup(params)
    if params.has("caption"):
        if "text" in message:
            raise bad_request("there is no caption in the message to edit")
        changed.pop("caption_entities", None)
        changed |= text_of(params, "caption", MAX_CAPTION_UNITS)
    if params.has("text"):
        if "text" not in message:
            raise bad_request("there is no text in the message to edit")
        changed.pop("entities", None)
        changed |= text_of(params, "text", MAX_TEXT_UNITS)
    if changed == message:
        raise bad_request(_NOT_MODIFIED)
    chat.messages[number] = changed | {"edit_date": int(time.time())}
    account.show(chat, chat.messages[number], "edit")
    return chat.messages[number]


def delete_message(account: Account, params: Params) -> bool:
    """deleteMessage."""
    chat = account.chat_for(params.text("chat_id"))
    if chat.messages.pop(params.integer("message_id"), None) is None:
        raise bad_request("message to delete not found")
    return True


def send_draft(account: Account, params: Params) -> bool:
    """sendMessageDraft: a text that grows before the eyes of a person; it is gone once the message is sent."""
    chat = account.chat_for(params.text("chat_id"))
    if chat.type is not RoomType.PRIVATE:
        raise bad_request("chat not found")
    if not params.integer("draft_id"):
        raise bad_request("DRAFT_ID_INVALID")
    draft: Json = {"message_id": params.integer("draft_id"), "chat": chat.json} | text_of(params, "text", MAX_TEXT_UNITS)
    account.show(chat, draft, "draft")
    return True


def send_action(account: Account, params: Params) -> bool:
    """sendChatAction."""
    chat = account.chat_for(params.text("chat_id"))
    if not params.has("action"):
        raise bad_request("wrong parameter action in request")
    account.actions.append((chat.id, params.text("action")))
    return True


def answer_callback(account: Account, params: Params) -> bool:
    """answerCallbackQuery."""
    pressed = account.pressed.get(params.text("callback_query_id"))
    if pressed is None or pressed.is_expired or pressed.answer is not None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    pressed.answer = params.text("text")
    return True


def put(account: Account, chat: Chat, params: Params, content: Json, kind: str) -> Json:
    """Show a new message of the bot's, in the topic and as the answer that the parameters say. Raises Rejected."""
    topic = params.integer("message_thread_id")
    if topic and topic not in chat.topics:
        raise bad_request("message thread not found")
    if topic in chat.closed_topics and chat.standing is not Standing.ADMINISTRATOR:
        raise bad_request("TOPIC_CLOSED")
    reply = params.mapping("reply_parameters")
    quoted = int(str(reply.get("message_id", 0))) or params.integer("reply_to_message_id")
    if quoted and quoted in chat.messages:
        content = content | {"reply_to_message": {k: v for k, v in chat.messages[quoted].items() if k != "reply_to_message"}}
    elif quoted and not reply.get("allow_sending_without_reply") and not params.flag("allow_sending_without_reply"):
        raise bad_request("message to be replied not found")
    message = account.new_message(chat, account.user, content | _markup(params), topic=topic)
    account.show(chat, message, kind)
    return message


def text_of(params: Params, name: str, most_units: int) -> Json:
    """Return text and entities of a parameter; empty when there is none. Raises Rejected for broken markup and what is too long."""
    kind = "caption" if name == "caption" else ""
    raw = params.text(name)
    if not raw.strip():
        return {}
    if (given := params.array(f"{kind}_entities" if kind else "entities")) is not None:
        text, entities = raw, [entity for entity in given if isinstance(entity, dict)]
    else:
        text, entities = read_markup(raw, params.text("parse_mode"))
    text = text.strip()
    if utf16_units(text) > most_units:
        raise bad_request("message caption is too long" if kind else "message is too long")
    found: Json = {name: text}
    if entities:
        found["caption_entities" if kind else "entities"] = entities
    return found


def _markup(params: Params) -> Json:
    """Return the buttons as they stand in a message; other keyboards are taken and not shown there."""
    keyboard = params.mapping("reply_markup").get("inline_keyboard")
    if not isinstance(keyboard, list):
        return {}
    for row in keyboard:
        if not isinstance(row, list):
            raise bad_request("can't parse inline keyboard: expected an Array")
        for button in row:
            _check_button(button)
    return {"reply_markup": {"inline_keyboard": keyboard}}


def _check_button(button: object) -> None:
    if not isinstance(button, dict) or not button.get("text"):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is None and not (set(button) - {"text"}):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if data is not None and not 0 < len(str(data).encode()) <= MAX_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
