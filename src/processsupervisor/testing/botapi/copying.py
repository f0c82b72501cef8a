"""Messages that are put into another chat once more, forwarded or copied, and those that are taken away or pinned together."""

from __future__ import annotations

import time

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.sending import put, text_of
from processsupervisor.testing.botapi.values import MAX_CAPTION_UNITS, Json, Rejected, bad_request

MOST_AT_ONCE = 100
_CONTENT = (
    "text", "entities", "caption", "caption_entities", "photo", "document", "audio", "voice", "video", "sticker", "location", "contact",
    "dice",
)  # fmt: skip


def forward_message(account: Account, params: Params) -> Json:
    """forwardMessage: the same content, with where it comes from."""
    chat = account.chat_for(params.text("chat_id"))
    message = _source(account, params, "forward")
    origin: Json = {"type": "user", "date": message["date"], "sender_user": message["from"]}
    return put(account, chat, params, _content(message) | {"forward_origin": origin}, "forward")


def copy_message(account: Account, params: Params) -> Json:
    """copyMessage: the same content as a message of the bot's own, with another caption if one is given."""
    chat = account.chat_for(params.text("chat_id"))
    content = _content(_source(account, params, "copy"))
    if params.has("caption") and "text" not in content:
        content.pop("caption_entities", None)
        content |= text_of(params, "caption", MAX_CAPTION_UNITS)
    return {"message_id": put(account, chat, params, content, "copy")["message_id"]}


def delete_messages(account: Account, params: Params) -> bool:
    """deleteMessages: those that are not there are passed over."""
    chat = account.chat_for(params.text("chat_id"))
    numbers = params.array("message_ids") or []
    if not 0 < len(numbers) <= MOST_AT_ONCE:
        raise bad_request("too many message identifiers specified" if numbers else "message identifiers are not specified")
    for number in numbers:
        chat.messages.pop(int(str(number)), None)
    return True


def pin_message(account: Account, params: Params) -> bool:
    """pinChatMessage: people are shown a note of it."""
    chat = account.chat_for(params.text("chat_id"))
    message = chat.messages.get(params.integer("message_id"))
    if message is None:
        raise bad_request("message to pin not found")
    chat.pinned = int(str(message["message_id"]))
    return True


def unpin_message(account: Account, params: Params) -> bool:
    """unpinChatMessage and unpinAllChatMessages."""
    chat = account.chat_for(params.text("chat_id"))
    if params.has("message_id") and chat.pinned != params.integer("message_id"):
        raise bad_request("message to unpin not found")
    chat.pinned = 0
    return True


def _source(account: Account, params: Params, verb: str) -> Json:
    source = account.chats.get(params.integer("from_chat_id"))
    if source is None:
        raise bad_request("chat not found")
    message = source.messages.get(params.integer("message_id"))
    if message is None:
        raise bad_request(f"message to {verb} not found")
    if not _content(message):
        raise Rejected(400, f"Bad Request: the message can't be {'forwarded' if verb == 'forward' else 'copied'}")
    return message | {"date": message.get("date", int(time.time()))}


def _content(message: Json) -> Json:
    return {name: message[name] for name in _CONTENT if name in message}
