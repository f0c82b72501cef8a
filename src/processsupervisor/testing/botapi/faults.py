"""What is to go wrong, and when: a list of faults that requests meet, in order.

Only requests that match a fault use it up, so a test says "the next two sendMessage" and nothing else is disturbed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """How a request fails."""

    RATE = "rate"
    """429 with `retry_after_s`; the method is not carried out."""
    ERROR = "error"
    """`status` (500, 502, 401, …) with `description`; not carried out."""
    GARBAGE = "garbage"
    """200 with a page of HTML, as a proxy on the way would say; not carried out."""
    CUT_BEFORE = "cut before"
    """The connection ends; not carried out."""
    CUT_AFTER = "cut after"
    """It is carried out, and the connection ends without an answer: who asked cannot know."""
    SLOW = "slow"
    """Carried out at once, answered after `delay_s`."""
    STALL = "stall"
    """`delay_s` pass before it is carried out, also when the client has gone meanwhile."""


@dataclass(slots=True)
class Fault:
    """One fault. It strikes `times` requests of `method` ("*" for any) of `token` (None for any), each with a `chance`."""

    kind: FaultKind
    method: str = "*"
    token: str | None = None
    times: int = 1
    chance: float = 1.0
    retry_after_s: int = 1
    status: int = 500
    description: str = "Internal Server Error"
    delay_s: float = 1.0
    struck: int = 0

    def matches(self, token: str, method: str) -> bool:
        """Tell whether a request would meet it."""
        return self.struck < self.times and self.token in (None, token) and self.method.lower() in ("*", method.lower())


class Faults:
    """The faults that are to come. The first that matches strikes; `struck` counts them by kind."""

    def __init__(self, seed: int = 1) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(seed)
        self.struck: dict[FaultKind, int] = {}

    def add(self, fault: Fault) -> Fault:
        """Append a fault and return it; its `struck` says how often it did."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """End all faults that have not struck."""
        self._faults.clear()

    def take(self, token: str, method: str) -> Fault | None:
        """Return the fault that this request meets, used up by one."""
        for fault in self._faults:
            if fault.matches(token, method) and (fault.chance >= 1.0 or self._random.random() < fault.chance):
                fault.struck += 1
                self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1
                return fault
        return None
