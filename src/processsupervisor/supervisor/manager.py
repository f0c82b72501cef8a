"""What people can do with the fleet: psvd's implementation of the port that all commands are written against.

Commands set what is wanted and let the handles move; `wait` only watches. Commands on one bot never wait for another bot,
and a newer one supersedes an older one on the same bot (I4).
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import logging
import signal
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial

from processsupervisor.commands.ports import ASKING, Asked, Caller, Emit
from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.errors import NoSuchBot, Refused, UsageError
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Trigger, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor import view
from processsupervisor.supervisor.changes import Changes
from processsupervisor.supervisor.dependencies import has_completed
from processsupervisor.supervisor.descent import Descent
from processsupervisor.supervisor.fleet import RESTING, Fleet
from processsupervisor.supervisor.gates import ANEW
from processsupervisor.supervisor.handover import hand_over
from processsupervisor.supervisor.letters import LetterDesk
from processsupervisor.supervisor.notes import notes_of, own_processes
from processsupervisor.supervisor.permits import refuse_wrong, want_up
from processsupervisor.supervisor.rollout import Rollouts
from processsupervisor.supervisor.runs import Run, RunState
from processsupervisor.version import __version__

_log = logging.getLogger("psv.manager")
_READY = frozenset({State.RUNNING, State.PAUSED})
_WANTED_DOWN = "a newer command wants it down"


class Manager:
    """Implements commands.ports.FleetPort over a Fleet."""

    def __init__(self, fleet: Fleet, descent: Descent, config: Changes, letters: LetterDesk) -> None:
        self._fleet = fleet
        self.config = config
        self._descent = descent
        self._letters = letters
        self._rollouts = Rollouts(fleet)
        config.is_rolling = lambda: self._rollouts.is_under_way

    @property
    def is_rolling(self) -> bool:
        """Tell whether processes are being replaced, for another zygote or other settings."""
        return self._rollouts.is_under_way or self.config.is_under_way

    # -- the fleet

    async def status(self) -> dict[str, object]:
        """See FleetPort."""
        fleet, config = self._fleet, self.config.status()
        counts: dict[str, int] = {}
        for handle in fleet.handles.values():
            counts[handle.life.state] = counts.get(handle.life.state, 0) + 1
        return {
            "fleet": fleet.settings["name"],
            "folder": str(fleet.paths.folder),
            "version": __version__,
            "config_differs": config["differs"],
            "config": config,
            "processes": own_processes(fleet),
            "bots": counts,
            "adoption": fleet.adoption,
            "notes": notes_of(fleet) + self._rollouts.notes() + self.config.notes(),
            "web": fleet.web.url(),
        }

    async def down(self, timeout_s: float | None, emit: Emit) -> dict[str, object]:
        """See FleetPort; a second call hastens the first."""
        with self._fleet.events.queue() as queue:
            task = self._descent.begin(timeout_s, 0)
            task.add_done_callback(lambda _: queue.put_nowait({}))
            while event := await queue.get():
                await emit(event)
        return {"stopped": await task}

    async def watch(self, emit: Emit) -> None:
        """See FleetPort."""
        with self._fleet.events.queue() as queue:
            await emit({"kind": "snapshot", "bots": [self.describe(n) for n in self._fleet.handles]})
            while True:
                event = await queue.get()
                await emit(event)
                if event.get("kind") == "down":
                    return

    async def rollout(self, names: Sequence[str], batch: int | None, emit: Emit) -> dict[str, object]:
        """See FleetPort."""
        if self.config.is_under_way:
            raise Refused("a change of the configuration is under way", hint="wait for its end; psv status shows how far it is")
        return await self._rollouts.run([self._act(name) for name in names], batch, emit)

    def hand_over(self, resting: Sequence[str]) -> dict[str, object]:
        """See FleetPort."""
        return hand_over(self._fleet, resting, is_rolling=self.is_rolling)

    async def wait(self, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        deadline = mono() + timeout_s
        wanted = [h for h in self._fleet.handles.values() if h.wanted is not Wanted.DOWN]
        await asyncio.gather(*(h.life.wait_until(partial(view.is_settled, h), max(0.0, deadline - mono())) for h in wanted))
        while self._fleet.web.is_enabled and self._fleet.web.url() is None and not self._fleet.web.problem and mono() < deadline:
            await asyncio.sleep(0.05)  # the web process says where it listens in a file
        is_well = {h.name: h.life.state in _READY or (h.life.state is State.TERMINATED and self._is_task(h.name)) for h in wanted}
        not_ready = [h for h in wanted if not is_well[h.name] and not has_completed(h)]
        return {
            "ready": [h.name for h in wanted if is_well[h.name]],
            "not_ready": [{"name": h.name, "state": h.life.state, "reason": h.reason, "message": view.why_not_ready(h)} for h in not_ready],
            "web": self._fleet.web.url(),
        }

    def audit(self, caller: Caller, op: str, args: Mapping[str, object]) -> None:
        """See FleetPort."""
        self._fleet.store.add_audit(wall(), caller.name, op, json.dumps(dict(args)))
        self._fleet.events.tell("command", op=op, by=caller.name, args=dict(args))
        _log.info("command", extra={"op": op, "caller": caller.name})

    # -- bots

    def select(self, names: Sequence[str], type_name: str | None) -> list[str]:
        """See FleetPort."""
        handles = self._fleet.handles
        chosen: set[str] = set()
        for pattern in names:
            found = fnmatch.filter(handles, pattern)
            if not found:
                near = get_close_matches(pattern, handles, 1)
                raise NoSuchBot(f'no bot is named "{pattern}"', hint=f'did you mean "{near[0]}"?' if near else "see psv ls")
            chosen.update(found)
        if not names:
            chosen.update(handles)
        if type_name is not None:
            types = {str(h.spec["type"]) for h in handles.values() if h.spec["type"]}
            if type_name not in types:
                raise NoSuchBot(f'no bot is of type "{type_name}"', hint=f"types in use: {', '.join(sorted(types)) or 'none'}")
            chosen = {n for n in chosen if handles[n].spec["type"] == type_name}
        return [n for n in handles if n in chosen]

    def describe(self, name: str) -> dict[str, object]:
        """See FleetPort."""
        handle = self._fleet.handles[name]
        shown = view.describe(handle, self._fleet.sampler.get(name, handle.process), self._fleet.tasks.next_run_at(name))
        return shown | {"messages": self._fleet.care.messages(handle), "waits_on": self._fleet.line.waits_on(name)}

    def detail(self, name: str) -> dict[str, object]:
        """See FleetPort."""
        fleet, handle = self._fleet, self._fleet.handles[name]
        sample, next_run_at = fleet.sampler.get(name, handle.process), fleet.tasks.next_run_at(name)
        more = {"messages": fleet.care.messages(handle), "waits_on": fleet.line.waits_on(name)} | fleet.care.vitals(handle)
        return view.detail(handle, sample, next_run_at, is_hooked=fleet.hooks.is_before_start(name)) | more

    async def start(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        """See FleetPort; a running bot stays as it is."""
        handle = self._act(name)
        if self._is_task(name):
            refuse_wrong(self._fleet, handle)
            return self._schedule(handle)
        if handle.life.state in HAS_PROCESS - {State.STOPPING}:
            refuse_wrong(self._fleet, handle)
            if handle.wanted is Wanted.DOWN:
                self._fleet.want(handle, Wanted.UP)
                handle.pausing.follow()
            return self._result(handle, True, view.words_of_running(handle))
        await want_up(self._fleet, handle, no_deps=no_deps)
        if handle.wanted is Wanted.DOWN:
            return self._result(handle, False, _WANTED_DOWN, "superseded")
        first = handle.next_generation
        if handle.life.state is State.STOPPING:
            handle.stop(is_restart=True)
        else:
            self._fleet.start(handle, "command")
        return await self._settle(handle, _READY, wait, timeout_s, first)

    async def stop(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        handle = self._act(name)
        self._fleet.tasks.unschedule(handle)
        self._fleet.want(handle, Wanted.DOWN)
        self._fleet.dependencies.waived.discard(name)
        await asyncio.sleep(0)  # what the same command says of its dependents is known then
        if handle.wanted is not Wanted.DOWN:
            return self._result(handle, False, "a newer command wants it up", "superseded")
        if handle.life.state in (State.STOPPED, State.TERMINATED):
            return self._result(handle, True, "is not running")
        self._fleet.unwinding.stop(handle)
        return await self._settle(handle, frozenset({State.STOPPED}), wait, timeout_s, handle.generation)

    async def restart(self, name: str, wait: bool, timeout_s: float, no_deps: bool = False) -> dict[str, object]:
        """See FleetPort; a bot that does not run is started."""
        handle = self._act(name)
        if self._is_task(name):
            refuse_wrong(self._fleet, handle)
            return self._schedule(handle)  # each run takes the code on disk by itself
        await want_up(self._fleet, handle, no_deps=no_deps, is_restart=True)
        if handle.wanted is Wanted.DOWN:
            return self._result(handle, False, _WANTED_DOWN, "superseded")
        before, first = handle.generation, handle.next_generation
        self._fleet.events.tell("restart", bot=name, reason=Reason.ADMIN, by=ASKING.get(), delay_s=0.0)
        if handle.life.state not in HAS_PROCESS:
            self._fleet.start(handle, ANEW)
        if handle.life.state in HAS_PROCESS and handle.generation == before:  # it runs, or was found to run after all
            handle.stop(is_restart=True)
        deadline = mono() + timeout_s
        if wait:
            await handle.life.wait_until(lambda: handle.generation != before or handle.life.state in RESTING, timeout_s)
        return await self._settle(handle, _READY, wait, max(0.0, deadline - mono()), first)

    async def pause(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        handle = self._native(name, "pause")
        if handle.life.state in (State.PAUSED, State.PAUSING):
            self._want_anew(handle, Wanted.PAUSED)
            return self._result(handle, True, "is paused already")
        if not handle.life.can(Trigger.PAUSE) or handle.link is None:
            raise Refused(f"{name} is {handle.life.state} and cannot be paused now", hint=f"see psv bot status {name}")
        self._fleet.want(handle, Wanted.PAUSED)
        handle.pausing.pause()
        return await self._settle(handle, frozenset({State.PAUSED}), wait, timeout_s, handle.generation)

    async def resume(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        handle = self._native(name, "resume")
        if handle.life.state is State.RUNNING:
            self._want_anew(handle, Wanted.UP)
            return self._result(handle, True, "is not paused")
        if not handle.life.can(Trigger.RESUME) or handle.link is None:
            raise Refused(f"{name} is {handle.life.state} and cannot be resumed now", hint=f"see psv bot status {name}")
        self._fleet.want(handle, Wanted.UP)
        handle.pausing.resume()
        return await self._settle(handle, frozenset({State.RUNNING}), wait, timeout_s, handle.generation)

    def _want_anew(self, handle: BotHandle, wanted: Wanted) -> None:
        """Note the newer wish for a bot that is where it is to be, and that an older wish would lead away as soon as it can be asked."""
        if handle.wanted not in (wanted, Wanted.DOWN):
            self._fleet.want(handle, wanted)

    def signal(self, name: str, signal_name: str) -> None:
        """See FleetPort."""
        number = getattr(signal.Signals, "SIG" + signal_name.upper().removeprefix("SIG"), None)
        if number is None:
            raise UsageError(f'there is no signal "{signal_name}"', hint="use a name such as HUP, USR1 or TERM")
        if not self._act(name).send_signal(number):
            raise Refused(f"{name} has no process", hint=f"start it: psv start {name}")

    async def dump(self, name: str) -> dict[str, object]:
        """See FleetPort."""
        handle = self._fleet.handles[name]
        return self._result(handle, True, "") | await self._fleet.care.dump(handle)

    async def replay(self, name: str, what: Asked, which: int) -> dict[str, object]:
        """See FleetPort."""
        return await self._letters.ask(self._fleet.handles[name], what, which)

    def history(self, name: str, limit: int) -> list[dict[str, object]]:
        """See FleetPort."""
        self._fleet.store.flush()
        return view.history(self._fleet.store.history(name, limit), self._fleet.store.exits(name, limit), name)[-limit:]

    def uptime(self, name: str) -> dict[str, object]:
        """See FleetPort."""
        return dict(self._fleet.uptime.shares(name))

    async def events(
        self, names: Sequence[str] | None, emit: Emit, *, after: str | None, limit: int | None, is_followed: bool
    ) -> None:
        """See FleetPort."""
        bots = None if names is None else set(names)
        await self._fleet.chronicle.tell(emit, after=after, bots=bots, limit=limit, is_followed=is_followed)

    # -- tasks

    def task(self, name: str) -> dict[str, object] | None:
        """See FleetPort."""
        return self._fleet.tasks.describe(name)

    def task_history(self, name: str, limit: int) -> list[dict[str, object]]:
        """See FleetPort."""
        return [run.to_json() for run in self._fleet.tasks.runs.newest(name, limit)]

    async def run_task(self, name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        handle = self._act(name)
        refuse_wrong(self._fleet, handle)
        if not self._is_task(name):
            raise Refused(f"{name} is no task", hint=f"give it a schedule in fleet.toml; psv start {name} starts a bot")
        return await self._outcome(handle, self._fleet.tasks.call(handle), timeout_s if wait else 0.0)

    async def task_outcome(self, name: str, number: int, timeout_s: float) -> dict[str, object]:
        """See FleetPort."""
        run = self._fleet.tasks.find(name, number) if self._is_task(name) else None
        if run is None:
            raise Refused(f"of this run of {name} nothing is kept any more", hint=f"see psv task history {name}")
        return await self._outcome(self._fleet.handles[name], run, timeout_s)

    async def _outcome(self, handle: BotHandle, run: Run, timeout_s: float) -> dict[str, object]:
        """Wait for the end of a run, and say what came of it; 0 s: say how it is."""
        if timeout_s and not await self._fleet.tasks.wait_for(run, timeout_s):
            return self._result(handle, False, "did not end in time; it goes on", "timeout") | {"run": run.id}
        is_ok = run.reason in (None, Reason.CLEAN) and run.state is not RunState.SKIPPED
        return self._result(handle, is_ok, run.message or (str(run.reason or run.state))) | {"run": run.id}

    def _is_task(self, name: str) -> bool:
        return self._fleet.tasks.get(name) is not None

    def _schedule(self, handle: BotHandle) -> dict[str, object]:
        message = self._fleet.tasks.schedule(handle)
        self._fleet.want(handle, Wanted.UP)
        self._fleet.start(handle)  # held back: it only lets it wait for its time
        return self._result(handle, True, message)

    def _act(self, name: str) -> BotHandle:
        if self._fleet.is_going_down:
            raise Refused("the fleet is going down")
        return self._fleet.handles[name]

    def _native(self, name: str, verb: str) -> BotHandle:
        handle = self._act(name)
        if handle.spec["kind"] != "native":
            raise Refused(f"{name} is a program ({handle.spec['kind']}) and cannot {verb}", hint=f"psv stop {name} stops it")
        return handle

    async def _settle(self, handle: BotHandle, goal: frozenset[State], wait: bool, timeout_s: float, first: int) -> dict[str, object]:
        """Wait for the goal, for a rest that is not it, or until waiting is in vain; `first` is the generation to come of it."""
        if wait:
            await handle.life.wait_until(lambda: handle.life.state in goal | RESTING or view.is_in_vain(handle, first), timeout_s)
        has_done = goal is _READY and has_completed(handle)
        if has_done or handle.life.state in goal or (not wait and handle.life.state not in (State.FAILED, State.UNKNOWN)):
            return self._result(handle, True, "has completed" if has_done else "")
        if handle.life.state in RESTING or (wait and view.is_in_vain(handle, first)):
            await view.await_last_words(handle.last_exit)
            why = view.why_not_ready(handle) or f"is {handle.life.state}: a newer command was carried out meanwhile"
            return self._result(handle, False, why)
        return self._result(handle, False, f"did not get there in time; {view.why_not_ready(handle)}".rstrip("; "), "timeout")

    @staticmethod
    def _result(handle: BotHandle, ok: bool, message: str, code: str = "failed") -> dict[str, object]:
        return {"name": handle.name, "ok": ok, "state": handle.life.state, "message": message, "code": "" if ok else code}
