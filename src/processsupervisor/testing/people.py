"""Who speaks to the bot in a Lab: a person alone with it, a group, and a person in a group.

Everything that a person does is a step (stage.py): it returns when the bot has done all that follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from processsupervisor.storage.records import Attachment, Kind, RoomKind
from processsupervisor.testing.network import Chat, Look, Shown, incoming_of
from processsupervisor.testing.stage import Stage, Step

T = TypeVar("T")


class View:
    """A screen: one conversation as it is seen. `sees` looks at what appeared since the last thing it found."""

    def __init__(self, stage: Stage, chat: Chat, name: str) -> None:
        self._stage = stage
        self.chat = chat
        self.name = name
        self._seen = 0

    @property
    def shown(self) -> list[str]:
        """The texts that appeared so far, in order."""
        return [look.text for look in self.chat.looks]

    @property
    def last(self) -> Shown:
        """The message that appeared, or was edited, last. Raises AssertionError when there is none."""
        assert self.chat.looks, f"{self.name} was shown nothing"
        return self.chat.looks[-1].shown

    def sees(self, text: str | re.Pattern[str]) -> Step[Shown]:
        """Find the next message that holds this text (or matches). Raises AssertionError with what was shown instead."""
        return self._step(f"{self.name}.sees(…)", self._find(text))

    def sees_nothing(self) -> Step[None]:
        """Make sure that nothing appeared since the last thing that was seen; what appeared counts as seen."""
        return self._step(f"{self.name}.sees_nothing()", self._find_nothing())

    async def _find(self, text: str | re.Pattern[str]) -> Shown:
        await self._stage.settle()
        for number in range(self._seen, len(self.chat.looks)):
            look = self.chat.looks[number]
            if text.search(look.text) if isinstance(text, re.Pattern) else text in look.text:
                self._seen = number + 1
                return look.shown
        wanted = text.pattern if isinstance(text, re.Pattern) else text
        raise AssertionError(f"{self.name} does not see {wanted!r}; {self._told()}")

    async def _find_nothing(self) -> None:
        await self._stage.settle()
        told, fresh = self._told(), self._fresh()
        self._seen = len(self.chat.looks)
        assert not fresh, f"{self.name} sees something; {told}"

    def _fresh(self) -> list[Look]:
        return self.chat.looks[self._seen :]

    def _told(self) -> str:
        fresh = "\n".join(f"  {look.text!r}{' (edited)' if look.is_edit else ''}" for look in self._fresh()) or "  nothing"
        return f"shown since:\n{fresh}{self._stage.trouble()}"

    def _step(self, name: str, work: Coroutine[Any, Any, T]) -> Step[T]:
        return self._stage.step(name, work)


class Person(View):
    """Somebody in a conversation: alone with the bot, or in a group."""

    def __init__(self, stage: Stage, chat: Chat, name: str) -> None:
        super().__init__(stage, chat, name)
        self._last_id = ""

    def says(self, text: str, *, to: Shown | None = None, is_addressed: bool | None = None) -> Step[None]:
        """Send a text, `to` a message of the bot as an answer. In a group the network finds out whether it is addressed to the bot."""
        return self._step(f"{self.name}.says(…)", self._say(Kind.MESSAGE, text, to.id if to is not None else None, is_addressed))

    def sends(
        self, content: bytes, name: str, *, mime: str = "application/octet-stream", kind: str = "document", text: str = "", album: str = ""
    ) -> Step[None]:
        """Send a file, with a text under it; those of one `album` are one message to the bot."""
        attachment = self._stage.network.attach(kind, name, mime, content)
        return self._step(f"{self.name}.sends(…)", self._say(Kind.MESSAGE, text, None, None, (attachment,), album))

    def sends_unreadable(self, what: str) -> Step[None]:
        """Send what no connector can turn into text or a file: a sticker, a voice message."""
        return self._step(f"{self.name}.sends_unreadable(…)", self._say(Kind.UNREADABLE, what, None, None))

    def edits(self, text: str) -> Step[None]:
        """Change what this person said last."""
        assert self._last_id, f"{self.name} has not said anything yet"
        return self._step(f"{self.name}.edits(…)", self._say(Kind.EDIT, text, self._last_id, None))

    def presses(self, label: str) -> Step[None]:
        """Press the button with this label (or this data), of the newest message that has one."""
        return self._step(f"{self.name}.presses(…)", self._press(label))

    def leaves(self) -> Step[None]:
        """Block the bot; in a group, remove it."""
        return self._step(f"{self.name}.leaves()", self._leave())

    async def _say(
        self, kind: Kind, text: str, about: str | None, is_addressed: bool | None, attachments: tuple[Attachment, ...] = (),
        album: str = "",
    ) -> None:  # fmt: skip
        network = self._stage.network
        self.chat.is_closed = False
        message_id = network.next_id()
        if kind is Kind.MESSAGE:
            self._last_id = message_id
        addressed = network.speaks_to_bot(self.chat, text, about) if is_addressed is None else is_addressed
        await self._bring(message_id, kind, text, about=about, is_addressed=addressed, attachments=attachments, album=album)

    async def _press(self, label: str) -> None:
        for shown in reversed(self.chat.messages.values()):
            data = shown.data_of(label)
            if data is not None:
                token = self._stage.network.next_id()
                await self._bring(f"b{token}", Kind.BUTTON, data, about=shown.id, token=token)
                return
        there = [label for shown in self.chat.messages.values() for row in shown.buttons for label in row]
        raise AssertionError(f"{self.name} finds no button {label!r}; there are: {', '.join(there) or 'none'}")

    async def _leave(self) -> None:
        self.chat.is_closed = True
        await self._bring(f"s{self._stage.network.next_id()}", Kind.LEFT, "")

    async def _bring(self, message_id: str, kind: Kind, text: str, **envelope: object) -> None:
        await self._stage.alive()
        self._stage.bring(incoming_of(self.chat, message_id, self.name, text, kind, **envelope))
        await self._stage.pace.settle()


class Group(View):
    """A group chat that the bot is in. `sees` is what everybody in it sees."""

    def __init__(self, stage: Stage, chat: Chat, name: str) -> None:
        super().__init__(stage, chat, name)
        self._people: dict[str, Person] = {}

    def person(self, name: str) -> Person:
        """Return somebody in the group."""
        if name not in self._people:
            self._people[name] = Person(self._stage, self.chat, name)
        return self._people[name]

    def adds_bot(self) -> Step[None]:
        """Add the bot to the group (again)."""
        return self._step(f"{self.name}.adds_bot()", self._add())

    async def _add(self) -> None:
        await self._stage.alive()
        self.chat.is_closed = False
        number = self._stage.network.next_id()
        self._stage.bring(incoming_of(self.chat, f"s{number}", "somebody", "", Kind.JOINED))
        await self._stage.pace.settle()


def make_group(stage: Stage, name: str) -> Group:
    """Return the group of this name, which the bot is not in yet."""
    return Group(stage, stage.network.chat(name, RoomKind.GROUP, name), name)
