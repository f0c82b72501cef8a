"""The values that cross the bot's rooms: what came in, what goes out, what finishing one message changes.

No SQL and no behaviour here. A conversation is known by its network and its own id, `Place`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Place(NamedTuple):
    """Where a message belongs: one conversation on one network."""

    network: str
    conversation: str


class Consent(StrEnum):
    """What a contact said about messages that the bot sends first; unsaid is NULL in the database."""

    OPTED_IN = "in"
    OPTED_OUT = "out"


class Kind(StrEnum):
    """What came in."""

    MESSAGE = "message"
    EDIT = "edit"
    """A person changed an earlier message; `Envelope.about` is the network's id of that one."""
    BUTTON = "button"
    """A person pressed a button: `text` is its data, `Envelope.about` the network's id of the message it belongs to."""
    UNREADABLE = "unreadable"
    """Something that the connector cannot turn into text or files (a sticker, a voice message): `text` names it."""
    JOINED = "joined"
    """The bot was added to a room."""
    LEFT = "left"
    """The bot was removed from a room, or a person blocked it."""
    SCHEDULE = "schedule"
    """A schedule of the bot's own is due: `text` is its payload (JSON); made by the storage, never by a connector."""


class RoomKind(StrEnum):
    """What kind of conversation a network says it is."""

    PRIVATE = "private"
    GROUP = "group"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message. `ref` is the network's reference, by which the connector fetches it."""

    kind: str
    """photo, document, audio, voice, video or sticker."""
    name: str
    mime: str
    size_bytes: int | None
    ref: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a network says of a message besides its text. A message without one is private and addressed to the bot."""

    room: RoomKind = RoomKind.PRIVATE
    title: str = ""
    sender_name: str = ""
    locale: str = ""
    is_addressed: bool = True
    """Whether a message in a group speaks to the bot: it mentions it, replies to it, or is a command for it."""
    about: str | None = None
    """The network's id of the message that this one answers, edits or presses a button of."""
    token: str | None = None
    """What the network wants back to acknowledge a pressed button; useless after a while."""
    sent_at: float | None = None
    """When the network says that it was sent, epoch seconds."""
    attachments: tuple[Attachment, ...] = ()
    is_replayed: bool = False
    """It was a dead letter, and a person had it handled again."""
    said: str = ""
    """What a person typed or read where a button was pressed: its label or its number; "" where the network tells none."""
    album: str = ""
    """The network's id of the album that this file is one of: its messages are handled as one."""


PLAIN = Envelope()


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as a connector received it; `id` is the network's and unique within its place.

    `cursor` is how far the network has been read (the offset behind this message); it is kept in the same commit.
    """

    place: Place
    id: str
    sender: str
    text: str
    kind: Kind = Kind.MESSAGE
    envelope: Envelope = PLAIN
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class InboxRow:
    """An accepted message. `attempts` counts the lives of the process that began it after a crash.

    `fence` is the number of the claim under which this process may finish it (0: not claimed). `moved_to` is where its conversation
    went before it was read, None where it is still at `place`.
    """

    row_id: int
    place: Place
    id: str
    sender: str
    text: str
    received_at: float
    attempts: int = 0
    kind: Kind = Kind.MESSAGE
    envelope: Envelope = PLAIN
    fence: int = 0
    moved_to: Place | None = None

    @property
    def reply_id(self) -> str:
        """Return the id of the first reply; derived, so that a repeated run cannot make a second one. Further ones add ".2", ".3"."""
        return f"r{self.row_id}"


class Markup(StrEnum):
    """How the text of a reply is to be read."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class ButtonRow:
    """One button: what a person reads, and what comes back as the text of a Kind.BUTTON (or the address it opens)."""

    label: str
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class FileOut:
    """A file to be sent: `path` is relative to the bot's data folder, where it is kept until it was sent."""

    path: str
    name: str
    mime: str
    kind: str = "document"


@dataclass(frozen=True, slots=True)
class Extras:
    """What a message of the bot has besides its text."""

    markup: Markup = Markup.PLAIN
    buttons: tuple[tuple[ButtonRow, ...], ...] = ()
    files: tuple[FileOut, ...] = ()
    edits: str | None = None
    """The outbox id of an earlier message of ours that this one takes the place of, or `net:ID` for the network's own id."""
    quotes: str | None = None
    """The network's id of the message it is shown as an answer to."""
    acknowledges: str | None = None
    """The token of a pressed button that this answers; with an empty text it is the acknowledgement alone."""


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Reply:
    """One thing for a contact to see, before it has a number."""

    text: str
    extras: Extras = NO_EXTRAS


class SendState(IntEnum):
    """How far an outbox row is. Networks that readers pull from (web, console) know SHOWN alone."""

    WAITING = 0
    SHOWN = 1
    """Nothing is to be done: readers take it by its number."""
    SENDING = 2
    """Committed before the call: after a crash its outcome is unknown."""
    SENT = 3
    UNCERTAIN = 4
    """Whether it arrived is unknown. Sent again or not, by the policy `chat.replies`; the mark stays."""
    FAILED = 5
    """The network refuses it for good."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something for a contact. `seq` is None for a draft (a piece of a streamed reply), which is not kept.

    `id` never repeats: it is the key under which networks that know keys drop a repeat.
    """

    seq: int | None
    id: str
    place: Place
    reply_to: str | None
    text: str
    at: float
    final: bool = True
    extras: Extras = NO_EXTRAS
    state: SendState = SendState.SHOWN
    attempts: int = 0
    is_repeat: bool = False
    """It was uncertain before: a network without keys may show it twice."""


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder to be set: wall clock, epoch seconds."""

    place: Place
    due_at: float
    text: str


@dataclass(frozen=True, slots=True)
class Timer:
    """A durable schedule of the bot: at `due_at` (epoch seconds) its handler gets `payload` (JSON) as a Kind.SCHEDULE.

    `name` is unique in its place: setting it again replaces it. `rule` says when it is due again ("" = once): "every 3600" (seconds)
    or "cron ZONE FIELDS".
    """

    place: Place
    name: str
    handler: str
    due_at: float
    payload: str = "null"
    rule: str = ""


@dataclass(frozen=True, slots=True)
class DialogState:
    """A handler that waits for an answer: what it was called with and what it has done, to be played again after a restart.

    `journal` is JSON, `handler` the name of the handler, `deadline_at` epoch seconds or None.
    """

    place: Place
    handler: str
    row_id: int
    journal: str
    deadline_at: float | None


class Outcome(StrEnum):
    """How a message ended."""

    DONE = "done"
    EXPIRED = "expired"
    """It had waited longer than `chat.max_age` when the bot came back."""
    IGNORED = "ignored"
    """In a group, and not addressed to the bot."""
    DEAD = "dead"
    """Given up: a dead letter, to be looked at and replayed."""


@dataclass(slots=True)
class Changes:
    """What a handler changed besides its reply; committed with it or not at all.

    `values` maps (scope, key) to JSON text, None deletes. `dialog` is the handler that waits now; with `ends_dialog` and None it has ended.
    """

    values: dict[tuple[str, str], str | None] = field(default_factory=dict)
    reminders: list[Due] = field(default_factory=list)
    consent: Consent | None = None
    sends: list[tuple[Place, Reply]] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    cancelled_timers: list[tuple[Place, str]] = field(default_factory=list)
    dialog: DialogState | None = None
    ends_dialog: bool = False
    reads: dict[tuple[str, str], str | None] | None = None
    """Values of the whole bot as they were read first: those of them that are changed are committed only where that still holds."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome of an accept: `row` is None for a repeat, `first_contact` the disclosure committed with it."""

    row: InboxRow | None
    first_contact: Outgoing | None
