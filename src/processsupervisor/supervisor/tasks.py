"""Tasks: bots that run when their time comes and end. Wakes for what is due, begins it, and notes what became of it.

The times are schedule.py's, the policy for missed ones due.py's, what is durable runs.py's. Between its runs a task rests:
TERMINATED after a run that went well (or none yet), FAILED after one that did not. Nothing but an open run starts a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from processsupervisor.config.spec import ScheduleSpec
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import Refused, SystemRefused
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Trigger, Wanted
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.lifecycle import Transition
from processsupervisor.supervisor.adoption import Outcome
from processsupervisor.supervisor.due import MAX_MISSED, Why, plan
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.runs import Run, Runs, RunState
from processsupervisor.supervisor.schedule import zone_problem
from processsupervisor.supervisor.store import Store
from processsupervisor.supervisor.task import Task

_log = logging.getLogger("psv.tasks")
LOOK_EVERY_S = 10.0
"""So long psvd sleeps at the most: a wall clock that is set forward is noticed by then."""
_ROUNDING_S = 0.001
_TRY_AGAIN_S = 1.0
"""So soon what was due and could not be noted is tried again."""
MAX_QUEUED = MAX_MISSED
_UNSEEN = "its end was seen by nobody; it is not run again for the same time"


class FleetAround(Protocol):
    """What of the fleet a task needs."""

    store: Store
    events: Events
    is_going_down: bool

    @property
    def can_start(self) -> bool:
        """Tell whether anything can be started now."""
        ...

    def start(self, handle: BotHandle, reason: str = "") -> bool:
        """Start a bot unless something forbids it."""
        ...


class Tasks:
    """All tasks of a fleet."""

    def __init__(self, fleet: FleetAround, handles: Mapping[str, BotHandle]) -> None:
        self._fleet = fleet
        self.runs = Runs(fleet.store)
        self._tasks: dict[str, Task] = {}
        self._named: dict[str, BotHandle] = {}
        """All bots that are meant to be tasks, also those whose schedule cannot be used."""
        self._look = asyncio.Event()
        self.runs.forget_others(handles)
        for handle in handles.values():
            self.take(handle)

    def take(self, handle: BotHandle) -> None:
        """Take in a bot that is a task, or whose schedule is another than before; or let go of one that is none any more."""
        spec, known = handle.spec.get("schedule"), self._tasks.get(handle.name)
        if known is not None and known.handle is handle and known.spec == spec:
            return
        self.drop(handle.name)
        if spec is None:
            return
        self._named[handle.name] = handle
        if spec["cron"] or spec["every_s"] or spec["at"]:  # else its table cannot be read: it is FAILED, and says so
            self._add(handle, spec)
        self._look.set()

    def drop(self, name: str) -> None:
        """Let go of a bot; what is noted of its runs stays."""
        self._named.pop(name, None)
        self._tasks.pop(name, None)

    def _add(self, handle: BotHandle, spec: ScheduleSpec) -> None:
        try:
            self._tasks[handle.name] = Task(handle, spec, self.runs)
        except Exception as err:  # noqa: BLE001 - time zones or croniter went from this machine since check: the other bots live on
            _log.error("a schedule cannot be used", extra={"bot": handle.name, "error": str(err)})
            handle.spec["error"], handle.spec["error_rechecks"] = f"its schedule cannot be used: {err}; see psv check", False

    def get(self, name: str) -> Task | None:
        """Return the task of a bot, None when it is none."""
        return self._tasks.get(name)

    def zone_problem(self) -> str:
        """Return what is wrong with the machine's time zone, if a task goes by it."""
        return next((problem for task in self._tasks.values() if (problem := zone_problem(task.spec))), "")

    def next_run_at(self, name: str) -> float | None:
        """Return when a bot's next run begins, None when none is to come."""
        task = self._tasks.get(name)
        due = task.next_run if task is not None else None
        return due.begin_at if due is not None else None

    async def run(self) -> None:
        """Begin what is due, for ever."""
        self._fleet.store.flush()
        while True:
            self._look.clear()
            if not self._tasks:
                await self._look.wait()
            for number, task in enumerate(list(self._tasks.values())):
                if number % 20 == 0:
                    await asyncio.sleep(0)
                try:
                    self._attend(task)
                except Exception:  # noqa: BLE001 - one task must not end psvd
                    _log.exception("a task could not be attended to", extra={"bot": task.handle.name})
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._look.wait()
            except TimeoutError:
                continue

    def _wait_s(self) -> float:
        now = wall()
        waits = [due.begin_at - now for task in self._tasks.values() if (due := task.next_run) is not None]
        waits += [left_s for task in self._tasks.values() if (left_s := task.left_s()) is not None]
        wait_s = min(waits, default=LOOK_EVERY_S)
        return min(LOOK_EVERY_S, wait_s + _ROUNDING_S if wait_s > 0 else _TRY_AGAIN_S)

    def _attend(self, task: Task) -> None:
        if self._fleet.is_going_down or task.handle.life.state is State.UNKNOWN:
            return
        if task.handle.wanted is not Wanted.DOWN:
            self._note_due(task)
        if task.is_forsaken:
            self.note_end(task.handle, ExitRecord(Reason.UNKNOWN, None, None, wall(), task.handle.generation, message=_UNSEEN))
        left_s = task.left_s()
        if left_s is not None and left_s <= 0:
            task.handle.end(Reason.TIMEOUT, f"it ran longer than its timeout of {task.spec['timeout_s']:g} s")
        self._launch(task)

    def _note_due(self, task: Task) -> None:
        """Queue what has become due; nothing is dealt with that could not be noted."""
        now, name = wall(), task.handle.name
        if now < task.mark.at:
            task.set_back(now, self.runs)
        if task.next is None or now < task.next.begin_at:
            return
        found = plan(task.schedule, task.spec["missed"], task.mark.at, now, lambda at: self.runs.is_known(name, at))
        if found is None:
            return
        reach(CrashPoint.PSVD_BEFORE_RUN_QUEUED)
        mark = task.move(found.mark)
        left_out = None if found.left_out is None else (found.left_out.at, f'missed = "{task.spec["missed"]}"')
        if not self.runs.queue(name, [(due.at, why) for due, why in found.runs], left_out, mark):
            task.handle.reason = Reason.DISK  # due as before; tried again
            return
        reach(CrashPoint.PSVD_RUN_QUEUED)
        task.mark, task.next = mark, task.schedule.next_after(found.mark)
        if left_out is not None:
            self._fleet.events.tell("task", bot=name, state=RunState.SKIPPED, due_at=left_out[0], message=left_out[1])
        self._take_queue(task)

    def _take_queue(self, task: Task) -> None:
        """Read the queue again, and let the overlap policy decide about what came while a run goes on."""
        known = {run.id for run in task.queue}
        new = [run for run in self.runs.open(task.handle.name) if run.state is RunState.QUEUED and run.id not in known]
        task.queue = sorted([*task.queue, *new], key=lambda run: (run.due_at, run.id))
        if task.running is None:
            return
        for run in new:
            if run.why is Why.MISSED and task.spec["missed"] == "all":
                continue  # they are made up for one after the other
            if task.spec["overlap"] == "skip":
                self._skip(task, run, "the run before went on")
            elif task.spec["overlap"] == "kill":
                self._end_for_next(task)
        for run in task.queue[:-MAX_QUEUED]:
            self._skip(task, run, f"more than {MAX_QUEUED} runs wait")

    def _end_for_next(self, task: Task) -> None:
        for run in task.queue[:-1]:
            self._skip(task, run, "a newer run took its place")
        if task.handle.life.state in HAS_PROCESS - {State.STOPPING}:
            task.handle.end(Reason.ADMIN, "ended because its next run was due")

    def _skip(self, task: Task, run: Run, message: str) -> None:
        self.runs.skip(run, message)
        task.queue.remove(run)
        self._fleet.events.tell("task", bot=run.bot, state=run.state, due_at=run.due_at, message=message)

    def _launch(self, task: Task) -> None:
        """Begin the oldest queued run if nothing of the task runs."""
        handle = task.handle
        if not task.queue or task.running is not None or not self._fleet.can_start:
            return
        if not handle.life.can(Trigger.LAUNCH):
            return
        run = task.queue[0]
        if not self.runs.begin(run, handle.next_generation):
            handle.reason = Reason.DISK
            return
        reach(CrashPoint.PSVD_RUN_BEGUN)
        task.running = task.queue.pop(0)
        self._fleet.events.tell("task", bot=run.bot, state=run.state, due_at=run.due_at, message=str(run.why))
        self._fleet.start(handle, "task")
        if handle.life.state is State.FAILED and task.running is run and handle.last_exit is not None and not handle.waits_for:
            self.note_end(handle, handle.last_exit)  # refused before it was launched: its settings are wrong

    # -- what the fleet tells

    def holds_back(self, handle: BotHandle) -> bool:
        """Tell whether this is a task of which no run is to begin: then it is put to rest instead of being started."""
        task = self._tasks.get(handle.name)
        if task is None or task.running is not None:
            return False
        task.settle()
        return True

    def on_transition(self, transition: Transition) -> None:
        """Follow the generation that carries a run, also one that was born after its launch had been given up."""
        task = self._tasks.get(transition.bot)
        if task is not None and task.running is None and transition.trigger is Trigger.ADOPT:
            task.running = self.runs.reopen(transition.bot, transition.generation)
        if task is not None and task.running is not None and transition.trigger in (Trigger.LAUNCH, Trigger.ADOPT):
            self.runs.follow(task.running, transition.generation)
            self._look.set()

    def note_end(self, handle: BotHandle, record: ExitRecord) -> None:
        """Note the end of the run that this exit ended, to be committed together with it."""
        task = self._tasks.get(handle.name)
        if task is None or task.running is None:
            return
        run, task.running = task.running, None
        self.runs.end(run, record)
        self.runs.prune(handle.name, task.spec["keep"])
        self._fleet.events.tell("task", bot=run.bot, state=run.state, due_at=run.due_at, reason=record.reason, message=record.message)

    def rest(self, handle: BotHandle, record: ExitRecord) -> bool:
        """Let a task rest after an exit that is noted; False when the bot is no task."""
        task = self._tasks.get(handle.name)
        if task is None:
            return False
        is_asked = handle.life.state in (State.STOPPING, State.RESTARTING)
        if record.reason is not Reason.CLEAN and not (is_asked and record.reason is Reason.ADMIN):
            handle.rest(Trigger.GIVE_UP, record.reason)
        elif is_asked:
            handle.life.fire(Trigger.EXIT, generation=handle.generation, reason=record.reason, exit_code=record.exit_code)
        else:
            handle.rest(Trigger.COMPLETE, record.reason)
        if not self._fleet.is_going_down:
            task.settle()
        self._look.set()
        return True

    def recall(self, handle: BotHandle, outcome: Outcome, facts: dict[str, Any]) -> None:
        """Say what became of a run that was open when the last psvd ended, now that it is known what runs."""
        task = self._tasks.get(handle.name)
        if task is None or task.running is None or outcome in (Outcome.ADOPT, Outcome.LEFTOVERS, Outcome.CANNOT_TELL):
            return
        run = task.running
        record = self._fleet.store.exit_of(handle.name, run.generation)
        if record is not None:
            self.note_end(handle, record)
        elif run.boot_id == boot_id() and task.never_began(run, outcome, facts):
            self.runs.put_back(run)
            task.running, task.queue = None, [run, *task.queue]
        else:
            self.note_end(handle, ExitRecord(Reason.UNKNOWN_WHILE_UNSUPERVISED, None, None, wall(), run.generation, message=_UNSEEN))

    # -- what people want

    def schedule(self, handle: BotHandle) -> str:
        """Schedule a task again if it was not; returns when it runs next, in words."""
        task = self._tasks[handle.name]
        if handle.wanted is Wanted.DOWN:
            task.anew(self.runs)
            self._look.set()
        if task.running is not None and handle.life.state in HAS_PROCESS - {State.STOPPING}:
            return f"its run goes on; {'the next one begins when its time comes' if task.next is not None else 'no other is to come'}"
        return "runs when its time comes" if task.next is not None else "no run is to come"

    def unschedule(self, handle: BotHandle) -> None:
        """Forget what waits: nothing runs until the task is started again."""
        task = self._tasks.get(handle.name)
        if task is None:
            return
        for run in list(task.queue):
            self._skip(task, run, "the task was stopped")
        if handle.life.state in (State.INITIALIZING, State.RECOVERING) or handle.waits_for:  # its launch waits, and will not come
            self.note_end(handle, ExitRecord(Reason.ADMIN, None, None, wall(), handle.generation, message="stopped before it began"))

    def call(self, handle: BotHandle) -> Run:
        """Run a task now, as its overlap policy says. Raises Refused while it runs (skip), SystemRefused when it cannot be noted."""
        task = self._tasks[handle.name]
        if task.running is not None and task.spec["overlap"] == "skip":
            raise Refused(f"{handle.name} runs already", hint='overlap = "queue" or "kill" in its schedule allows another run')
        if not self.runs.call(handle.name):
            raise SystemRefused(f"a run of {handle.name} cannot be noted: {self._fleet.store.problem}", hint="see psv status")
        self._take_queue(task)
        run = self.runs.newest(handle.name, 1)[0]
        run = next((queued for queued in task.queue if queued.id == run.id), run)
        self._launch(task)
        return run

    def find(self, name: str, number: int) -> Run | None:
        """Return one run of a task by its number, None when it is not kept."""
        task = self._tasks[name]
        is_open = [run for run in (task.running, *task.queue) if run is not None and run.id == number]
        return is_open[0] if is_open else self.runs.get(name, number)

    async def wait_for(self, run: Run, timeout_s: float) -> bool:
        """Wait until a run is over, one way or the other; False at the deadline."""
        with self._fleet.events.queue() as queue, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while run.state in (RunState.QUEUED, RunState.RUNNING):
                    await queue.get()
        return run.state in (RunState.ENDED, RunState.SKIPPED)

    def describe(self, name: str) -> dict[str, object] | None:
        """Return the object of `psv task list --json`, None for what is no task."""
        if (handle := self._named.get(name)) is None:
            return None
        task = self._tasks.get(name)
        newest = [run for run in self.runs.newest(name, 20) if run.state is RunState.ENDED]
        return {
            "name": name, "schedule": dict(handle.spec["schedule"] or {}), "state": handle.life.state, "wanted": handle.wanted,
            "next_run_at": self.next_run_at(name), "queued": len(task.queue) if task is not None else 0,
            "running": task.running.to_json() if task is not None and task.running is not None else None,
            "last": newest[-1].to_json() if newest else None, "error": handle.spec["error"],
        }  # fmt: skip
