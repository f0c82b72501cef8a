"""One bot as a process: start it, watch it become ready, stop its whole tree, know how it ended.

The handle carries out; whether and when to start again is the policy's (supervisor/recovery.py), asked through
`Surroundings.on_end`. At most one process and one launch exist at any time; a stop asked during a launch waits for the
launch and then stops what was born.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.clock import boottime, mono, wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import LockHeld, SystemRefused, is_exhausted
from processsupervisor.kernel.identity import Identity, read_stat, send_signal, start_boottime
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger, Wanted
from processsupervisor.process.chores import Chores
from processsupervisor.process.condition import Condition
from processsupervisor.process.exits import OF_POLICY, ExitRecord, LastWords, conclude, ready_boottime_of, record_of
from processsupervisor.process.hooks import delay_stop
from processsupervisor.process.launcher import Launched
from processsupervisor.process.lifecycle import Lifecycle, Transition
from processsupervisor.process.patience import Alarm, Countdown, wait_patiently
from processsupervisor.process.pausing import Pausing
from processsupervisor.process.readiness import Readiness, too_late
from processsupervisor.process.record import BotRecord, override_of
from processsupervisor.process.stopping import KILL_AGAIN_S, UNKILLABLE_AFTER_S, LinkPort, Tree, kill_tree, stop_rungs, unkillable_note
from processsupervisor.process.surroundings import Surroundings
from processsupervisor.process.tree import twin_of
from processsupervisor.process.watch import ExitWatch

_log = logging.getLogger("psv.handle")
STATUS_PATIENCE_S = 1.0
_OVER_AT_START = (Reason.ADMIN, Reason.DEPENDENCY, Reason.BUDGET)
_ADOPTED_START_S = 3.0  # what an adopted bot that is past its start_timeout has left to say ready: it could not while no psvd listened


class BotHandle:
    """One bot of the fleet. All methods are called on psvd's loop; none of them waits unless it is a coroutine."""

    def __init__(self, spec: BotSpec, surroundings: Surroundings) -> None:
        self.spec = spec
        self.name = str(spec["name"])
        self.wanted = Wanted.UP
        self.generation = 0
        self._newest = 0  # of all generations; an older one may be the one that runs
        self.restarts = 0
        self.quick = 0  # restarts since the bot was last stable: what the delay grows with
        self.process: Identity | None = None
        self.group: str | None = None
        self.via = ""
        self.ready_at: float | None = None
        self.ready_boottime: float | None = None  # what uptime is counted from: no step of the wall clock moves it
        self.exited_at: float | None = None
        self.next_start_mono: float | None = None
        self.reason = ""
        self.waits_for = ""  # what keeps a start back that is wanted, in words
        self.last_exit: ExitRecord | None = None
        self.notes: list[str] = []
        self.link: LinkPort | None = None
        self.condition = Condition()
        self.secret_digest = ""
        self.unsaved_wanted: str | None = None  # what was said while psv.db could not be written
        self.life = Lifecycle(self.name, self._on_transition)
        self._around = surroundings
        self._record = BotRecord(surroundings.paths, self.name)
        self._watch = ExitWatch()
        self._reaper: int | None = None
        self._has_status = False
        self.override: Reason | None = None  # why psv itself ends the process, where that says more than its status
        self._last_words: LastWords = "", None  # for the record of an override
        self._killed_mono: float | None = None
        self._chores = Chores(self._on_step_failed)
        self._readiness = Readiness(surroundings.paths, self.name)
        self._alarm = Alarm()
        self.pausing = Pausing(self, self._alarm, surroundings.hooks)
        self._gone = asyncio.Event()

    # -- commands

    def start(self, reason: str = "") -> bool:
        """Begin a new generation; False when the state does not allow it."""
        if not self.life.can(Trigger.LAUNCH):
            return False
        self.generation = self._newest = self.next_generation
        self.process, self.ready_at, self.ready_boottime, self.next_start_mono, self.notes = None, None, None, None, []
        self.via = self._around.launcher.zygotes.origin(self.name)
        self._has_status, self.override, self._killed_mono, self._last_words = False, None, None, ("", None)
        self.reason = "" if self.reason in _OVER_AT_START else self.reason
        self._gone.clear()
        self._record.begin_life(self.name)
        secret = secrets.token_hex(16)
        self.secret_digest = hashlib.sha256(secret.encode()).hexdigest()
        self.life.fire(Trigger.LAUNCH, generation=self.generation, reason=reason)
        self._chores.begin(self._launch(secret))
        return True

    def stop(self, *, is_restart: bool = False, reason: Reason = Reason.ADMIN, within_s: float = float("inf")) -> bool:
        """Begin to stop, within `within_s` if that is less than its own time, to rest or start again; False when the state forbids it."""
        is_climbing = self.life.state in (State.STOPPING, State.RESTARTING)
        if not self.life.fire(Trigger.RESTART if is_restart else Trigger.STOP, generation=self.generation, reason=reason):
            return False
        self._alarm.clear()
        self.next_start_mono = None
        if self.life.state in (State.STOPPING, State.RESTARTING) and not is_climbing:
            self._chores.begin(self._stop_ladder(self.generation, within_s))
        return True

    def end(self, reason: Reason, why: str, *, is_restart: bool = False) -> bool:
        """Stop for a policy of psv's own; its reason and `why` will stand in the exit record. False when the state does not allow it."""
        if not self.life.can(Trigger.RESTART if is_restart else Trigger.STOP):
            return False
        self.override, self.notes = reason, [why, *self.notes]
        return self.stop(is_restart=is_restart, reason=reason)

    @property
    def next_generation(self) -> int:
        """Return the number that the next start will have."""
        return max(self._newest, self.generation) + 1

    def send_signal(self, number: int) -> bool:
        """Send a signal to the bot's first process; False when none runs."""
        return self.process is not None and send_signal(self.process, number)

    def kill_now(self) -> None:
        """SIGKILL the tree without further rungs; says so when a process does not even end by that."""
        kill_tree(self._around.paths, self.name, self.process, self.group)
        self._killed_mono = self._killed_mono or mono()
        if self.process is not None and not self.is_unkillable and mono() - self._killed_mono > UNKILLABLE_AFTER_S:
            self.notes.append(unkillable_note(self.process))
            _log.error("a process does not end by SIGKILL", extra={"bot": self.name, "pid": self.process.pid})

    @property
    def is_unkillable(self) -> bool:
        """Tell whether the bot's process was seen to survive SIGKILL."""
        return self.process is not None and unkillable_note(self.process) in self.notes

    @property
    def uptime_s(self) -> float | None:
        """Return the seconds since the bot became ready, suspend included; None when it is not."""
        return None if self.ready_boottime is None else max(0.0, boottime() - self.ready_boottime)

    @property
    def age_s(self) -> float:
        """Return how long ago the present generation began, suspend included; 0 when nobody noted it."""
        return self._record.age_s()

    # -- what happens to it

    def say_ready(self) -> None:
        """Note that the bot is ready; counts once a generation."""
        if self.life.state is not State.STARTING:
            return
        self._alarm.clear()
        self.ready_at, self.ready_boottime = wall(), boottime()
        self.life.fire(Trigger.READY, generation=self.generation)

    def put_down(self, reason: Reason, message: str = "", dump: dict[str, object] | None = None) -> None:
        """Kill the tree of a bot that cannot go on, until it is gone; an exit that nobody asked for, with this reason and message."""
        self.override, self._last_words = reason, (message, dump)
        self.note()
        self._kill_until_gone()

    def _kill_until_gone(self) -> None:
        self._alarm.judge(KILL_AGAIN_S, self._kill_until_gone)
        self.kill_now()

    def on_status(self, status: int | None, at: float) -> None:
        """Take the wait status of this generation's process: from the keeper, or None for what its pidfd still tells."""
        if self._has_status or self.process is None:
            return
        self._has_status = True
        self._around.launcher.zygotes.look(self.via)  # it looks while the exit is noted here
        record = record_of(self._around.paths, self.name, self.generation, self._watch.status() if status is None else status, at)
        twin = twin_of(self._around.paths, self.name, self.generation, self.process)
        if twin is not None:
            # A zygote that died before it could say so had forked it. What ended was the second of its generation: no exit of the bot.
            self._on_launched(Launched(twin, self.via, self.group, self.notes))
            if self.life.state in (State.STOPPING, State.RESTARTING) and self.link is None:
                stop_rungs(self.spec["stop"], None, self.send_signal, self.kill_now)[0].act()  # the ladder's went to the other
            return
        self._close_process()
        self._chores.begin(self._clear_away(record))

    def adopt(self, identity: Identity, generation: int, facts: dict[str, Any]) -> None:
        """Take over a running process found by a new psvd; `facts` is the record of its last supervisor."""
        self._alarm.clear()
        self._newest, self.next_start_mono = max(self._newest, self.generation), None
        self.generation = generation
        self.group = facts.get("group")
        self.via = str(facts.get("via") or "")
        self.restarts = int(facts.get("restarts") or self.restarts)
        self.secret_digest = str(facts.get("secret_digest") or "")
        self.notes = [str(n) for n in facts.get("notes") or []]
        self.override = override_of(facts)
        self._record.resume_life(facts)
        self.life.fire(Trigger.ADOPT, generation=generation, reason="adopted")
        found = read_stat(identity.pid)
        self._attach(identity, found[1] if found is not None else self._around.keeper.pid)
        if facts.get("is_ready"):
            self.ready_at, self.ready_boottime = facts.get("ready_at"), ready_boottime_of(facts)
            self.life.fire(Trigger.READY, generation=generation, reason="adopted")
            if facts.get("state") == State.PAUSED:
                self.life.fire(Trigger.PAUSED, generation=generation, reason="adopted")
            self.note()
        self._see_to(max(_ADOPTED_START_S, self.spec["start_timeout_s"] - self._record.age_s()), boottime() - start_boottime(identity))

    def learn_secret(self, digest: str) -> None:
        """Take the digest of this generation's secret, lost with its record."""
        self.secret_digest = digest
        self.note()

    def rest(self, state_trigger: Trigger, reason: str) -> None:
        """Leave the present state without a process: give up, complete, stop or lose, as the policy says."""
        self.reason, self.next_start_mono = reason, None
        self._alarm.clear()
        self.life.fire(state_trigger, generation=self.generation, reason=reason)

    def plan_start(self, delay_s: float, start: Callable[[], object]) -> None:
        """Call `start` after `delay_s`, unless a command comes first."""
        self.next_start_mono = mono() + delay_s
        self._alarm.later(delay_s, start)
        self.note()

    def close(self) -> None:
        """Forget the bot without touching its process; psvd ends."""
        self._alarm.clear()
        self._chores.cancel()
        self._close_process()
        self._record.close()

    # -- inside

    async def _launch(self, secret: str) -> None:
        try:
            if why := await self._around.hooks.before(self.name, "start"):
                raise SystemRefused(why)
            address = self._readiness.open_address(self.spec["ready"])
            launched = await self._around.launcher.launch(self.spec, self.generation, secret=secret, notify_socket=address)
        except Exception as err:  # noqa: BLE001 - whatever it is, a launch that failed must leave STARTING
            self._on_launch_failed(err)
            return
        self._on_launched(launched)

    def _on_launched(self, launched: Launched) -> None:
        self.via, self.group, self.notes = launched.via, launched.group, launched.notes
        self._attach(launched.identity, self._around.keeper.pid)
        self.note()
        self._see_to(self.spec["start_timeout_s"])

    def _see_to(self, timeout_s: float, age_s: float = 0.0) -> None:
        """Wait for a process, which has run for `age_s`, to be ready; or go on to kill it, if psv was at that when it came to be known."""
        if self.override is not None and self.override not in OF_POLICY:
            self._kill_until_gone()
        elif self.life.state is State.STARTING and self.process is not None:
            self._alarm.judge(timeout_s, self._on_start_timeout)
            self._readiness.watch(self.spec["ready"], self.process.pid, self.say_ready, age_s)

    def _on_launch_failed(self, err: Exception) -> None:
        is_without_fault = is_exhausted(err) or (self._around.keeper.pid is None and not isinstance(err, LockHeld))
        if is_without_fault and self.life.state is State.STARTING:
            # No exit is noted, no restart burnt. The supervisor starts the bot again when the system has room, or a keeper.
            self._close_process()
            self.reason = Reason.START_FAILED
            self.life.fire(Trigger.EXIT, generation=self.generation, reason=Reason.START_FAILED)
            self._around.on_refused(self.name, str(err))
            return
        reason = Reason.LOCK_HELD if isinstance(err, LockHeld) else Reason.START_FAILED
        self._has_status = True
        self._finish(ExitRecord(reason, None, None, wall(), self.generation, message=str(err)))

    def _attach(self, identity: Identity, reaper: int | None) -> None:
        """Watch a process. It may be gone already: then its status is on the way, or was here before us."""
        self.process, self._reaper, self._has_status = identity, reaper, False
        self._gone.clear()
        is_alive = self._watch.begin(identity, self._expect_status)
        self._around.on_born(self.name, identity)
        if not is_alive and not self._has_status:
            self._expect_status()

    def _expect_status(self) -> None:
        """The process is gone. The keeper, if it is the one that reaps it, has a moment to say how."""
        wait_s, process = STATUS_PATIENCE_S if self._is_of_present_keeper() else 0.0, self.process
        Countdown(wait_s, lambda: self.on_status(None, wall()) if self.process is process else None)

    def _is_of_present_keeper(self) -> bool:
        return self._around.keeper.pid is not None and self._around.keeper.pid == self._reaper

    def _on_start_timeout(self) -> None:
        if self.life.state is State.STARTING:
            self.put_down(Reason.START_TIMEOUT, too_late(self.spec["ready"], float(self.spec["start_timeout_s"])))

    async def _stop_ladder(self, generation: int, within_s: float = float("inf")) -> None:
        """Climb until the process is gone; a launch that is under way ends first, by its own deadline."""
        while self.process is None and not self._has_status:
            await asyncio.sleep(0.01)
        stop = self.spec["stop"] if self.process is None else await delay_stop(self._around.hooks, self.name, self.spec["stop"], within_s)
        rungs = stop_rungs(stop, self.link, self.send_signal, self.kill_now)
        while generation == self.generation and not self._gone.is_set():
            rung = rungs.pop(0) if len(rungs) > 1 else rungs[0]
            reach(CrashPoint.PSVD_BEFORE_RUNG)
            rung.act()
            reach(CrashPoint.PSVD_AFTER_RUNG)
            await wait_patiently(self._gone, rung.patience_s)

    async def _clear_away(self, record: ExitRecord) -> None:
        """Kill what the bot left behind, then finish; a group that stays populated is shown, never doubled."""
        record.uptime_s = self.uptime_s
        # What a bot of an earlier keeper left behind is not among the present one's children: look everywhere.
        keeper_pid = self._reaper if self._is_of_present_keeper() and record.reason is not Reason.LOCK_HELD else None
        tree = Tree(self._around.paths, self.name, self.process.pid if self.process else None, keeper_pid, self.group, self._around.search)
        try:
            await tree.clear(record, self._around.known_pids(), is_asked=self.life.state in (State.STOPPING, State.RESTARTING))
        except Exception as err:  # noqa: BLE001 - whatever it is, an exit must be followed
            record.message = f"{record.message}; what it left behind could not be looked for: {err}".lstrip("; ")
        self._finish(record)

    def _finish(self, record: ExitRecord) -> None:
        conclude(record, self.override, self._last_words, self.notes, is_asked=self.life.state in (State.STOPPING, State.RESTARTING))
        self.process, self.link, self.condition = None, None, Condition()
        self.exited_at, self.last_exit, self.reason = record.at, record, record.reason
        self._alarm.clear()
        self._gone.set()
        self._around.keeper.tell("release", bot=self.name, generation=record.generation)
        self._around.on_end(self.name, record)

    def _close_process(self) -> None:
        self._watch.end()
        self._readiness.close()

    def _on_transition(self, transition: Transition) -> None:
        self.note()
        self._around.on_transition(transition)

    def note(self) -> None:
        """Put on disk what a later psvd must know; written before the act it announces."""
        self._record.write(self)

    def _on_step_failed(self, raised: BaseException) -> None:
        """Nothing a step of ours raises may leave the bot where it is: say it, and bring a stop to its end."""
        _log.error("a step of a bot failed", extra={"bot": self.name, "state": self.life.state}, exc_info=raised)
        if self.life.state in (State.STOPPING, State.RESTARTING) and self.process is not None:
            self._alarm.judge(KILL_AGAIN_S, lambda: self._chores.begin(self._stop_ladder(self.generation)))
