"""What the law of connectors needs of a network under test: a `Rig`, which is the other side of one connector, and what it can do.

The bot behind the connector is lawengine.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from processsupervisor.connectors.base import Connector, ErrorKind
from processsupervisor.storage.records import Place


class Ability(StrEnum):
    """What a network has, and a rig can show. There are cases for what it has, and others for what it lacks."""

    REFUSES = "the person is told that a message was not taken"
    KEEPS = "the network keeps a message until it is acknowledged, and brings it again"
    REPEATS = "the same message can come twice"
    ACKNOWLEDGES = "it can be seen from outside that a message was acknowledged"
    ROOMS = "there are several conversations"
    REOPENS = "another connector can go on where one ended"
    BYTES = "what comes in are bytes, which may be no text"
    PULLS = "readers take rows by themselves"
    RESUMES = "a reader can go on behind the last row that it saw"
    SENDS = "rows are sent"
    KEYS = "a row that comes twice is shown once"
    CURSOR = "how far the network was read is kept with the messages"
    GROUPS = "there are groups"
    EDITS = "messages of the bot can be changed"
    CORRECTS = "people can change their messages"
    BUTTONS = "messages of the bot can have buttons"
    FILES = "messages of the bot can have files"
    ATTACHES = "messages of people can have files"
    MARKUP = "texts of the bot can be marked up"
    TYPING = "it is shown that an answer is being made"
    DRAFTS = "a reply is shown while it grows"


class Mishap(StrEnum):
    """What may befall the next send."""

    AUTH = "the token is refused"
    RATE = "too much at once; the next may come after 7 s"
    SERVER = "the network fails, and does not carry it out"
    CUT_BEFORE = "the connection ends before it is carried out"
    CUT_AFTER = "it is carried out, and the connection ends before the answer"
    REFUSED = "the network cannot carry out this one"
    BLOCKED = "the person has blocked the bot"
    MOVED = "the conversation has another id now"


RETRY_AFTER_S = 7.0
MOVED_TO = "-1009"


class Rig(Protocol):
    """One network with people at it. What a network lacks (Ability) need not work."""

    place: Place
    """Where `say` speaks."""

    def connect(self, folder: Path) -> Connector:
        """Return a new connector, not open. Files to be sent lie below `folder`."""

    async def say(self, text: str, *, to: str = "") -> str:
        """Send a message, into another conversation if `to` names one; returns the id that the network gives it, "" if unknown."""

    def shown(self, *, to: str = "") -> list[str]:
        """Return every final text that appeared to the person so far, in order."""

    # REFUSES, REPEATS, ACKNOWLEDGES, BYTES

    async def told_refused(self) -> str:
        """Wait for the word that a message was not taken and return it."""

    async def repeat(self) -> None:
        """Bring the last message once more."""

    def acknowledged(self) -> int:
        """Return how many messages the connector has acknowledged, repeats included where the network counts them."""

    async def garble(self) -> None:
        """Bring bytes that are no text."""

    # PULLS, RESUMES

    def cut(self) -> None:
        """Break the way to every reader; those who come later are served again."""

    async def resume(self, seq: int) -> Callable[[], Sequence[str]]:
        """Begin to read behind a row; returns what tells the texts read so far."""

    # SENDS

    def befall(self, mishap: Mishap) -> None:
        """Let this happen to the next send, once."""

    def deny(self, kind: ErrorKind) -> None:
        """From now on refuse the bot: its token (AUTH), or because another one receives (CONFLICT)."""

    def calls(self) -> int:
        """Return how many sends reached the network, failed ones included."""

    # TYPING, DRAFTS, GROUPS, EDITS, CORRECTS, BUTTONS, FILES, ATTACHES

    def typed(self) -> int:
        """Return how often the person was shown that an answer is being made."""

    def pieces(self) -> list[str]:
        """Return every text that was shown of replies that were not whole yet."""

    async def say_in_group(self, text: str) -> None:
        """Say something in a group that the bot is in; "@BOT" in it stands for its name there."""

    async def join(self) -> None:
        """Add the bot to a group."""

    async def leave(self) -> None:
        """Remove it."""

    async def edit(self, text: str) -> None:
        """Change the person's last message."""

    async def press(self, label: str) -> None:
        """Press the button with this label, of the newest message that has it."""

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        """Send a file with a text."""

    def files(self) -> dict[str, bytes]:
        """Return the files that the bot has sent, by name."""

    def buttons(self) -> list[str]:
        """Return the labels of the buttons of the newest message."""

    def standing(self) -> list[str]:
        """Return the texts of the bot's messages as they stand now."""

    def forget_message(self, network_id: str) -> None:
        """Delete a message of the bot at the network."""
