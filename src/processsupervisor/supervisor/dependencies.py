"""`depends_on`: a bot is started when those it names have come far enough; once it runs, their fate is not its own.

Who waits for a bot that is on its way is INITIALIZING; for one that rests it is FAILED with reason `dependency`, and is started
by itself when that one is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from processsupervisor.config.spec import DependencySpec
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.process.condition import Health
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.gates import SECOND_HALF, Hold
from processsupervisor.supervisor.healthof import health_of, is_healthy

_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_RESTING = frozenset({State.STOPPED, State.FAILED, State.TERMINATED})
_GOALS = {"started": "to be started", "ready": "to be ready", "healthy": "to be healthy", "completed": "to complete"}


def named_by(handle: BotHandle) -> list[DependencySpec]:
    """Return what a bot depends on; nothing in settings that an older psv wrote."""
    return handle.spec.get("depends_on") or []


def has_started(handle: BotHandle) -> bool:
    """Tell whether a process of the bot runs that nobody is ending."""
    return handle.process is not None and handle.life.state in _READY | {State.STARTING}


def has_completed(handle: BotHandle) -> bool:
    """Tell whether the bot has ended for good with code 0."""
    return handle.life.state is State.TERMINATED and handle.last_exit is not None and handle.last_exit.exit_code == 0


def is_met(handle: BotHandle, until: str) -> bool:
    """Tell whether a bot has come as far as a dependent waits for; one that has completed has come as far as it ever will."""
    if has_completed(handle):
        return True
    match until:
        case "started":
            return has_started(handle)
        case "healthy":
            return is_healthy(handle)
        case "completed":
            return False
    return handle.life.state in _READY


class Dependencies:
    """The dependencies of one fleet; `waived` are bots whose next start asks for none, by command."""

    def __init__(self, handles: Mapping[str, BotHandle]) -> None:
        self._handles = handles
        self.waived: set[str] = set()
        self._dependents: dict[str, list[BotHandle]] = {}

    def learn(self) -> None:
        """Note who depends on whom; called when all handles are made, and when settings were changed."""
        self._dependents.clear()
        for handle in self._handles.values():
            for entry in named_by(handle) if not handle.spec["error"] else ():
                self._dependents.setdefault(entry["bot"], []).append(handle)

    def dependents(self, bot: str) -> list[BotHandle]:
        """Return the bots that name `bot` in `depends_on`."""
        return self._dependents.get(bot, [])

    def depth(self, handle: BotHandle) -> int:
        """Return how many starts one after the other come before that of `handle`."""
        level, depth, seen = {handle.name}, 0, {handle.name}
        while level:
            others = (self._handles.get(name) for name in level)
            level = {entry["bot"] for other in others if other is not None for entry in named_by(other)} - seen
            seen |= level
            depth += bool(level)
        return depth

    def missing(self, handle: BotHandle) -> list[DependencySpec]:
        """Return what the bot still waits for."""
        if handle.name in self.waived:
            return []
        return [d for d in named_by(handle) if (other := self._handles.get(d["bot"])) is None or not is_met(other, d["until"])]

    def switched_off(self, handle: BotHandle) -> list[str]:
        """Return the missing bots that nobody wants up: waiting for them would be waiting for a person."""
        names = [d["bot"] for d in self.missing(handle)]
        return [n for n in names if (other := self._handles.get(n)) is None or other.wanted is Wanted.DOWN]

    def look(self, handle: BotHandle, how: str) -> Hold | None:
        """See Gate."""
        missing = self.missing(handle)
        others = [(self._handles.get(d["bot"]), d) for d in missing]
        if how in SECOND_HALF:  # who ran without it goes on without it
            others = [(other, d) for other, d in others if other is not None and not _is_resting(other)]
        if not others:
            return None
        is_resting = any(other is None or _is_resting(other) for other, _ in others)
        message = "waits for " + " and ".join(_words(other, d) for other, d in others)
        return Hold(message, Reason.DEPENDENCY, frozenset(d["bot"] for _, d in others), is_resting)


def _is_resting(other: BotHandle) -> bool:
    """Tell whether nothing is under way with a bot; one that was just told to start is about to."""
    return other.life.state in _RESTING and not (other.life.state is State.STOPPED and other.wanted is not Wanted.DOWN)


def _words(other: BotHandle | None, entry: DependencySpec) -> str:
    name = entry["bot"]
    if other is None:
        return f"{name}, which this fleet does not run"
    if other.life.state in (State.STOPPED, State.TERMINATED) and other.wanted is Wanted.DOWN:
        return f"{name}, which is stopped (psv start {name})"
    if other.spec.get("schedule") and other.life.state is State.TERMINATED:
        return f"{name}, a task that has not run yet"
    if _is_resting(other):
        return f"{name}, which is {other.life.state} ({other.reason or 'no reason'})"
    if entry["until"] == "healthy" and health_of(other) == Health.UNHEALTHY:
        return f"{name} {_GOALS['healthy']} (unhealthy now: {other.condition.why})"
    return f"{name} {_GOALS[entry['until']]}"
