"""Messages that waited while the bot was away, and are too old now (`chat.max_age`): recorded as expired, answered once.

How long a message waited is reckoned from when its network says that it was sent to when the bot took it, or came back to it.
Waiting behind other messages of this life does not count. What a contact says about messages sent first never expires, and neither
does a dead letter that a person had handled again.
"""

from __future__ import annotations

from collections.abc import Callable

from processsupervisor.bot.answering import Settled
from processsupervisor.bot.collecting import acknowledged
from processsupervisor.chat.consent import command_in, consent_command
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.chat.turns import Turn
from processsupervisor.kernel import clock
from processsupervisor.storage.records import InboxRow, Kind, Outcome, Place, Reply

_MOST_TOLD = 10_000


class Backlog:
    """Tells which messages are too old. `following` returns what is queued next in a conversation."""

    def __init__(self, settings: ChatSettings, following: Callable[[Place], InboxRow | None]) -> None:
        self._settings = settings
        self._following = following
        self._came_back_at = 0.0
        self._told: set[Place] = set()
        """Conversations that got the sentence, until one of their messages is answered again."""
        self._owed: set[Place] = set()
        """Conversations whose sentence is still to be said, with the last of what is old there."""

    def came_back(self) -> None:
        """Note that messages of an earlier life are taken up now."""
        self._came_back_at = clock.wall()

    def expired(self, turn: Turn) -> Settled | None:
        """Return the end of a message that is too old, None for any other.

        The last of them in a row gets the sentence: a bot that dies in between has not said it yet, and says it once.
        """
        if self._settings.max_age_s is None:
            return None
        row = turn.row
        if not self._is_old(row):
            self._told.discard(row.place)
            return None
        following = self._following(row.place)
        is_last = following is None or not self._is_old(following)
        if row.kind in (Kind.MESSAGE, Kind.UNREADABLE) and row.place not in self._told:
            self._owed.add(row.place)
        if not is_last or row.place not in self._owed:
            return Settled(acknowledged([], row), outcome=Outcome.EXPIRED)
        self._owed.discard(row.place)
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.add(row.place)
        return Settled([Reply(self._settings.sentence("expired"))], outcome=Outcome.EXPIRED)

    def _is_old(self, row: InboxRow) -> bool:
        if row.kind in (Kind.SCHEDULE, Kind.JOINED) or row.envelope.is_replayed or self._settings.max_age_s is None:
            return False
        if row.kind is Kind.MESSAGE and consent_command(command_in(row)) is not None:
            return False
        sent_at = row.envelope.sent_at
        taken_at = max(row.received_at, self._came_back_at)
        return taken_at - (row.received_at if sent_at is None else min(sent_at, row.received_at)) > self._settings.max_age_s
