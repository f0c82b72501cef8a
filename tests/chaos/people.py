"""What one person said to a bot over all rounds, and what was shown to them: counted at their end, whatever the bot believes.

Every message is "NAME NUMBER"; the reply repeats it and, where the bot has a store, adds "#COUNT", which is committed with the reply.
So a second showing is a repeated answer, a missing one is a loss, and a count that jumps is a message handled to completion twice.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_ANSWER = re.compile(r"(\S+) (\d+)(?: #\d+)?")


@dataclass
class Person:
    """One conversation with one bot. Also what a SocketClient keeps its place in (tests/chaos/clients.py)."""

    name: str
    kind: str = ""
    """What kind of round it is now."""
    last_seq: int = 0
    unaccepted: dict[str, str] = field(default_factory=dict)
    """{id: text} of messages that the bot is not known to have taken: sent again under the same id."""
    said: list[str] = field(default_factory=list)
    """In what kind of round each message was said; its number is its place, from 1."""
    shown: Counter[int] = field(default_factory=Counter)
    """{number: how often its answer was shown}."""
    others: list[str] = field(default_factory=list)
    """What was shown that answers nothing: the statement that a program answers, apologies."""
    faults: list[str] = field(default_factory=list)
    shown_mono: float = 0.0
    """When the last answer was shown."""
    completed_twice: int = 0
    disordered: int = 0
    _newest: int = 0
    _ahead: int = 0
    """How far the bot's count is ahead of ours."""
    _counts: dict[int, int] = field(default_factory=dict)

    def say(self) -> tuple[str, str]:
        """Return id and text of the next message."""
        self.said.append(self.kind)
        text = f"{self.name} {len(self.said)}"
        message_id = text.replace(" ", "-")
        self.unaccepted[message_id] = text
        return message_id, text

    def new(self, due: float) -> str:
        """Return the id of the next message; a SocketClient asks for it."""
        return self.say()[0]

    def on_accepted(self, message_id: str) -> None:
        """Note that the bot has taken a message."""
        self.unaccepted.pop(message_id, None)

    def on_reply(self, seq: int | None, reply_to: str, text: str, now: float) -> None:
        """Note what a reader of a numbered stream got."""
        if seq is None or seq <= self.last_seq:
            self.faults.append(f"{self.name}: event {seq} after event {self.last_seq}")
        self.last_seq = max(seq or 0, self.last_seq)
        self.on_accepted(reply_to)
        self.on_text(text)

    def on_text(self, text: str) -> None:
        """Note what was shown."""
        number = self.number_of(text)
        if number is None:
            self.others.append(text)
            return
        self.shown[number] += 1
        self.shown_mono = time.monotonic()
        if self.shown[number] == 1:
            self.disordered += number < self._newest
            self._newest = max(number, self._newest)
        _, _, count = text.partition("#")
        if count:
            self._compare(number, int(count))

    def number_of(self, text: str) -> int | None:
        """Return which message a text answers, None when it answers none of this person's."""
        found = _ANSWER.fullmatch(text)
        number = int(found[2]) if found is not None and found[1] == self.name else 0
        return number if 0 < number <= len(self.said) else None

    def _compare(self, number: int, count: int) -> None:
        if self._counts.setdefault(number, count) != count:
            self.completed_twice += 1
            return
        if self.shown[number] == 1:
            self.completed_twice += max(0, count - number - self._ahead)
            self._ahead = count - number

    @property
    def unanswered(self) -> list[int]:
        """Return the numbers of messages whose answer was never shown."""
        return [number for number in range(1, len(self.said) + 1) if not self.shown[number]]


@dataclass
class Account:
    """What became of the messages of one kind of round: `lost` and `twice` are messages, `repeats` showings beyond the first."""

    said: int = 0
    lost: int = 0
    twice: int = 0
    repeats: int = 0


def accounts(people: Iterable[Person]) -> dict[str, Account]:
    """Return the account of each kind of round, in the order in which the kinds first came."""
    found: dict[str, Account] = {}
    for person in people:
        for number, kind in enumerate(person.said, 1):
            account = found.setdefault(kind, Account())
            times = person.shown[number]
            account.said += 1
            account.lost += times == 0
            account.twice += times > 1
            account.repeats += max(0, times - 1)
    return found
