"""Who writes to the bots: persons and the rooms they meet in. Values only; what happens to them is in account.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from processsupervisor.testing.botapi.values import Json, numbers_before

FIRST_SUPERGROUP = -1_000_000_000_000
GENERAL_TOPIC = 1


@dataclass(frozen=True, slots=True)
class Person:
    """A human being with a client of Telegram's. The id of a private chat is the person's."""

    id: int
    first_name: str
    username: str = ""
    language_code: str = "en"

    @property
    def user(self) -> Json:
        """Return the person as a `User`."""
        found: Json = {"id": self.id, "is_bot": False, "first_name": self.first_name, "language_code": self.language_code}
        return found | {"username": self.username} if self.username else found


ADA = Person(7, "Ada", "ada")


class RoomType(StrEnum):
    """The `type` of a chat."""

    PRIVATE = "private"
    GROUP = "group"
    SUPERGROUP = "supergroup"
    CHANNEL = "channel"


class Standing(StrEnum):
    """What the bot may do in a chat: the `status` of a ChatMember, for a private chat whether it was blocked."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"
    LEFT = "left"
    KICKED = "kicked"


@dataclass(slots=True)
class Chat:
    """One chat as one bot knows it. `messages` are the Message objects that exist, by their number."""

    id: int
    type: RoomType
    title: str = ""
    person: Person | None = None
    is_forum: bool = False
    standing: Standing = Standing.MEMBER
    migrated_to: int | None = None
    is_gone: bool = False
    """The account behind a private chat was deleted."""
    topics: dict[int, str] = field(default_factory=dict)
    closed_topics: set[int] = field(default_factory=set)
    pinned: int = 0
    """The number of the message that is pinned, 0: none is."""
    messages: dict[int, Json] = field(default_factory=dict)
    last_message_id: int = field(default_factory=numbers_before)

    @property
    def json(self) -> Json:
        """Return the chat as a `Chat`."""
        found: Json = {"id": self.id, "type": str(self.type)}
        if self.person is not None:
            found |= {"first_name": self.person.first_name}
            if self.person.username:
                found["username"] = self.person.username
        else:
            found["title"] = self.title
        return found | {"is_forum": True} if self.is_forum else found
