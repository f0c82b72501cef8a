"""How healthy a bot is, in the words of `psv ls`, and as an answer for those that wait for it."""

from __future__ import annotations

from processsupervisor.kernel.states import State
from processsupervisor.process.condition import Health
from processsupervisor.process.handle import BotHandle

_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})


def health_of(handle: BotHandle) -> str | None:
    """Return "healthy", "settling" or "unhealthy" for a ready bot, "starting" before that, None without a process."""
    if handle.life.state not in _READY:
        return "starting" if handle.life.state is State.STARTING else None
    known = handle.condition.health
    if known is None:  # the first sweep comes within a second
        known = Health.SETTLING if handle.spec.get("health") or handle.condition.has_network else Health.HEALTHY
    return str(known)


def is_healthy(handle: BotHandle) -> bool:
    """Tell whether the bot is ready and every check of it has passed for `settle`."""
    return health_of(handle) == Health.HEALTHY
