"""One bot as Telegram keeps it: who it is, its chats, what waits for it and what people have been shown by it.

No HTTP and no waiting here. Whoever calls holds the double's lock; methods.py calls it for the bot, crowd.py for the people.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from processsupervisor.testing.botapi.files import Files
from processsupervisor.testing.botapi.limits import Floodgate
from processsupervisor.testing.botapi.people import Chat, Person, RoomType, Standing
from processsupervisor.testing.botapi.updates import Updates
from processsupervisor.testing.botapi.values import Json, Rejected, bad_request, numbers_before


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that a bot put before people. `kind` is the kind of message, "edit" for a changed one or "draft"."""

    chat: int
    message_id: int
    text: str
    kind: str
    at_mono: float
    message: Json


@dataclass(slots=True)
class Pressed:
    """A button that a person pressed; `answer` is what the bot said to it, None as long as it shows a clock."""

    id: str
    chat: int
    message_id: int
    data: str
    person: Person
    answer: str | None = None
    is_expired: bool = False


@dataclass(slots=True)
class Hook:
    """What setWebhook has set."""

    url: str
    secret: str = ""
    max_connections: int = 40
    last_error: str = ""
    last_error_at: float = 0.0


@dataclass(slots=True)
class Account:
    """What belongs to one token. `shown` is everything that people saw, in order; nothing is ever taken out of it."""

    token: str
    wake: Callable[[], None] = lambda: None
    """Called when an update was added."""
    is_revoked: bool = False
    username: str = ""
    updates: Updates = field(default_factory=Updates)
    hook: Hook | None = None
    chats: dict[int, Chat] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    shown: list[Shown] = field(default_factory=list)
    actions: list[tuple[int, str]] = field(default_factory=list)
    """(chat, action) of every sendChatAction."""
    reactions: list[tuple[int, int, list[object]]] = field(default_factory=list)
    """(chat, message, reaction) of every setMessageReaction."""
    pressed: dict[str, Pressed] = field(default_factory=dict)
    commands: list[object] = field(default_factory=list)
    gate: Floodgate = field(default_factory=Floodgate)
    called: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    albums: int = 0
    """How many albums there have been, for their numbers."""
    _last_message_id: int = field(default_factory=numbers_before)

    @property
    def id(self) -> int:
        """Return the bot's number, the part of the token before the colon."""
        return int(self.token.partition(":")[0])

    @property
    def user(self) -> Json:
        """Return the bot as a `User`, as it stands in messages."""
        username = self.username or f"n{self.id}_bot"
        return {"id": self.id, "is_bot": True, "first_name": f"Bot {self.id}", "username": username}

    @property
    def me(self) -> Json:
        """Return what getMe says."""
        return self.user | {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False,
                            "can_connect_to_business": False, "has_main_web_app": False}  # fmt: skip

    def private(self, person: Person) -> Chat:
        """Return the chat with a person, made when it is not there: the person has opened it."""
        return self.chats.setdefault(person.id, Chat(person.id, RoomType.PRIVATE, person=person))

    def add_update(self, kind: str, content: Json) -> int | None:
        """Queue an update and wake who waits for one; None when the bot has not asked for its kind."""
        update = self.updates.add(kind, content)
        self.wake()
        return None if update is None else int(str(update["update_id"]))

    def chat_for(self, chat_id: str) -> Chat:
        """Return a chat that the bot may write to. Raises Rejected with Telegram's words for why it may not."""
        try:
            chat = self.chats[int(chat_id)]
        except (KeyError, ValueError) as err:
            raise bad_request("chat not found") from err
        if chat.migrated_to is not None:
            raise Rejected(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to=chat.migrated_to)
        if chat.is_gone:
            raise Rejected(403, "Forbidden: user is deactivated")
        if chat.standing is Standing.KICKED:
            room = "blocked by the user" if chat.type is RoomType.PRIVATE else f"kicked from the {chat.type} chat"
            raise Rejected(403, f"Forbidden: bot was {room}")
        if chat.standing is Standing.LEFT:
            raise Rejected(403, f"Forbidden: bot is not a member of the {chat.type} chat")
        return chat

    def new_message(self, chat: Chat, sender: Json, content: Json, *, topic: int = 0) -> Json:
        """Make a message in a chat and keep it. Numbers are of the account, in a supergroup of the chat."""
        if chat.type in (RoomType.SUPERGROUP, RoomType.CHANNEL):
            chat.last_message_id += 1
            number = chat.last_message_id
        else:
            self._last_message_id += 1
            number = self._last_message_id
        message: Json = {"message_id": number, "date": int(time.time()), "chat": chat.json, "from": sender} | content
        if topic:
            message |= {"message_thread_id": topic, "is_topic_message": True}
        chat.messages[number] = message
        return message

    def show(self, chat: Chat, message: Json, kind: str) -> None:
        """Note that people see a message of the bot's now."""
        text = str(message.get("text", message.get("caption", "")))
        self.shown.append(Shown(chat.id, int(str(message["message_id"])), text, kind, time.monotonic(), dict(message)))

    def texts(self, chat: int | None = None) -> list[str]:
        """Return the texts of the messages that people were shown, in order; edits and drafts are not among them."""
        return [shown.text for shown in self._messages(chat)]

    def times_shown(self, chat: int | None = None) -> Counter[str]:
        """Return how often each text was sent: what stands at 2 was answered twice."""
        return Counter(self.texts(chat))

    def _messages(self, chat: int | None) -> Iterable[Shown]:
        return [shown for shown in self.shown if shown.kind not in ("edit", "draft") and chat in (None, shown.chat)]
