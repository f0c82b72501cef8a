"""How much a bot may send: Telegram's limits, enforced when a test asks for it, and whether the bot keeps to what it is told.

The numbers are those of https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this. Telegram allows bursts that
it does not describe; here the windows are exact, so a bot that never meets a 429 here meets few there.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from processsupervisor.testing.botapi.values import Rejected


@dataclass(frozen=True, slots=True)
class Limits:
    """What one bot may send. A number of 0 means no limit."""

    per_chat_per_s: int = 1
    per_group_per_min: int = 20
    per_token_per_s: int = 30


NO_LIMITS = Limits(0, 0, 0)


@dataclass(slots=True)
class Floodgate:
    """What one bot has sent lately. `refused` counts 429s, `hasty` the sends to a chat before its `retry_after` had passed."""

    limits: Limits = NO_LIMITS
    refused: int = 0
    hasty: int = 0
    _sent: dict[str, deque[float]] = field(default_factory=dict)
    _quiet_until: dict[str, float] = field(default_factory=dict)

    def enter(self, chat_id: str) -> None:
        """Let one message to a chat through. Raises Rejected (429) when there were too many."""
        now = time.monotonic()
        if now < self._quiet_until.pop(chat_id, 0.0):
            self.hasty += 1
        windows = [("*", self.limits.per_token_per_s, 1.0)]
        if chat_id.startswith("-"):
            windows.append((chat_id, self.limits.per_group_per_min, 60.0))
        else:
            windows.append((chat_id, self.limits.per_chat_per_s, 1.0))
        wait_s = max(self._wait_s(key, most, window_s, now) for key, most, window_s in windows)
        if wait_s > 0:
            seconds = max(1, math.ceil(wait_s))
            self.refuse(chat_id, seconds)
            raise Rejected(429, f"Too Many Requests: retry after {seconds}", retry_after_s=seconds)
        for key, most, _window_s in windows:
            if most:
                self._sent.setdefault(key, deque()).append(now)

    def refuse(self, chat_id: str, seconds: int) -> None:
        """Note that a bot was told to leave a chat alone for so long."""
        self.refused += 1
        self._quiet_until[chat_id] = time.monotonic() + seconds

    def _wait_s(self, key: str, most: int, window_s: float, now: float) -> float:
        sent = self._sent.get(key)
        if not most or sent is None:
            return 0.0
        while sent and sent[0] <= now - window_s:
            sent.popleft()
        return 0.0 if len(sent) < most else sent[0] + window_s - now
