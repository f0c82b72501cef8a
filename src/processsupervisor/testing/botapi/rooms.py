"""Methods on the rooms themselves: topics of forums, who is in a room, leaving it. Only an administrator may manage topics."""

from __future__ import annotations

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.people import GENERAL_TOPIC, Chat, RoomType, Standing
from processsupervisor.testing.botapi.values import Json, bad_request

_COLOR = 7322096
_MOST_NAME_CHARS = 128


def create_topic(account: Account, params: Params) -> Json:
    """createForumTopic."""
    chat = _forum(account, params, "create a topic")
    name = _name(params)
    color = params.integer("icon_color", _COLOR)
    note = account.new_message(chat, account.user, {"forum_topic_created": {"name": name, "icon_color": color}})
    number = int(str(note["message_id"]))
    chat.topics[number] = name
    return {"message_thread_id": number, "name": name, "icon_color": color}


def edit_topic(account: Account, params: Params) -> bool:
    """editForumTopic."""
    chat, topic = _topic(account, params)
    if params.has("name"):
        chat.topics[topic] = _name(params)
    return True


def close_topic(account: Account, params: Params) -> bool:
    """closeForumTopic."""
    chat, topic = _topic(account, params)
    if topic in chat.closed_topics:
        raise bad_request("TOPIC_NOT_MODIFIED")
    chat.closed_topics.add(topic)
    return True


def reopen_topic(account: Account, params: Params) -> bool:
    """reopenForumTopic."""
    chat, topic = _topic(account, params)
    if topic not in chat.closed_topics:
        raise bad_request("TOPIC_NOT_MODIFIED")
    chat.closed_topics.discard(topic)
    return True


def delete_topic(account: Account, params: Params) -> bool:
    """deleteForumTopic: the topic with its messages."""
    chat, topic = _topic(account, params)
    del chat.topics[topic]
    chat.closed_topics.discard(topic)
    chat.messages = {number: one for number, one in chat.messages.items() if one.get("message_thread_id") != topic and number != topic}
    return True


def member_count(account: Account, params: Params) -> int:
    """getChatMemberCount: whoever has said something there, and the bot."""
    chat = account.chat_for(params.text("chat_id"))
    people = {str(sender.get("id")) for message in chat.messages.values() if isinstance(sender := message.get("from"), dict)}
    return len(people | {str(account.id)} | ({str(chat.id)} if chat.type is RoomType.PRIVATE else set()))


def administrators(account: Account, params: Params) -> list[Json]:
    """getChatAdministrators: bots are not among them, as at Telegram, but for the one that asks."""
    chat = account.chat_for(params.text("chat_id"))
    if chat.type is RoomType.PRIVATE:
        raise bad_request("there are no administrators in the private chat")
    return [member_json(account, chat)] if chat.standing is Standing.ADMINISTRATOR else []


def member_json(account: Account, chat: Chat) -> Json:
    """Return what the bot is in a chat."""
    found: Json = {"user": account.user, "status": str(chat.standing)}
    if chat.standing is Standing.KICKED:
        return found | {"until_date": 0}
    if chat.standing is not Standing.ADMINISTRATOR:
        return found
    rights = (
        "can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members",
        "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories", "can_delete_stories",
        "can_send_welcome_messages",
    )  # fmt: skip
    return found | dict.fromkeys(rights, False) | {"can_manage_topics": True, "can_pin_messages": True, "can_manage_chat": True}


def leave(account: Account, params: Params) -> bool:
    """leaveChat."""
    chat = account.chat_for(params.text("chat_id"))
    if chat.type is RoomType.PRIVATE:
        raise bad_request("chat member status can't be changed in private chats")
    chat.standing = Standing.LEFT
    return True


def _forum(account: Account, params: Params, verb: str) -> Chat:
    chat = account.chat_for(params.text("chat_id"))
    if not chat.is_forum:
        raise bad_request("the chat is not a forum")
    if chat.standing is not Standing.ADMINISTRATOR:
        raise bad_request(f"not enough rights to {verb}")
    return chat


def _topic(account: Account, params: Params) -> tuple[Chat, int]:
    chat = _forum(account, params, "manage topics")
    topic = params.integer("message_thread_id")
    if topic not in chat.topics or topic == GENERAL_TOPIC:
        raise bad_request("message thread not found")
    return chat, topic


def _name(params: Params) -> str:
    name = params.text("name").strip()
    if not 0 < len(name) <= _MOST_NAME_CHARS:
        raise bad_request("TOPIC_TITLE_EMPTY" if not name else "TOPIC_TITLE_INVALID")
    return name
