"""Bots that get a process with other settings: each is stopped, started, and watched until it is ready, or healthy, or has failed.

Who fails in its turn, or later while the change is under way, has its old settings back at once: it is started with them without a
delay, and no restart is counted. What that means for the others is changes.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.condition import Health
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor import view
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.gates import ANEW
from processsupervisor.supervisor.healthof import health_of
from processsupervisor.supervisor.roster import Roster
from processsupervisor.supervisor.zygotelink import PRELOAD_TIMEOUT_S

_MARGIN_S = 30.0
_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})


class Outcome(StrEnum):
    """What became of one bot in its turn."""

    DONE = "done"
    FAILED = "failed"
    LET_GO = "let-go"
    """A person's newer command on it wins; it takes the settings at its next start."""


@dataclass(slots=True)
class _Turn:
    """`generation` is the first that has the new settings; `old` are the settings to fall back to at once, None when there are none."""

    handle: BotHandle
    generation: int
    old: BotSpec | None
    must_be_healthy: bool
    done: asyncio.Future[Outcome]
    is_new: bool = False
    failure: ExitRecord | None = None
    why: str = ""


@dataclass(slots=True)
class Turns:
    """The bots of one change; hears every event of the fleet from `open` to `close`.

    `on_broken` is called with the words when a bot that had its turn fails after it.
    """

    fleet: Fleet
    roster: Roster
    on_broken: Callable[[str], None]
    _turns: dict[str, _Turn] = field(default_factory=dict)

    def open(self) -> None:
        """Begin to watch."""
        self.fleet.events.listen(self._on_event)
        self.fleet.aftermath.fall_back = self._fall_back

    def close(self) -> None:
        """Watch no more."""
        self.fleet.events.unlisten(self._on_event)
        self.fleet.aftermath.fall_back = lambda _handle, _record: False
        self._turns.clear()

    async def take(self, handle: BotHandle, spec: BotSpec, *, is_new_kind: bool, must_be_healthy: bool) -> tuple[Outcome, str]:
        """Give a bot of the fleet a process with the settings `spec`; returns the outcome and what is to be said of it.

        One that did not run before has nothing to fall back to.
        """
        old = handle.spec
        runs = handle.life.state in HAS_PROCESS
        self.fleet.zygotes.pins.drop(handle.name)
        if handle.life.state in HAS_PROCESS - {State.STOPPING} and not _turns_task(old, spec):
            turn = self._begin(handle, handle.generation + 1, old, must_be_healthy)
            self.roster.swap({handle.name: spec})
            reach(CrashPoint.PSVD_CHANGE_SWAPPED)
            if not handle.stop(is_restart=True):
                return Outcome.LET_GO, f"is {handle.life.state} by now"
            if is_new_kind:
                self._forget(handle)
            return await self._follow(turn)
        if handle.life.state in HAS_PROCESS:
            handle.stop()
            await handle.life.wait_for(RESTING, _stop_s(handle))
        turn = self._begin(handle, handle.next_generation, old if runs else None, must_be_healthy)
        self.roster.swap({handle.name: spec})
        reach(CrashPoint.PSVD_CHANGE_SWAPPED)
        self._forget(handle)
        return await self._start(turn)

    async def begin(self, handle: BotHandle, *, must_be_healthy: bool) -> tuple[Outcome, str]:
        """Start a bot that is new in the fleet."""
        turn = self._begin(handle, handle.next_generation, None, must_be_healthy)
        turn.is_new = True
        return await self._start(turn)

    async def take_back(self, handle: BotHandle, spec: BotSpec) -> str:
        """Give a bot its old settings again, and a process with them unless it has one; returns what is wrong with it then."""
        turn = self._turns.pop(handle.name, None)
        if handle.spec is spec and turn is None:
            return ""
        is_back = handle.spec is spec  # it fell back by itself
        was_task = _turns_task(handle.spec, spec)
        self.roster.swap({handle.name: spec})
        if handle.wanted is Wanted.DOWN or self.fleet.tasks.get(handle.name) is not None:
            if was_task and handle.life.state in HAS_PROCESS:
                handle.stop(is_restart=True)
            return ""
        first = handle.generation if is_back else handle.next_generation
        if not is_back and handle.life.state in HAS_PROCESS - {State.STOPPING}:
            handle.stop(is_restart=True)
        elif handle.life.state not in HAS_PROCESS:
            self._forget(handle)
            self.fleet.start(handle, ANEW)
        return await self._arrival(handle, first)

    async def _arrival(self, handle: BotHandle, first: int) -> str:
        """Wait until a bot is ready again in generation `first` or later; returns what is wrong when it is not."""

        def has_arrived() -> bool:
            return handle.wanted is Wanted.DOWN or (handle.generation >= first and handle.life.state in _READY | RESTING)

        await handle.life.wait_until(has_arrived, _deadline_s(handle, must_be_healthy=False))
        if handle.life.state in _READY or handle.wanted is Wanted.DOWN:
            return ""
        return f"{handle.name} is {handle.life.state} with its old settings too: {view.why_not_ready(handle)}"

    # -- inside

    def _begin(self, handle: BotHandle, generation: int, old: BotSpec | None, must_be_healthy: bool) -> _Turn:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        turn = self._turns[handle.name] = _Turn(handle, generation, old, must_be_healthy, done)
        return turn

    def _forget(self, handle: BotHandle) -> None:
        handle.restarts = 0
        self.fleet.forget_quick(handle)

    async def _start(self, turn: _Turn) -> tuple[Outcome, str]:
        handle = turn.handle
        if handle.wanted is Wanted.DOWN:
            return Outcome.LET_GO, "is not wanted up"
        self.fleet.start(handle, ANEW)
        if self.fleet.tasks.get(handle.name) is not None:
            return Outcome.DONE, "runs when its time comes"
        return await self._follow(turn)

    async def _follow(self, turn: _Turn) -> tuple[Outcome, str]:
        """Wait for what becomes of it."""
        self._look(turn)
        try:
            async with asyncio.timeout(_deadline_s(turn.handle, must_be_healthy=turn.must_be_healthy)):
                outcome = await turn.done
        except TimeoutError:
            outcome, turn.why = Outcome.FAILED, f"is {health_of(turn.handle) or turn.handle.life.state} still"
        reach(CrashPoint.PSVD_CHANGE_TURNED)
        if outcome is Outcome.DONE:
            return outcome, ""
        if outcome is Outcome.LET_GO:
            return outcome, f"is {turn.handle.life.state}: a newer command wins"
        return outcome, await self._why(turn)

    async def _why(self, turn: _Turn) -> str:
        """Return why the turn failed: reason, message and the last line."""
        record = turn.failure
        if record is None:
            return turn.why or view.why_not_ready(turn.handle) or f"is {turn.handle.life.state}"
        await view.await_last_words(record)
        return ": ".join(filter(None, (str(record.reason), record.message, *(line.strip()[:200] for line in record.log_tail[-1:]))))

    def _fall_back(self, handle: BotHandle, record: ExitRecord) -> bool:
        """See Aftermath.fall_back: give a bot that fails with its new settings the old ones; True = start it with them now."""
        turn = self._turns.get(handle.name)
        if turn is None or turn.failure is not None or record.generation < turn.generation:
            return False
        turn.failure = record
        record.message = f"{record.message}; with its new settings".lstrip("; ")
        if turn.old is not None:
            self.roster.swap({handle.name: turn.old})
        if turn.is_new:
            handle.wanted = Wanted.DOWN  # it goes again: no policy follows, and the fleet does not end with it if it is essential
        self._fail(turn, "")
        return turn.is_new or (turn.old is not None and self.fleet.tasks.get(handle.name) is None)

    def _fail(self, turn: _Turn, why: str) -> None:
        turn.why = turn.why or why
        if not turn.done.done():
            turn.done.set_result(Outcome.FAILED)
        elif turn.done.result() is Outcome.DONE:
            said = f"{turn.failure.reason}: {turn.failure.message}" if turn.failure is not None else why
            self.on_broken(f"{turn.handle.name} failed after its turn: {said}; see psv errors {turn.handle.name}")

    def _on_event(self, event: dict[str, object]) -> None:
        if event.get("kind") in ("transition", "health") and (turn := self._turns.get(str(event.get("bot")))) is not None:
            self._look(turn)

    def _look(self, turn: _Turn) -> None:
        """Judge where a bot has come to."""
        state, handle = turn.handle.life.state, turn.handle
        if turn.failure is not None or (turn.done.done() and turn.done.result() is not Outcome.DONE):
            return
        if handle.wanted is Wanted.DOWN:
            if not turn.done.done():
                turn.done.set_result(Outcome.LET_GO)
        elif handle.generation < turn.generation:
            if state in (State.STOPPING, State.STOPPED) and not turn.done.done():
                turn.done.set_result(Outcome.LET_GO)
            elif state in (State.FAILED, State.UNKNOWN) and not handle.waits_for:
                self._fail(turn, view.why_not_ready(handle))
        elif state in _READY:
            health = health_of(handle)
            if health == Health.UNHEALTHY:
                self._fail(turn, f"is unhealthy: {handle.condition.why}".rstrip(": "))
            elif not turn.done.done() and (health == Health.HEALTHY or not turn.must_be_healthy):
                turn.done.set_result(Outcome.DONE)
        elif state in (State.FAILED, State.UNKNOWN) and not handle.waits_for:
            self._fail(turn, view.why_not_ready(handle))


def _turns_task(old: BotSpec, new: BotSpec) -> bool:
    """Tell whether a bot becomes a task, or a task a bot: the one ends before the other begins."""
    return (old.get("schedule") is None) != (new.get("schedule") is None)


def _stop_s(handle: BotHandle) -> float:
    return float(handle.spec["stop"]["timeout_s"]) + _MARGIN_S


def _deadline_s(handle: BotHandle, *, must_be_healthy: bool) -> float:
    """Return a time by which the bot's own deadlines must have decided: a stop, a preload, a start, and its checks."""
    health = handle.spec.get("health")
    checks_s = 0.0
    if must_be_healthy and health is not None:
        checks_s = health["grace_s"] + health["settle_s"] + health["every_s"] * (health["pass_after"] + health["fail_after"])
    return _stop_s(handle) + PRELOAD_TIMEOUT_S + float(handle.spec["start_timeout_s"]) + checks_s


