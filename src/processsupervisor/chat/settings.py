"""How a bot holds its conversations: the table `[bots.NAME.chat]`, with the sentences that the core says by itself.

An empty sentence stands for the built-in one. Units are seconds; the configuration has checked the values before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from processsupervisor.kernel.errors import ConfigError

EXPIRED = "I was away and did not answer what you wrote meanwhile. Please write again if it still matters."
LATE = "Sorry, this took too long and I gave it up."
FAILED = "Sorry, something went wrong here and I could not answer this message."
UNREADABLE = "Sorry, I cannot read this. Please write it as text."


class Mode(StrEnum):
    """What becomes of a message that comes while the one before it is answered."""

    QUEUE = "queue"
    DEBOUNCE = "debounce"
    """What comes within `debounce_s` of each other is one message."""
    INTERRUPT = "interrupt"
    """The newer message ends the handler of the older one, unless that is in a step."""


class Replies(StrEnum):
    """What becomes of a send whose outcome is not known, on a network that knows no keys."""

    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


class Groups(StrEnum):
    """Which messages of a group are the bot's business."""

    ADDRESSED = "addressed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """One bot's settings."""

    mode: Mode = Mode.QUEUE
    debounce_s: float = 2.0
    at_once: int = 32
    """Conversations that are worked on at the same time."""
    deadline_s: float = 60.0
    """What a handler may take for one message."""
    max_age_s: float | None = None
    """A message that waited longer while the bot was away is not handled any more."""
    expired: str = ""
    late: str = ""
    failed: str = ""
    unreadable: str = ""
    replies: Replies = Replies.AT_LEAST_ONCE
    groups: Groups = Groups.ADDRESSED
    retries: int = 2
    """How often a handler that raised is tried again."""
    typing: bool = True
    max_file_bytes: int = 20 << 20
    """Largest file of a reply; with the two below what is kept until it was sent."""
    max_contact_bytes: int = 200 << 20
    max_total_bytes: int = 2 << 30

    @classmethod
    def from_spec(cls, table: Mapping[str, Any]) -> ChatSettings:
        """Return the settings of a table; keys that this version does not know are left out.

        Raises ConfigError for a value that it cannot use.
        """
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in table.items() if key in known}
        for key, kind in (("mode", Mode), ("replies", Replies), ("groups", Groups)):
            if key in values:
                values[key] = _word(key, kind, values[key])
        return cls(**values)

    def sentence(self, name: str) -> str:
        """Return what the core says when a message has `expired`, is `late`, has `failed` or is `unreadable`."""
        return getattr(self, name) or _SENTENCES[name]


_SENTENCES = {"expired": EXPIRED, "late": LATE, "failed": FAILED, "unreadable": UNREADABLE}


def _word(key: str, kind: type[StrEnum], value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        expected = ", ".join(kind)
        raise ConfigError(f'chat.{key} is "{value}", expected one of {expected}') from None
