"""One task: a bot with a schedule, how far its time is dealt with, and its open runs. What is done about them is tasks.py's."""

from __future__ import annotations

from typing import Any

from processsupervisor.config.spec import ScheduleSpec
from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.identity import start_boottime
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.adoption import Outcome
from processsupervisor.supervisor.runs import Mark, Run, Runs, RunState
from processsupervisor.supervisor.schedule import Due, Schedule, schedule_key

_A_DAY_S = 86400.0
"""A clock that is set back by more was altogether wrong: then no task waits for that time to come again."""


class Task:
    """One bot that is a task: its schedule, its mark, its open runs."""

    def __init__(self, handle: BotHandle, spec: ScheduleSpec, runs: Runs) -> None:
        self.handle, self.spec = handle, spec
        self._key = schedule_key(spec)
        kept = runs.mark(handle.name)
        if kept is not None and kept.schedule == self._key:
            self.mark = kept
            self.schedule = Schedule(spec, handle.name, kept.anchor)
        else:
            self.anew(runs)
        self.queue = [run for run in runs.open(handle.name) if run.state is RunState.QUEUED]
        self.running = next((run for run in runs.open(handle.name) if run.state is RunState.RUNNING), None)
        self.next = self.schedule.next_after(self.mark.at)

    def anew(self, runs: Runs) -> None:
        """Schedule from now on: what was due before is nobody's concern."""
        now = wall()
        self.mark = Mark(self._key, now, now)
        self.schedule = Schedule(self.spec, self.handle.name, now)
        self.next = self.schedule.next_after(now)
        runs.set_mark(self.handle.name, self.mark)

    def move(self, mark_at: float) -> Mark:
        """Return the mark at another time."""
        return Mark(self._key, self.mark.anchor, mark_at)

    def set_back(self, now: float, runs: Runs) -> None:
        """Follow a clock that was set back: what was dealt with since is known by its due time, as far back as results are kept."""
        known_from = runs.known_from(self.handle.name, self.spec["keep"]) if self.mark.at - now < _A_DAY_S else now
        self.mark = self.move(min(self.mark.at, max(now, known_from)))
        self.next = self.schedule.next_after(self.mark.at)

    @property
    def next_run(self) -> Due | None:
        """Return the next occurrence, None while nobody wants the task."""
        return None if self.handle.wanted is Wanted.DOWN else self.next

    @property
    def is_forsaken(self) -> bool:
        """Tell whether a run is open of which no process can be any more, nor will be: a command came while nobody could tell."""
        state, reason = self.handle.life.state, self.handle.reason
        is_resting = state in (State.STOPPED, State.TERMINATED) or (state is State.FAILED and reason != Reason.CONFLICT)
        return self.running is not None and is_resting and not self.handle.waits_for

    def left_s(self) -> float | None:
        """Return how long the present run may still take; None without a limit or a process."""
        timeout_s, process = self.spec["timeout_s"], self.handle.process
        if timeout_s is None or process is None or self.handle.life.state is State.STOPPING:
            return None
        return timeout_s - (boottime() - start_boottime(process))

    def settle(self) -> None:
        """Wait in TERMINATED, if the task is wanted and has nothing to do."""
        handle = self.handle
        if handle.wanted is Wanted.DOWN:
            return
        if handle.life.state is State.STOPPED:
            handle.life.fire(Trigger.RESTART, generation=handle.generation)
        if handle.life.state in (State.INITIALIZING, State.RECOVERING):
            handle.rest(Trigger.COMPLETE, "")

    def never_began(self, run: Run, outcome: Outcome, facts: dict[str, Any]) -> bool:
        """Tell whether it is proven that no process of the run was ever born."""
        if outcome is Outcome.UNBORN or self.handle.generation < run.generation:
            return True
        return facts.get("generation") == run.generation and facts.get("state") in (State.INITIALIZING, State.RECOVERING)
