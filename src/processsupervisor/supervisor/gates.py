"""What can keep a bot from being started for now: each gate is asked before a start, the first that holds it back says why.

A gate decides and starts nothing; who is held back waits in the line (line.py) and is asked about again when that may have
changed. The words for how a start came to be stand here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from processsupervisor.kernel.reasons import Reason
from processsupervisor.process.handle import BotHandle

WANTED = "wanted"
"""The fleet comes up."""
RECOVER, RETRY, COMPANION = "recover", "retry", "companion"
"""After an exit; after a longer wait; after a bot that it is restarted with."""
RESTART, BACK, ANEW = "restart", "back", "anew"
"""It ran, and was stopped to be started again; it did not become ready on a new zygote; a command restarts it, and it does not run.
All other starts come from a command."""
BY_ITSELF = frozenset({WANTED, RECOVER, RETRY, COMPANION})
SECOND_HALF = frozenset({RECOVER, RESTART, BACK, ANEW, COMPANION})
"""Restarts: who went on without a bot that it depends on comes back without it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a bot is not started now.

    `bots` are those whose next change may end it, none = a slot that gets free, unless `delay_s` says when to ask again.
    `is_resting`: nothing is under way that would end it, so the bot is FAILED meanwhile and not INITIALIZING.
    """

    message: str
    reason: Reason | None = None
    bots: frozenset[str] = frozenset()
    is_resting: bool = False
    delay_s: float | None = None


class Gate(Protocol):
    """One condition of a start."""

    def look(self, handle: BotHandle, how: str) -> Hold | None:
        """Return why the bot has to wait, None when it may go."""
        ...
