"""How fast one network token may send: per chat, per group, and in all. Pure: the caller brings the time and does the waiting.

A network that says "again in N seconds" is obeyed by `refused`: to the chat it was said of, and to all when it is said of several
chats at once, which is how a limit of the whole token looks. The law of every limit: at most `count` in any `within_s` seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

MAX_CHATS = 10_000
"""So many chats are remembered; then the one written to longest ago is forgotten, which costs at most one refusal by the network."""
_ALIKE_S = 1.0
"""Refusals of different chats within this time are one refusal of the token."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` in any `within_s` seconds."""

    count: int
    within_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a network allows one token. The defaults are Telegram's (core.telegram.org/bots/faq, "My bot is hitting limits")."""

    token: Limit = Limit(30, 1.0)
    chat: Limit = Limit(20, 20.0)
    """One a second in the mean; short bursts are allowed there."""
    group: Limit = Limit(20, 60.0)
    """Besides `chat`, for groups and channels."""


class Bucket:
    """One limit's account: the times of the last `count` sends, monotonic seconds."""

    __slots__ = ("_limit", "_times")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._times: deque[float] = deque(maxlen=limit.count)

    def wait_s(self, now_mono: float) -> float:
        """Return how long one more has to wait, 0.0 when it may go now."""
        if len(self._times) < self._limit.count:
            return 0.0
        return max(self._times[0] + self._limit.within_s - now_mono, 0.0)

    def take(self, now_mono: float) -> None:
        """Count one that goes now."""
        self._times.append(now_mono)


class _Chat:
    """What is remembered of one chat."""

    __slots__ = ("buckets", "held_until")

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self.buckets = buckets
        self.held_until = 0.0


class Buckets:
    """The limits of one token. Asked before each send, told of each refusal."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._token = Bucket(self._limits.token)
        self._chats: OrderedDict[str, _Chat] = OrderedDict()
        self._held_until = 0.0
        self._refused: tuple[str, float] | None = None
        """The chat of the last refusal, and when it was."""

    def take(self, chat: str, now_mono: float, *, is_group: bool = False) -> float:
        """Return 0.0 and count a send to `chat`, or how many seconds it has to wait; then nothing is counted."""
        known = self._of(chat, is_group)
        wait_s = max(self.token_wait_s(now_mono), known.held_until - now_mono)
        for bucket in known.buckets:
            wait_s = max(wait_s, bucket.wait_s(now_mono))
        if wait_s > 0:
            return wait_s
        self._token.take(now_mono)
        for bucket in known.buckets:
            bucket.take(now_mono)
        return 0.0

    def token_wait_s(self, now_mono: float) -> float:
        """Return how long the token has to wait whatever the chat, 0.0 when it is only a chat that does."""
        return max(self.held_s(now_mono), self._token.wait_s(now_mono))

    def held_s(self, now_mono: float) -> float:
        """Return for how long nothing may be sent to anybody, 0.0 when the token is not held."""
        return max(self._held_until - now_mono, 0.0)

    def refused(self, chat: str, retry_after_s: float, now_mono: float, *, is_group: bool = False) -> bool:
        """Send nothing to `chat` for so long, as the network said; True when that holds for every chat of the token."""
        known = self._of(chat, is_group)
        known.held_until = max(known.held_until, now_mono + retry_after_s)
        before, self._refused = self._refused, (chat, now_mono)
        if before is None or before[0] == chat or now_mono - before[1] > _ALIKE_S:
            return False
        self._held_until = max(self._held_until, now_mono + retry_after_s)
        return True

    def _of(self, chat: str, is_group: bool) -> _Chat:
        known = self._chats.get(chat)
        if known is None:
            limits = (self._limits.chat, self._limits.group) if is_group else (self._limits.chat,)
            known = self._chats[chat] = _Chat(tuple(Bucket(limit) for limit in limits))
            if len(self._chats) > MAX_CHATS:
                self._chats.popitem(last=False)
        else:
            self._chats.move_to_end(chat)
        return known
