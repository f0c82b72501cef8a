"""How one generation of a bot that is ready does: whether it is healthy and connected, and since when and why not.

health/ writes it, once a sweep; the bot's link notes proofs. Who has neither checks nor a network is healthy when it is ready.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from processsupervisor.kernel.clock import mono


class Health(StrEnum):
    """SETTLING: no check has failed, and not every one has passed for long enough."""

    SETTLING = "settling"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(slots=True)
class Condition:
    """What is known; None where nobody has looked yet."""

    health: Health | None = None
    why: str = ""
    """Why it is not healthy."""
    has_network: bool = False
    is_connected: bool | None = None
    """Whether the last proof was younger than its limit when psvd looked; None for a bot without a network."""
    proof_mono: float | None = None
    is_known: bool = False
    """Whether the bot has said which settings it holds; never, if it was started by a psv that did not ask."""
    settings: str | None = None
    """The digest of those that it said last to hold; None when that is not known."""
    takes_options: bool = False
    """Whether it takes other options without a restart, as it said."""

    def prove(self, at_mono: object) -> None:
        """Note a proof from the network that the bot had at `at_mono`; None: it has a network, and no proof yet."""
        self.has_network = True
        self.is_connected = bool(self.is_connected)
        if isinstance(at_mono, (int, float)) and not isinstance(at_mono, bool) and math.isfinite(at_mono):
            # A bot cannot have a proof from the time to come, and an older one takes nothing back.
            self.proof_mono = max(self.proof_mono or 0.0, min(float(at_mono), mono()))

    @property
    def proof_age_s(self) -> float | None:
        """Return how old the last proof is; None without one."""
        return None if self.proof_mono is None else max(0.0, mono() - self.proof_mono)
