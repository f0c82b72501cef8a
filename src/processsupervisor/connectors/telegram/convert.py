"""An update of Telegram as an Incoming: pure.

Ids are Telegram's own with a letter for the kind in front, because the numbers of messages, edits and buttons are counted separately:
m<message>, e<message>.<edit date>, b<callback>, s<update> for membership. A conversation is the chat's number, in a forum with
"/TOPIC" behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiogram.types import CallbackQuery, ChatMemberUpdated, Message, MessageEntity, Update

from processsupervisor.connectors.base import clean_text
from processsupervisor.connectors.telegram.files import attachments_of
from processsupervisor.storage.records import Envelope, Incoming, Kind, Place, RoomKind

NETWORK = "telegram"
_ROOMS = {"private": RoomKind.PRIVATE, "channel": RoomKind.CHANNEL}
_UNREADABLE = {
    "sticker": "a sticker", "voice": "a voice message", "video_note": "a video message", "location": "a location", "venue": "a place",
    "contact": "a contact", "dice": "a dice", "poll": "a poll", "game": "a game", "story": "a story", "checklist": "a checklist",
    "paid_media": "paid media", "live_photo": "a live photo", "invoice": "an invoice", "giveaway": "a giveaway",
    "rich_message": "a rich message", "web_app_data": "data of a web app", "passport_data": "a passport", "gift": "a gift",
}  # fmt: skip
"""What a person can send that is neither text nor a file; everything else without text is a note of Telegram's own and needs no answer."""


class Me(NamedTuple):
    """Who the bot is."""

    id: int
    username: str
    prefix: str = ""
    """What stands before the ids of messages, see former.py."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A group that has become a supergroup: the conversation `old` is `new` from now on."""

    old: str
    new: str


def incoming_of(update: Update, me: Me) -> Incoming | Moved | None:
    """Return what an update says, None for what no bot has to know."""
    if message := update.message or update.channel_post:
        return _message(message, me)
    if message := update.edited_message or update.edited_channel_post:
        return _edit(message, me)
    if update.callback_query is not None:
        return _button(update.callback_query)
    if update.my_chat_member is not None:
        return _membership(update.my_chat_member, update.update_id)
    return None


def unreadable_of(raw: dict[str, object]) -> Incoming | None:
    """Return an update that aiogram cannot read as an UNREADABLE, if at least its chat and number can be made out."""
    for key in ("message", "channel_post"):
        match raw.get(key):
            case {"message_id": int(number), "chat": {"id": int(chat), **rest}, **more}:
                room = _ROOMS.get(str(rest.get("type")), RoomKind.GROUP)
                sender = more.get("from")
                who = str(sender.get("id", chat)) if isinstance(sender, dict) else str(chat)
                envelope = Envelope(room=room, is_addressed=room == RoomKind.PRIVATE)
                return Incoming(Place(NETWORK, str(chat)), f"m{number}", who, "a message of a new kind", Kind.UNREADABLE, envelope)
    return None


def _message(message: Message, me: Me) -> Incoming | Moved | None:
    if message.migrate_to_chat_id is not None:
        return Moved(str(message.chat.id), str(message.migrate_to_chat_id))
    if message.migrate_from_chat_id is not None:
        return Moved(str(message.migrate_from_chat_id), str(message.chat.id))
    identity = f"m{message.message_id}"
    attachments = attachments_of(message)
    unreadable = next((words for name, words in _UNREADABLE.items() if getattr(message, name, None) is not None), None)
    text = message.text if message.text is not None else message.caption
    if unreadable is not None:
        return _make(message, me, identity, unreadable, Kind.UNREADABLE)
    if text is None and not attachments:
        return None
    return _make(message, me, identity, text or "", Kind.MESSAGE)


def _edit(message: Message, me: Me) -> Incoming | None:
    text = message.text if message.text is not None else message.caption
    if text is None:
        return None
    return _make(message, me, f"e{message.message_id}.{message.edit_date or 0}", text, Kind.EDIT)


def _make(message: Message, me: Me, identity: str, text: str, kind: Kind) -> Incoming:
    sender = message.sender_chat or message.from_user
    person = message.from_user if message.sender_chat is None else None
    text, is_addressed = _address(message, text, me)
    reply = _answered(message)
    about = str(message.message_id) if kind == Kind.EDIT else str(reply.message_id) if reply is not None else None
    envelope = Envelope(
        room=_room(message.chat.type), title=clean_text(message.chat.title or ""), locale=(person.language_code or "") if person else "",
        sender_name=clean_text((person.full_name if person else None) or message.chat.title or ""),
        is_addressed=is_addressed, about=about, sent_at=float(message.edit_date or message.date.timestamp()),
        attachments=attachments_of(message), album=message.media_group_id or "",
    )  # fmt: skip
    who = str(sender.id) if sender is not None else str(message.chat.id)
    return Incoming(_place(message), identity, who, clean_text(text), kind, envelope)


def _button(query: CallbackQuery) -> Incoming | None:
    message = query.message
    if message is None or query.data is None:
        return None  # of an inline message, which stands in a chat that the bot does not know, or a game
    conversation = _conversation_of(message) if isinstance(message, Message) else str(message.chat.id)
    person = query.from_user
    envelope = Envelope(
        room=_room(message.chat.type), title=clean_text(message.chat.title or ""), sender_name=clean_text(person.full_name),
        locale=person.language_code or "", about=str(message.message_id), token=query.id,
    )  # fmt: skip
    return Incoming(Place(NETWORK, conversation), f"b{query.id}", str(person.id), clean_text(query.data), Kind.BUTTON, envelope)


def _membership(change: ChatMemberUpdated, update_id: int) -> Incoming | None:
    was, now = _is_in(change.old_chat_member), _is_in(change.new_chat_member)
    is_private = change.chat.type == "private"
    if was == now or (is_private and now):  # a person who unblocks the bot writes next, which says the same
        return None
    person = change.from_user
    envelope = Envelope(
        room=_room(change.chat.type), title=clean_text(change.chat.title or ""), sender_name=clean_text(person.full_name),
        locale=person.language_code or "", sent_at=change.date.timestamp(),
    )  # fmt: skip
    kind = Kind.JOINED if now else Kind.LEFT
    return Incoming(Place(NETWORK, str(change.chat.id)), f"s{update_id}", str(person.id), kind.value, kind, envelope)


def _is_in(member: object) -> bool:
    status = getattr(member, "status", "")
    return status in ("creator", "administrator", "member") or (status == "restricted" and bool(getattr(member, "is_member", False)))


def _room(chat_type: str) -> RoomKind:
    return _ROOMS.get(chat_type, RoomKind.GROUP)


def _place(message: Message) -> Place:
    return Place(NETWORK, _conversation_of(message))


def _conversation_of(message: Message) -> str:
    if message.is_topic_message and message.message_thread_id is not None:
        return f"{message.chat.id}/{message.message_thread_id}"
    return str(message.chat.id)


def _answered(message: Message) -> Message | None:
    """Return the message that this one answers; in a topic every message "answers" the note that opened it, which says nothing."""
    reply = message.reply_to_message
    return None if reply is None or reply.forum_topic_created is not None else reply


def _address(message: Message, text: str, me: Me) -> tuple[str, bool]:
    """Return the text without the bot's name behind a command, and whether the message speaks to the bot."""
    is_addressed = message.chat.type == "private"
    reply = _answered(message)
    if reply is not None and reply.from_user is not None and reply.from_user.id == me.id:
        is_addressed = True
    entities = message.entities if message.text is not None else message.caption_entities
    units = (message.text or message.caption or "").encode("utf-16-le", "replace")
    for entity in entities or ():
        words = units[entity.offset * 2 : (entity.offset + entity.length) * 2].decode("utf-16-le", "replace")
        match entity.type:
            case "bot_command" if entity.offset == 0:
                command, _, name = words.partition("@")
                if not name or name.lower() == me.username.lower():
                    text, is_addressed = command + text[len(words) :], True
            case "mention" | "text_mention":
                is_addressed = is_addressed or _names(entity, words, me)
    return text, is_addressed


def _names(entity: MessageEntity, words: str, me: Me) -> bool:
    if entity.user is not None:
        return entity.user.id == me.id
    return bool(me.username) and words.lower() == f"@{me.username.lower()}"
