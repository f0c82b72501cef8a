"""psvd's first act: find every bot again, and bring what is not clear to an end within one time budget.

What is clear is taken at once, in batches. What has to be waited for (leftovers that are killed, evidence that cannot be
verified) is UNKNOWN meanwhile and waited for beside the running fleet; at the end of the budget it is FAILED `conflict`
with the pids of the holders, and its evidence is watched further. No bot waits for another one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Iterable
from typing import Any

from processsupervisor.kernel.clock import boottime, mono, wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Trigger, Wanted
from processsupervisor.process.exits import ExitRecord, record_of
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.tree import owners
from processsupervisor.resources.cgroups import Groups
from processsupervisor.supervisor.adoption import Finding, Outcome, examine, journal_by_identity
from processsupervisor.supervisor.failures import Failures
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.gates import RECOVER, RETRY, WANTED

_log = logging.getLogger("psv.adoption")
ADOPT_TIMEOUT_S = 30.0
_BATCH = 20
_LOOK_AGAIN_S = 0.05
_LOOK_AGAIN_MAX_S = 1.0
_AT_LEAST_LOOKS = 3
_UNCLEAR = (Outcome.LEFTOVERS, Outcome.CANNOT_TELL)


class Reconcile:
    """One psvd's search for its bots. `is_cold`: the fleet was ended in order, so everything is tried anew."""

    def __init__(self, fleet: Fleet, *, is_cold: bool) -> None:
        self._fleet = fleet
        self._failures = Failures(fleet)
        self._is_cold = is_cold
        self._waiting: dict[str, Finding] = {}
        self._midway: set[str] = set()
        """Bots whose last psvd died between their end, or the gates of a start, and the start itself."""
        self._ended = journal_by_identity(fleet.paths)

    async def run(self) -> dict[str, Any]:
        """Take every bot whose case is clear; returns `{took_s, outcomes: {outcome: bots}}`."""
        began = mono()
        generations = self._fleet.store.last_generations()
        findings: dict[str, Finding] = {}
        for number, name in enumerate(self._fleet.handles):
            if number % _BATCH == 0:
                await asyncio.sleep(0)  # let pings through: a large fleet must not look wedged
            self._fleet.paths.bot_run(name).mkdir(mode=0o700, exist_ok=True)
            findings[name] = examine(self._fleet.paths, name, self._ended)
            reach(CrashPoint.PSVD_EXAMINED)
        await self._clear_after_ends(findings)
        for number, (name, finding) in enumerate(findings.items()):
            if number % _BATCH == 0:
                await asyncio.sleep(0)
            handle = self._fleet.handles[name]
            handle.generation = max(finding.generation, generations.get(name, 0))
            self._take(handle, finding)
            reach(CrashPoint.PSVD_TAKEN)
        reach(CrashPoint.PSVD_ADOPTED_ALL)
        outcomes = dict(Counter(str(finding.outcome) for finding in findings.values()))
        self._hear_what_was_missed()
        release_unused(self._fleet)
        return {"took_s": round(mono() - began, 3), "outcomes": outcomes}

    async def _clear_after_ends(self, findings: dict[str, Finding]) -> None:
        """Kill what bots that ended unseen left behind without the lock (a child that closed it), before anything starts again."""
        ended = {name: f for name, f in findings.items() if f.outcome in (Outcome.ENDED, Outcome.ENDED_UNSEEN)}
        if not ended:
            return
        for finding in ended.values():
            if (group := finding.facts.get("group")) and Groups.is_populated(group):
                Groups.kill(group)
        living = {f.identity.pid for f in findings.values() if f.outcome is Outcome.ADOPT and f.identity is not None}
        left = await self._find(ended, self._fleet.first_pids() | living)
        for identity in (identity for members in left.values() for identity in members):
            send_signal(identity, signal.SIGKILL)

    async def _find(self, bots: Iterable[str], known: set[int]) -> dict[str, list[Identity]]:
        """Return who shows that it is of these bots: in one pass for all, and off the loop, since it reads much of /proc."""
        try:
            return await asyncio.to_thread(owners, self._fleet.paths, list(bots), known)
        except OSError as err:  # no descriptor left: there is another look
            _log.warning("cannot look for what bots left behind; trying again", extra={"error": str(err)})
            return {}

    def _take(self, handle: BotHandle, finding: Finding) -> None:
        facts = finding.facts
        if not (self._is_cold and finding.outcome is Outcome.FRESH):
            handle.restarts, handle.quick = int(facts.get("restarts") or 0), int(facts.get("quick") or 0)
        if not self._is_cold:
            self._failures.recall(handle, facts)
            handle.reason = Reason.CRASH_LOOP if facts.get("reason") == Reason.CRASH_LOOP else handle.reason
        if facts.get("state") not in RESTING:
            self._fleet.zygotes.recall(handle.name, str(facts.get("via") or ""))
        if (said := facts.get("wanted")) in set(Wanted):
            self._fleet.want(handle, Wanted(said))  # said while psv.db could not be written
        match finding.outcome:
            case Outcome.ADOPT if finding.identity is not None:
                self._adopt(handle, finding.identity, finding)
            case Outcome.ENDED if finding.entry is not None:
                entry = finding.entry
                record = record_of(self._fleet.paths, handle.name, finding.generation, entry.status, entry.at)
                self._fleet.aftermath.take_unseen(handle, record, facts, is_followed=not self._is_cold)
            case Outcome.ENDED_UNSEEN:
                unseen = ExitRecord(Reason.UNKNOWN_WHILE_UNSUPERVISED, None, None, wall(), finding.generation, message=_UNSEEN)
                self._fleet.aftermath.take_unseen(handle, unseen, facts, is_followed=not self._is_cold)
            case Outcome.LEFTOVERS | Outcome.CANNOT_TELL:
                self._waiting[handle.name] = finding
                handle.rest(Trigger.LOSE, Reason.CONFLICT if finding.outcome is Outcome.LEFTOVERS else Reason.UNKNOWN)
            case Outcome.FRESH if not self._is_cold:
                self._go_on_resting(handle, facts)
            case Outcome.UNBORN if not self._is_cold:
                self._midway.add(handle.name)
            case _:
                pass  # still INITIALIZING: started if it is wanted
        self._fleet.tasks.recall(handle, finding.outcome, facts)

    def _adopt(self, handle: BotHandle, identity: Identity, finding: Finding) -> None:
        """Take over a running bot, and go on with what the last psvd died in the middle of."""
        handle.adopt(identity, finding.generation, finding.facts)
        state = finding.facts.get("state")
        if handle.wanted is Wanted.DOWN and (self._fleet.tasks.get(handle.name) is None or state == State.STOPPING):
            handle.stop()  # a task that nobody wants scheduled may run by command
        elif state in (State.STOPPING, State.RESTARTING):  # STOPPING, though wanted: the fleet was on its way down
            handle.stop(is_restart=True)

    def _go_on_resting(self, handle: BotHandle, facts: dict[str, Any]) -> None:
        """Leave a bot that had ended before this psvd was started as it was: given up, completed, or waiting for its time."""
        state, reason = facts.get("state"), str(facts.get("reason") or "")
        if state not in (State.FAILED, State.RECOVERING, State.TERMINATED):
            return
        handle.last_exit = self._fleet.store.last_exit(handle.name)
        handle.exited_at = handle.last_exit.at if handle.last_exit is not None else None
        if state != State.TERMINATED and handle.wanted is Wanted.DOWN and self._fleet.tasks.get(handle.name) is None:
            return  # killed between the wish and the stop, which follows
        if state == State.FAILED:
            handle.rest(Trigger.GIVE_UP, reason or Reason.UNKNOWN)
        elif state == State.TERMINATED:
            handle.rest(Trigger.COMPLETE, reason)
        else:
            self._midway.add(handle.name)
        ran = state == State.RECOVERING or (handle.last_exit is not None and handle.last_exit.reason is not Reason.ADMIN)
        due = facts.get("next_start_boottime")
        if isinstance(due, float) and state != State.TERMINATED:
            handle.reason = reason
            handle.plan_start(max(0.0, due - boottime()), lambda: self._fleet.start(handle, RECOVER if ran else RETRY))

    def how(self, bot: str) -> str:
        """Return how a bot that is wanted and does not run is started now."""
        return RECOVER if bot in self._midway else WANTED

    def _hear_what_was_missed(self) -> None:
        """Count the ready lines that logd saw while no psvd listened."""
        for pair in self._fleet.keeper.welcome["fifos"]:
            handle = self._fleet.handles.get(str(pair["bot"]))
            if pair.get("matched") and handle is not None and handle.generation == pair["generation"]:
                handle.say_ready()

    # -- what has to be waited for

    async def settle(self) -> None:
        """Bring every unclear case to its end; returns when none is left. No event tells of a lock that is let go."""
        deadline, wait_s, looks = mono() + ADOPT_TIMEOUT_S, _LOOK_AGAIN_S, 0
        while self._waiting and not self._fleet.is_going_down:
            await asyncio.sleep(wait_s)
            await self._look_again()
            wait_s = min(wait_s * 1.5, _LOOK_AGAIN_MAX_S)
            handles = self._fleet.handles
            unclear = {name: f for name, f in self._waiting.items() if name in handles and handles[name].life.state is State.UNKNOWN}
            looks += 1
            is_over = mono() >= deadline and looks > _AT_LEAST_LOOKS  # a psvd that was stopped meanwhile has not looked
            if not is_over:
                unclear = {name: f for name, f in unclear.items() if f.outcome is Outcome.LEFTOVERS}
            holders = await self._find(unclear, self._fleet.first_pids()) if unclear else {}
            for name, finding in unclear.items():
                if name not in self._fleet.handles:
                    continue  # a change let it go meanwhile
                if is_over:
                    self._give_up(self._fleet.handles[name], finding, holders.get(name, []))
                    continue
                reach(CrashPoint.PSVD_LEFTOVERS_FOUND)
                for identity in holders.get(name, ()):
                    send_signal(identity, signal.SIGKILL)
                reach(CrashPoint.PSVD_LEFTOVERS_KILLED)

    async def _look_again(self) -> None:
        """Weigh again what is not clear. A child that had just taken the lock at the first look has signed it by now."""
        for number, name in enumerate(list(self._waiting)):
            if number % _BATCH == 0:
                await asyncio.sleep(0)
            handle = self._fleet.handles.get(name)
            if handle is None or not _is_unclear(handle):
                del self._waiting[name]  # a command or a change came first
                continue
            self._waiting[name] = examine(self._fleet.paths, name, self._ended)
            if self._waiting[name].outcome not in _UNCLEAR:
                del self._waiting[name]
                self._resolve(handle, examine(self._fleet.paths, name, journal_by_identity(self._fleet.paths)))

    def _resolve(self, handle: BotHandle, finding: Finding) -> None:
        """Go on with a bot of which is now known whether it runs."""
        _log.info("a bot that was not clear is clear now", extra={"bot": handle.name, "outcome": finding.outcome})
        handle.reason = ""
        if finding.outcome is not Outcome.ADOPT:
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=Reason.UNKNOWN)
        self._take(handle, finding)
        if finding.outcome is Outcome.ADOPT:
            return
        release_unused(self._fleet, handle.name)
        if handle.wanted is Wanted.DOWN:
            handle.stop()
        elif handle.next_start_mono is None and self._is_to_start(handle, finding):
            self._fleet.start(handle, RECOVER)

    def _is_to_start(self, handle: BotHandle, finding: Finding) -> bool:
        if self._is_cold or handle.life.state is State.RECOVERING or finding.outcome is Outcome.UNBORN:
            return True
        return finding.outcome is Outcome.FRESH and finding.facts.get("state") not in (State.FAILED, State.TERMINATED)

    def _give_up(self, handle: BotHandle, finding: Finding, holders: list[Identity]) -> None:
        pids = ", ".join(str(identity.pid) for identity in holders)
        if finding.outcome is Outcome.LEFTOVERS:
            message = "processes of an earlier generation hold its lock and do not end"
        else:
            message = "its lock is held, and whether by the bot cannot be verified from here"
        message += f": pid {pids}" if pids else "; who holds it cannot be seen from here (another pid namespace or user)"
        handle.last_exit = ExitRecord(Reason.CONFLICT, None, None, wall(), handle.generation, message=message)
        _log.error("adoption gives up", extra={"bot": handle.name, "outcome": finding.outcome, "holders": pids})
        handle.rest(Trigger.GIVE_UP, Reason.CONFLICT)


_UNSEEN = "it ended while neither psvd nor the keeper looked"


def _is_unclear(handle: BotHandle) -> bool:
    """Tell whether somebody unproven may still be the bot: its state is UNKNOWN, or was given up as that."""
    return handle.life.state is State.UNKNOWN or (handle.life.state is State.FAILED and handle.reason == Reason.CONFLICT)


def release_unused(fleet: Fleet, only: str | None = None) -> None:
    """Let the keeper drain and close the FIFOs of generations that are over, of all bots or of `only` one."""
    for pair in fleet.keeper.welcome["fifos"]:
        bot, generation = str(pair["bot"]), int(pair["generation"])
        if only in (None, bot) and not _is_in_use(fleet.handles.get(bot), generation):
            fleet.keeper.tell("release", bot=bot, generation=generation)


def _is_in_use(handle: BotHandle | None, generation: int) -> bool:
    if handle is None or handle.generation != generation:
        return False
    return handle.life.state in HAS_PROCESS or _is_unclear(handle)
