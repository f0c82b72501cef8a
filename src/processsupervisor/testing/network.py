"""A chat network in memory: people, groups, what each of them was shown, and the faults that a test wants of it.

It keeps a message until the bot has acknowledged it, and brings it again after a restart, as networks do. What it lacks is set by
its capabilities; faults are injected by `fail`. Connectors (connector.py) are lives of a bot at it, one at a time.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError
from processsupervisor.kernel import clock
from processsupervisor.storage.records import Attachment, Envelope, Extras, Incoming, Kind, Outgoing, Place, RoomKind

ALL = Capabilities(takes_key=True, markup=True, edits=True, buttons=True, files=True, typing=True, drafts=True)
"""A network that can do everything, and shows a repeated send once."""
NO_KEY = Capabilities(takes_key=False, max_text_chars=4096, markup=True, edits=True, buttons=True, files=True, typing=True, drafts=True)
"""A network like Telegram: a send that is repeated is shown twice."""

_IDENTITY = Identity("b1", "bot")


@dataclass(slots=True)
class ShownFile:
    """A file as a person got it."""

    name: str
    mime: str
    content: bytes


@dataclass(slots=True)
class Shown:
    """One message of the bot as it stands on a screen; edits change it."""

    id: str
    """The network's."""
    out_id: str
    place: Place
    text: str
    at: float
    buttons: list[list[str]] = field(default_factory=list)
    """The labels, row by row."""
    files: list[ShownFile] = field(default_factory=list)
    extras: Extras = field(default_factory=Extras)
    is_edited: bool = False

    def data_of(self, label: str) -> str | None:
        """Return what the button with this label (or this data) sends, None when there is none."""
        for button in (button for row in self.extras.buttons for button in row):
            if label in (button.label, button.data):
                return button.data
        return None


@dataclass(frozen=True, slots=True)
class Look:
    """One thing that appeared on a screen: a message, or another text of an earlier one."""

    shown: Shown
    text: str
    is_edit: bool = False


@dataclass(slots=True)
class Chat:
    """A conversation: who it is with, what stands in it, and what appeared in which order."""

    place: Place
    room: RoomKind = RoomKind.PRIVATE
    title: str = ""
    messages: dict[str, Shown] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    typing_at: list[float] = field(default_factory=list)
    """When it was shown that an answer is being made (virtual monotonic seconds)."""
    is_closed: bool = False
    """The bot is blocked there, or was removed."""


@dataclass(slots=True)
class Fault:
    """What befalls a send. `is_taken`: the message is shown all the same, only the answer is lost."""

    error: NetworkError
    is_taken: bool = False
    conversation: str | None = None


class Receiver(Protocol):
    """A bot that is connected."""

    def denied(self, error: NetworkError) -> None:
        """Hear that the network does not serve the bot any more."""

    def receive(self, incoming: Incoming) -> None:
        """Take a message; it is acknowledged by `MemoryNetwork.acknowledge`."""


class MemoryNetwork:
    """The other side of a bot: `chats` by conversation id, `looks` of all of them in order."""

    def __init__(
        self, name: str = "memory", capabilities: Capabilities = ALL, *, identity: Identity = _IDENTITY
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.identity = identity
        self.chats: dict[str, Chat] = {}
        self.looks: list[Look] = []
        self.drafts: list[Outgoing] = []
        """Pieces of streamed replies, as they were shown."""
        self.acknowledged: list[str] = []
        """The tokens of pressed buttons that the bot has answered."""
        self.refused: list[str] = []
        """What the bot said of messages that it did not take."""
        self.contents: dict[str, bytes] = {}
        """What stands behind `Attachment.ref`."""
        self.faults: deque[Fault] = deque()
        self.unknown: NetworkError | None = None
        """What `identify` raises."""
        self.receiver: Receiver | None = None
        self.calls = 0
        """Sends that came here, failed ones included."""
        self.taken = 0
        """Messages that bots have acknowledged, repeats included."""
        self._waiting: dict[int, Incoming] = {}
        self._keys: dict[str, Shown] = {}
        self._numbers = 0

    # --- what people do --------------------------------------------------------------------------------------------

    def chat(self, conversation: str, room: RoomKind = RoomKind.PRIVATE, title: str = "") -> Chat:
        """Return a conversation, made at its first mention."""
        found = self.chats.get(conversation)
        if found is None:
            found = self.chats[conversation] = Chat(Place(self.name, conversation), room, title)
        return found

    def next_id(self) -> str:
        """Return a message id; people and bot share the numbers."""
        self._numbers += 1
        return str(self._numbers)

    def bring(self, incoming: Incoming) -> None:
        """Deliver a message, now or when a bot connects, again and again until one has acknowledged it."""
        self._numbers += 1
        incoming = _with_cursor(incoming, self._numbers)
        self._waiting[self._numbers] = incoming
        if self.receiver is not None:
            self.receiver.receive(incoming)

    def attach(self, kind: str, name: str, mime: str, content: bytes) -> Attachment:
        """Keep a file that a person sends."""
        ref = f"file-{self.next_id()}"
        self.contents[ref] = content
        return Attachment(kind, name, mime, len(content), ref)

    def speaks_to_bot(self, chat: Chat, text: str, about: str | None) -> bool:
        """Tell whether a text is addressed to the bot: a command, its name, or an answer to one of its messages."""
        if chat.room is RoomKind.PRIVATE or (about is not None and about in chat.messages):
            return True
        mentions = re.findall(r"@([\w-]+)", text)
        return self.identity.name in mentions or (text.startswith("/") and not mentions)

    # --- what the bot does -----------------------------------------------------------------------------------------

    def connect(self, receiver: Receiver) -> None:
        """Serve this bot, and no other one any more; bring what is not acknowledged."""
        self.receiver = receiver
        for incoming in list(self._waiting.values()):
            receiver.receive(incoming)

    def disconnect(self, receiver: Receiver) -> None:
        """Forget a bot that ended."""
        if self.receiver is receiver:
            self.receiver = None

    def acknowledge(self, incoming: Incoming) -> None:
        """Forget a message that the bot has."""
        self.taken += 1
        if incoming.cursor is not None:
            self._waiting.pop(incoming.cursor, None)

    @property
    def unacknowledged(self) -> list[Incoming]:
        """Return what no bot has acknowledged, oldest first."""
        return list(self._waiting.values())

    def take(self, out: Outgoing, files: list[ShownFile]) -> str:
        """Show a message of the bot; returns its id. Raises NetworkError as `fail` was told."""
        self.calls += 1
        if self.chat(out.place.conversation).is_closed:
            raise NetworkError(ErrorKind.GONE, f"{self.name}: the bot is blocked or was removed there")
        fault = self._next_fault(out.place.conversation)
        if fault is not None and not fault.is_taken:
            raise fault.error
        shown = self._show(out, files)
        if fault is not None:
            raise fault.error
        return shown.id if shown is not None else ""

    def fail(
        self, kind: ErrorKind, *, times: int = 1, retry_after_s: float | None = None, is_taken: bool = False,
        is_uncertain: bool | None = None, at: Place | None = None, moved_to: str | None = None,
    ) -> None:  # fmt: skip
        """Let the next `times` sends (of one conversation, `at`) fail. `is_taken`: the message is shown, the answer is lost."""
        uncertain = is_taken if is_uncertain is None else is_uncertain
        error = NetworkError(kind, f"{self.name}: {kind.value}", retry_after_s=retry_after_s, is_uncertain=uncertain, moved_to=moved_to)
        self.faults.extend(Fault(error, is_taken, at.conversation if at is not None else None) for _ in range(times))

    def deny(self, error: NetworkError) -> None:
        """Serve the bot no longer (AUTH, CONFLICT), now and at the next start."""
        self.unknown = error
        if self.receiver is not None:
            self.receiver.denied(error)

    def _next_fault(self, conversation: str) -> Fault | None:
        for fault in self.faults:
            if fault.conversation in (None, conversation):
                self.faults.remove(fault)
                return fault
        return None

    def _show(self, out: Outgoing, files: list[ShownFile]) -> Shown | None:
        extras = out.extras
        if extras.acknowledges is not None:
            self.acknowledged.append(extras.acknowledges)
            if not out.text and not files and extras.edits is None:
                return None
        if self.capabilities.takes_key and out.id in self._keys:
            return self._keys[out.id]
        chat = self.chat(out.place.conversation)
        shown = self._edited(chat, extras.edits)
        if shown is None:
            shown = Shown(self.next_id(), out.id, out.place, out.text, clock.wall())
            chat.messages[shown.id] = shown
        else:
            shown.is_edited = True
        shown.text, shown.extras, shown.files = out.text, extras, files or shown.files
        shown.buttons = [[button.label for button in row] for row in extras.buttons]
        look = Look(shown, out.text, shown.is_edited)
        chat.looks.append(look)
        self.looks.append(look)
        self._keys[out.id] = shown
        return shown

    def _edited(self, chat: Chat, edits: str | None) -> Shown | None:
        if edits is None:
            return None
        if edits.startswith("net:"):
            found = chat.messages.get(edits.removeprefix("net:"))
        else:
            found = next((shown for shown in chat.messages.values() if shown.out_id == edits), None)
        if found is None:
            raise NetworkError(ErrorKind.PERMANENT, f"{self.name}: there is no such message to edit")
        return found


def incoming_of(chat: Chat, message_id: str, sender: str, text: str, kind: Kind, **envelope: object) -> Incoming:
    """Return a message of a person in a chat."""
    about = Envelope(chat.room, chat.title, sender_name=sender, sent_at=clock.wall(), **envelope)  # type: ignore[arg-type]  # its fields
    return Incoming(chat.place, message_id, sender, text, kind, about)


def _with_cursor(incoming: Incoming, cursor: int) -> Incoming:
    return Incoming(incoming.place, incoming.id, incoming.sender, incoming.text, incoming.kind, incoming.envelope, cursor)
