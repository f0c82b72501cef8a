"""The people around one bot: what they do to it, each call one thing that a person does in a client of Telegram's.

Everything returns at once; the bot hears of it by its next getUpdates or by its webhook. Safe to call from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from processsupervisor.testing.botapi.account import Account, Pressed, Shown
from processsupervisor.testing.botapi.people import ADA, FIRST_SUPERGROUP, GENERAL_TOPIC, Chat, Person, RoomType, Standing
from processsupervisor.testing.botapi.rooms import member_json
from processsupervisor.testing.botapi.values import Json, Upload, numbers_before, utf16_units

T = TypeVar("T")


class Crowd:
    """The people around the bot of one token, and what they have seen of it."""

    def __init__(self, account: Account, heard: threading.Condition) -> None:
        self._account = account
        self._heard = heard

    @property
    def token(self) -> str:
        """Return the token of the bot."""
        return self._account.token

    # What people do.

    def says(self, text: str, person: Person = ADA, *, chat: Chat | None = None, topic: int = 0, answers: int = 0) -> int:
        """Write to the bot, in private or in a room; return the message's number. `answers` is the message it replies to."""
        with self._heard:
            place = chat or self._account.private(person)
            content: Json = {"text": text}
            if entities := _entities(text):
                content["entities"] = entities
            if answers in place.messages:
                content["reply_to_message"] = place.messages[answers]
            return self._arrives(place, person, content, topic)

    def sends(
        self, kind: str, content: bytes = b"", person: Person = ADA, *, chat: Chat | None = None, name: str = "file.bin",
        mime: str = "application/octet-stream", caption: str = "", size_bytes: int | None = None,
    ) -> int:  # fmt: skip
        """Send a document, photo, voice, audio, video or sticker; `size_bytes` is what Telegram is to say of its size."""
        with self._heard:
            file = self._account.files.add(kind, Upload(name, mime, content), size_bytes)
            found = media(kind, file.json, name, mime)
            if caption:
                found["caption"] = caption
            return self._arrives(chat or self._account.private(person), person, found, 0)

    def sends_album(
        self, kind: str, contents: Sequence[bytes], person: Person = ADA, *, chat: Chat | None = None, caption: str = ""
    ) -> list[int]:  # fmt: skip
        """Send several files of a kind at once: as many messages of one media group, the first of which has the caption."""
        with self._heard:
            place = chat or self._account.private(person)
            self._account.albums += 1
            group = f"{self._account.id}{self._account.albums:04}"
            numbers = []
            for number, content in enumerate(contents, 1):
                name = f"{kind}-{number}.bin"
                file = self._account.files.add(kind, Upload(name, "application/octet-stream", content))
                found = media(kind, file.json, name, "application/octet-stream") | {"media_group_id": group}
                if caption and number == 1:
                    found |= {"caption": caption}
                    if entities := _entities(caption):
                        found["caption_entities"] = entities
                numbers.append(self._arrives(place, person, found, 0))
            return numbers

    def edits(self, message_id: int, text: str, person: Person = ADA, *, chat: Chat | None = None) -> None:
        """Change an earlier message of the person's."""
        with self._heard:
            place = chat or self._account.private(person)
            message = place.messages[message_id] | {"text": text, "edit_date": int(time.time())}
            place.messages[message_id] = message
            self._account.add_update("edited_message", dict(message))

    def deletes(self, message_id: int, person: Person = ADA, *, chat: Chat | None = None) -> None:
        """Take a message away; bots are not told."""
        with self._heard:
            del (chat or self._account.private(person)).messages[message_id]

    def presses(self, message_id: int, button: str, person: Person = ADA, *, chat: Chat | None = None) -> Pressed:
        """Press a button under a message of the bot's, by its label or its data; ValueError names those that there are."""
        with self._heard:
            place = chat or self._account.private(person)
            message = place.messages[message_id]
            known = _buttons(message)
            data = next((data for label, data in known if button in (label, data)), None)
            if data is None:
                there = ", ".join(f"{label!r} ({data})" for label, data in known) or "none"
                raise ValueError(f"message {message_id} has no button {button!r}; there are: {there}")
            number = numbers_before() + len(self._account.pressed) + 1
            pressed = Pressed(f"{self._account.id}{number}", place.id, message_id, data, person)
            self._account.pressed[pressed.id] = pressed
            self._account.add_update("callback_query", {"id": pressed.id, "from": person.user, "message": message, "data": data,
                                                        "chat_instance": str(place.id)})  # fmt: skip
            return pressed

    def repeats(self) -> None:
        """Have the newest update delivered once more, whatever the bot has confirmed; no person does this, Telegram itself does."""
        with self._heard:
            self._account.updates.repeat_newest()
            self._account.wake()

    def blocks(self, person: Person = ADA) -> None:
        """Stop the bot: it can no longer write to the person."""
        self._becomes(None, person, Standing.KICKED)

    def unblocks(self, person: Person = ADA) -> None:
        """Start it again."""
        self._becomes(None, person, Standing.MEMBER)

    def deactivates(self, person: Person = ADA) -> None:
        """Delete the person's account; bots are not told."""
        with self._heard:
            self._account.private(person).is_gone = True

    # Rooms.

    def group(self, title: str = "Team", *, by: Person = ADA, supergroup: bool = False, forum: bool = False) -> Chat:
        """Make a group with the bot in it."""
        with self._heard:
            count = sum(chat.type is not RoomType.PRIVATE for chat in self._account.chats.values()) + 1
            kind = RoomType.SUPERGROUP if supergroup or forum else RoomType.GROUP
            number = FIRST_SUPERGROUP - count if kind is RoomType.SUPERGROUP else -100 - count
            chat = Chat(number, kind, title, is_forum=forum, standing=Standing.LEFT, topics={GENERAL_TOPIC: "General"} if forum else {})
            self._account.chats[chat.id] = chat
        self._becomes(chat, by, Standing.MEMBER)
        with self._heard:
            self._arrives(chat, by, {"new_chat_members": [self._account.user]}, 0)
        return chat

    def topic(self, chat: Chat, name: str, by: Person = ADA) -> int:
        """Open a topic in a forum and return its number."""
        with self._heard:
            number = self._arrives(chat, by, {"forum_topic_created": {"name": name, "icon_color": 7322096}}, 0)
            chat.topics[number] = name
            return number

    def removes_bot(self, chat: Chat, by: Person = ADA) -> None:
        """Kick the bot out of a room."""
        self._becomes(chat, by, Standing.KICKED)

    def promotes_bot(self, chat: Chat, by: Person = ADA) -> None:
        """Make the bot an administrator of a room."""
        self._becomes(chat, by, Standing.ADMINISTRATOR)

    def adds_bot(self, chat: Chat, by: Person = ADA) -> None:
        """Let the bot into a room again."""
        self._becomes(chat, by, Standing.MEMBER)

    def upgrades(self, chat: Chat) -> Chat:
        """Make a group a supergroup, as Telegram does when it grows: the room gets another id, and the bot is told in both."""
        with self._heard:
            successor = Chat(FIRST_SUPERGROUP + chat.id, RoomType.SUPERGROUP, chat.title)
            self._account.chats[successor.id] = successor
            self._arrives(chat, ADA, {"migrate_to_chat_id": successor.id}, 0)
            self._arrives(successor, ADA, {"migrate_from_chat_id": chat.id}, 0)
            chat.migrated_to = successor.id
            return successor

    # What people have seen.

    @property
    def shown(self) -> list[Shown]:
        """Return everything that people were shown by the bot, edits and drafts too, in order."""
        with self._heard:
            return list(self._account.shown)

    def texts(self, chat: int | None = None) -> list[str]:
        """Return the texts of the bot's messages, of one chat or of all."""
        with self._heard:
            return self._account.texts(chat)

    def times_shown(self, chat: int | None = None) -> Counter[str]:
        """Return how often each text was sent: what stands at 2 was answered twice."""
        with self._heard:
            return self._account.times_shown(chat)

    def wait_for(self, text: str, timeout_s: float = 10.0) -> Shown:
        """Wait until people have been shown something that holds `text`, in whatever way; TimeoutError says what they saw instead.

        Returns the newest that is just that, else the newest that holds it.
        """
        with self._heard:
            if not self._heard.wait_for(lambda: any(text in shown.text for shown in self._account.shown), timeout_s):
                raise TimeoutError(f"bot {self._account.id} did not show {text!r} but {[shown.text for shown in self._account.shown]}")
            found = [shown for shown in self._account.shown if text in shown.text]
            return next((shown for shown in reversed(found) if shown.text == text), found[-1])

    def wait_until(self, count: int, timeout_s: float = 10.0) -> list[str]:
        """Wait until `count` messages were sent and return their texts; TimeoutError says how many came."""
        with self._heard:
            if not self._heard.wait_for(lambda: len(self._account.texts()) >= count, timeout_s):
                raise TimeoutError(f"bot {self._account.id} sent {len(self._account.texts())} messages, not {count}")
            return self._account.texts()

    # One thing that arrives; the lock is held.

    def _arrives(self, chat: Chat, person: Person, content: Json, topic: int) -> int:
        message = self._account.new_message(chat, person.user, content, topic=topic)
        self._account.add_update("message", dict(message))
        self._heard.notify_all()
        return int(str(message["message_id"]))

    def _becomes(self, chat: Chat | None, by: Person, standing: Standing) -> None:
        with self._heard:
            place = chat or self._account.private(by)
            before = member_json(self._account, place)
            place.standing = standing
            self._account.add_update("my_chat_member", {
                "chat": place.json, "from": by.user, "date": int(time.time()),
                "old_chat_member": before, "new_chat_member": member_json(self._account, place),
            })  # fmt: skip


def media(kind: str, file: Json, name: str, mime: str) -> Json:
    """Return the part of a Message that a file of `kind` is."""
    match kind:
        case "photo":
            return {"photo": [file | {"width": 90, "height": 60}, file | {"width": 900, "height": 600}]}
        case "voice" | "audio":
            return {kind: file | {"duration": 3, "mime_type": mime}}
        case "video":
            return {"video": file | {"duration": 3, "width": 640, "height": 480, "mime_type": mime, "file_name": name}}
        case "sticker":
            shape: Json = {"type": "regular", "width": 512, "height": 512, "is_animated": False, "is_video": False}
            return {"sticker": file | shape | {"emoji": "👍"}}
        case _:
            return {"document": file | {"file_name": name, "mime_type": mime}}


def _entities(text: str) -> list[Json]:
    """Return what Telegram marks in a person's text: commands and mentions."""
    found: list[Json] = []
    position = 0
    for word in text.split(" "):
        clean = word.strip().rstrip(".,:;!?")
        if len(clean) > 1 and clean[0] in "/@" and clean[1:].replace("_", "a").replace("@", "a").isalnum():
            kind = "bot_command" if clean[0] == "/" else "mention"
            found.append({"type": kind, "offset": utf16_units(text[:position]), "length": utf16_units(clean)})
        position += len(word) + 1
    return found


def _buttons(message: Json) -> list[tuple[str, str]]:
    """Return label and data of each button that brings data."""
    markup = message.get("reply_markup")
    rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else []
    return [(str(button["text"]), str(button["callback_data"])) for row in rows for button in row if "callback_data" in button]
