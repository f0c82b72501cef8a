"""What waits for one bot: numbered updates, and which of them a getUpdates confirms and gets.

The rules are those of Telegram's own server (https://github.com/tdlib/telegram-bot-api, Client::do_get_updates and TQueue): an offset
forgets everything before it at once, also when the answer never arrives; a negative one counts from the end; one that lies more than
ten behind the newest update is taken for a mistake and forgets nothing.
"""

from __future__ import annotations

from processsupervisor.testing.botapi.values import Json, numbers_before

FIRST_ID = 1000
MOST_AT_ONCE = 100
_FUTURE_SLACK = 10
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds that are given only to bots that ask for them by name."""


class Updates:
    """The queue of one bot. Nothing here waits; account.py wakes who does."""

    def __init__(self) -> None:
        self._waiting: list[Json] = []
        self._again: list[Json] = []
        self._newest: Json | None = None
        self._next_id = FIRST_ID + numbers_before()
        self.allowed: frozenset[str] | None = None
        """Kinds asked for; None for all but NOT_BY_DEFAULT."""
        self.confirmed = 0
        """How many have been forgotten because an offset said so."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    @property
    def waiting(self) -> list[Json]:
        """Return a copy of what is to be delivered."""
        return self._again + self._waiting

    def allow(self, kinds: list[object] | None) -> None:
        """Note `allowed_updates`: None changes nothing, an empty list is the default set."""
        if kinds is not None:
            self.allowed = frozenset(str(kind).lower() for kind in kinds) or None

    def add(self, kind: str, content: Json) -> Json | None:
        """Append an update; None when the bot has not asked for its kind."""
        if kind not in self.allowed if self.allowed is not None else kind in NOT_BY_DEFAULT:
            return None
        update: Json = {"update_id": self._next_id, kind: content}
        self._next_id += 1
        self._waiting.append(update)
        self._newest = update
        return update

    def repeat_newest(self) -> None:
        """Give the newest update out once more, whatever an offset says: at Telegram this happens when one of its servers is replaced."""
        if self._newest is not None:
            self._again.append(self._newest)

    def jump(self, next_id: int) -> None:
        """Number the next update `next_id`, as Telegram does at random after a week without any. What waits keeps its number."""
        self._next_id = next_id

    def drop(self) -> None:
        """Forget all (drop_pending_updates)."""
        self._waiting.clear()

    def remove(self, update: Json) -> None:
        """Forget one: a webhook has taken it."""
        if update in self._again:
            self._again.remove(update)
        elif update in self._waiting:
            self._waiting.remove(update)
            self.confirmed += 1

    def take(self, offset: int, limit: int) -> list[Json]:
        """Forget what `offset` confirms and return at most `limit` of what is left."""
        if offset < 0:
            self._forget(len(self._waiting) + offset)
        elif offset > self._next_id + _FUTURE_SLACK:
            pass
        elif offset > 0:
            before = len(self._waiting)
            self._waiting = [update for update in self._waiting if _number(update) >= offset]
            self.confirmed += before - len(self._waiting)
        again, self._again = self._again, []
        return (again + self._waiting)[: min(max(limit, 1), MOST_AT_ONCE)]

    def _forget(self, count: int) -> None:
        if count > 0:
            del self._waiting[:count]
            self.confirmed += count


def _number(update: Json) -> int:
    number = update["update_id"]
    assert isinstance(number, int)
    return number
