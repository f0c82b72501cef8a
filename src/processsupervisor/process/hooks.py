"""What a bot's handle knows of hooks: commands of the operator that psvd's supervisor runs around the steps of a bot.

How they are run is in supervisor/hooks.py; here is only when a step waits for one, and for how long at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from processsupervisor.config.spec import StopSpec
from processsupervisor.kernel.clock import mono

Before = Literal["start", "stop", "pause", "resume"]
STOP_SHARE = 0.5
"""Part of the stop timeout that before_stop may use; the rest is for the bot."""
TURN_LIMIT_S = 5.0
"""What before_pause and before_resume may use of the time in which a bot must pause or resume."""


class Hooks(Protocol):
    """The hooks of all bots."""

    async def before(self, bot: str, step: Before, limit_s: float | None = None) -> str:
        """Run the hook before a step; return why it failed, empty when it did not or when there is none.

        Raises Exhausted, before a start only, when the machine has no room for the hook: nobody's fault, and the start waits.
        """
        ...

    def turn(self, bot: str, step: Before, act: Callable[[], None]) -> None:
        """Call `act` after the hook before a step has ended, however it did: at once when there is none."""
        ...


class NoHooks:
    """A fleet without hooks."""

    async def before(self, bot: str, step: Before, limit_s: float | None = None) -> str:
        """See Hooks."""
        return ""

    def turn(self, bot: str, step: Before, act: Callable[[], None]) -> None:
        """See Hooks."""
        act()


async def delay_stop(hooks: Hooks, bot: str, stop: StopSpec, within_s: float) -> StopSpec:
    """Run before_stop within its share of the stop timeout; return what is left of that for the stop itself.

    `within_s` is what the end of the fleet leaves the bot, which may be less than its own timeout.
    """
    began, whole_s = mono(), max(0.0, min(float(stop["timeout_s"]), within_s))
    await hooks.before(bot, "stop", whole_s * STOP_SHARE)
    return {**stop, "timeout_s": max(whole_s * (1 - STOP_SHARE), whole_s - (mono() - began))}
