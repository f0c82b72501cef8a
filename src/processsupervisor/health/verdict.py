"""What a check finds wrong with a bot that runs, and what checks see of a bot. Nothing here acts: supervisor/care.py does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.reasons import Reason
from processsupervisor.process.condition import Condition
from processsupervisor.process.lifecycle import Lifecycle

SWEEP_S = 1.0
"""Between two looks at a bot; a span of trouble is counted in these."""


class Watched(Protocol):
    """What of a bot's handle is needed here."""

    name: str
    spec: BotSpec
    generation: int
    process: Identity | None
    via: str
    life: Lifecycle
    condition: Condition

    @property
    def uptime_s(self) -> float | None:
        """Seconds since it became ready."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """One generation of a bot cannot go on as it is; `reason` is what its exit record will say, `message` why."""

    bot: str
    generation: int
    reason: Reason
    message: str
    is_probed: bool = False
    """It came from a check of the bot's health table."""


class Sweep(NamedTuple):
    """One round over all bots. `is_late`: psvd was stalled, so nobody is judged in this one."""

    number: int
    is_late: bool

    def add_to(self, span_s: float, limit_s: float) -> float:
        """Return a span of trouble that goes on in this sweep.

        A sweep counts once however late it comes, and after a stall there is always one more before the limit: what came while
        psvd was away is read before anybody is judged.
        """
        span_s += SWEEP_S
        return min(span_s, limit_s - SWEEP_S) if self.is_late else span_s


class Check(Protocol):
    """One way to look at bots; a new kind of trouble is a new class with these two."""

    def look(self, bot: Watched, sweep: Sweep) -> Verdict | None:
        """Look at a bot that runs, once a sweep; must be quick and must not wait."""
        ...

    def forget(self, name: str) -> None:
        """Drop what is known of a bot that runs no more; called in every sweep, so it must cost nothing."""
        ...
