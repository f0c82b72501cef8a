"""What follows an exit: it is noted once, the policy is asked, the bot is started again, rests, or is given up.

The arithmetic is recovery.py's. The last log lines are added when logd has drained the FIFOs, after the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from processsupervisor.kernel.clock import boottime, mono, wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.files import read_small
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger, Wanted
from processsupervisor.process.exits import OF_POLICY, TAIL_LINES, ExitRecord, ended_because, find_exception, process_status, uptime_of
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.logview import tail_lines
from processsupervisor.process.record import override_of
from processsupervisor.supervisor.alerts import Alerts, loop_message
from processsupervisor.supervisor.breaker import Breaker
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.gates import BACK, RECOVER, RESTART
from processsupervisor.supervisor.hooks import HookRunner
from processsupervisor.supervisor.recovery import Decision, Next, Past, decide, is_too_large, read_rate_until
from processsupervisor.supervisor.store import Store
from processsupervisor.supervisor.tasks import Tasks

_log = logging.getLogger("psv.aftermath")


class FleetAround(Protocol):
    """What of the fleet an exit concerns."""

    paths: FleetPaths
    store: Store
    breaker: Breaker
    alerts: Alerts
    events: Events
    hooks: HookRunner
    handles: dict[str, BotHandle]
    is_going_down: bool
    tasks: Tasks

    def start(self, handle: BotHandle, reason: str = "") -> bool:
        """Start a bot unless something forbids it."""
        ...

    def take_back(self, handle: BotHandle) -> bool:
        """Adopt a bot that was born while nobody was told."""
        ...


class Aftermath:
    """One fleet's exits. `on_essential_end` hears the exit status when an essential bot has ended for good."""

    def __init__(self, fleet: FleetAround, on_essential_end: Callable[[int], None]) -> None:
        self._fleet = fleet
        self._on_essential_end = on_essential_end
        self._rows: dict[str, tuple[int, int]] = {}  # {bot: (generation, row)} of the last exit of each, until its log tail is there
        self.fall_back: Callable[[BotHandle, ExitRecord], bool] = lambda _handle, _record: False
        """Asked at an exit: True when the bot is to be started again at once, uncounted, from the zygote it came from before."""

    def on_end(self, handle: BotHandle, record: ExitRecord) -> None:
        """Note an exit and decide what follows."""
        fleet = self._fleet
        fleet.breaker.done(handle.name)
        state = handle.life.state
        is_asked = self._is_asked(handle, record, state) and record.reason in OF_POLICY
        is_back = not is_asked and not fleet.is_going_down and handle.wanted is not Wanted.DOWN and self.fall_back(handle, record)
        reach(CrashPoint.PSVD_BEFORE_EXIT)
        is_counted = not (is_asked or is_back or self._is_uncounted(handle, record))
        row = fleet.store.add_exit(handle.name, record, is_counted=is_counted)
        self._rows[handle.name] = record.generation, row
        fleet.tasks.note_end(handle, record)
        fleet.events.tell("exit", bot=handle.name, ended_at=record.at, **_facts(record))
        fleet.store.flush()  # a restart that follows must be counted even if psvd is killed now
        reach(CrashPoint.PSVD_EXIT_NOTED)
        fleet.hooks.after(handle.name, "exit", _facts(record) | {"ended_at": record.at})
        code = record.exit_code
        if record.reason is Reason.CONFLICT and not record.exit_code:
            handle.rest(Trigger.GIVE_UP, record.reason)
        elif fleet.tasks.rest(handle, record):
            pass
        elif is_asked:
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=record.reason, exit_code=code)
            if state is State.RESTARTING:
                fleet.start(handle, RESTART)
        elif fleet.is_going_down or handle.wanted is Wanted.DOWN:
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=record.reason, exit_code=code)
            handle.stop()
        elif is_back:
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=record.reason, exit_code=code)
            fleet.start(handle, BACK)
        else:
            self._follow(handle, record, self._decide(handle, record))

    def take_unseen(self, handle: BotHandle, record: ExitRecord, facts: dict[str, Any], *, is_followed: bool = True) -> None:
        """Note an exit that happened while no psvd looked, and do what would have followed it if it `is_followed` by anything."""
        record.uptime_s = uptime_of(facts, record.at)
        override, was_ending = override_of(facts), facts.get("state") in (State.STOPPING, State.RESTARTING)
        record.reason = override if override in OF_POLICY else Reason.ADMIN if was_ending else override or record.reason
        is_asked = self._is_asked(handle, record, facts.get("state"))
        record.message = ended_because(override, facts.get("notes") or []) or record.message
        handle.last_exit, handle.exited_at, handle.reason = record, record.at, record.reason
        reach(CrashPoint.PSVD_BEFORE_UNSEEN)
        before = self._fleet.store.exit_of(handle.name, record.generation)  # of a psvd that died between this note and its record
        self._fleet.store.add_exit(handle.name, record, is_counted=is_followed and not (is_asked or self._is_uncounted(handle, record)))
        if is_news := before is None or (record.has_status and not before.has_status):
            self._fleet.events.tell("exit", bot=handle.name, ended_at=record.at, **_facts(record))
        self._fleet.tasks.note_end(handle, record)
        self._fleet.store.flush()
        if is_news:
            self._fleet.hooks.after(handle.name, "exit", _facts(record) | {"ended_at": record.at})
        reach(CrashPoint.PSVD_UNSEEN_NOTED)
        if is_followed and not is_asked and handle.wanted is not Wanted.DOWN and not self._fleet.tasks.rest(handle, record):
            self._follow(handle, record, self._decide(handle, record))

    @staticmethod
    def _is_asked(handle: BotHandle, record: ExitRecord, state: object) -> bool:
        """Tell whether a bot ended in `state` because it was to; one recycled soon after its start is held back as after a failure."""
        if state == State.RESTARTING and is_too_large(handle.spec["restart"], record):
            return False
        return state in (State.STOPPING, State.RESTARTING)

    def _is_uncounted(self, handle: BotHandle, record: ExitRecord) -> bool:
        """Tell whether an exit that nobody asked for fills no restart window all the same."""
        return record.reason is Reason.LOCK_HELD or self._fleet.tasks.get(handle.name) is not None

    def complete(self, bot: str, generation: int) -> None:
        """Add the last log lines to the exit record of a generation whose FIFOs are drained."""
        last, row = self._rows.get(bot, (-1, 0))
        handle = self._fleet.handles.get(bot)
        record = handle.last_exit if handle is not None else None
        if last != generation or record is None or record.generation != generation:
            return
        del self._rows[bot]
        reach(CrashPoint.PSVD_BEFORE_TAIL)
        record.log_tail = tail_lines(self._fleet.paths, bot, generation, TAIL_LINES)
        record.exception = find_exception(tail_lines(self._fleet.paths, bot, generation, 200))
        self._fleet.store.update_exit(bot, row, record)
        reach(CrashPoint.PSVD_TAIL_NOTED)

    def _decide(self, handle: BotHandle, record: ExitRecord) -> Decision:
        policy = handle.spec["restart"]
        longest_s = max((float(w["within_s"]) for w in policy["window"]), default=0.0)
        # The exit that was just noted is the last of these; the window counts the ones before it.
        recent = [mono() - (boottime() - at) for at in self._fleet.store.counted_exits(handle.name, longest_s)][:-1]
        alerts, name = self._fleet.alerts, handle.name
        if record.uptime_s is not None and record.uptime_s >= float(policy["stable_after_s"]):
            handle.quick = 0
            alerts.close(name, Reason.CRASH_LOOP)
        past = Past(recent, handle.quick, is_looping=alerts.is_open(name, Reason.CRASH_LOOP))
        decision = decide(policy, record, past, mono(), self._rate_until(handle, record))
        if decision.what is Next.START:
            handle.quick += 1
        if decision.reason == Reason.CRASH_LOOP:
            alerts.tell(name, Reason.CRASH_LOOP, loop_message(record, policy))
        return decision

    def _rate_until(self, handle: BotHandle, record: ExitRecord) -> float:
        if record.reason is not Reason.RATE_LIMITED:
            return 0.0
        try:
            first = read_small(self._fleet.paths.bot_run(handle.name) / "exit-note").decode().partition("\n")[0]
        except (OSError, ValueError):
            return 0.0
        return read_rate_until(first, wall())

    def _follow(self, handle: BotHandle, record: ExitRecord, decision: Decision) -> None:
        _log.info("bot ended", extra={"bot": handle.name, "reason": record.reason, "next": decision.what, "delay_s": decision.delay_s})
        is_final = decision.what is Next.COMPLETE or (decision.what is Next.GIVE_UP and decision.delay_s is None)
        if decision.what is Next.START:
            handle.restarts += 1
            self._fleet.events.tell("restart", bot=handle.name, reason=record.reason, by="policy", delay_s=decision.delay_s or 0.0)
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=record.reason, exit_code=record.exit_code)
            handle.plan_start(decision.delay_s or 0.0, lambda: self._fleet.start(handle, RECOVER))
        elif decision.what is Next.COMPLETE:
            handle.rest(Trigger.COMPLETE, record.reason)
        else:
            handle.rest(Trigger.GIVE_UP, decision.reason)
            if record.reason is Reason.LOCK_HELD and self._fleet.take_back(handle):
                return
            if decision.delay_s is not None:
                handle.plan_start(decision.delay_s, lambda: self._fleet.start(handle, RECOVER))
        if handle.spec["essential"] and is_final:
            self._on_essential_end(process_status(record))


def _facts(record: ExitRecord) -> dict[str, object]:
    """Return what is told of an exit; of a dump the file, for twenty thousand events are kept."""
    told = {name: value for name, value in record.to_json().items() if name not in ("at", "log_tail", "exception")}
    return told | {"dump": record.dump.get("file") if record.dump else None}
