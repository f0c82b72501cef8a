"""The fleet in psvd's memory: every bot's handle, what is wanted of it, what the keeper tells.

This is the cache of the truth on disk: applied configuration, psv.db, records, locks. What follows an exit is in aftermath.py, commands of
people are in manager.py; all run on one loop, so nothing here is locked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from processsupervisor.config.rules import look_again
from processsupervisor.config.spec import Applied, BotSpec
from processsupervisor.kernel.anchor import Anchor
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Trigger, Wanted
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.launcher import Launcher
from processsupervisor.process.lifecycle import Transition
from processsupervisor.process.surroundings import Surroundings
from processsupervisor.resources.cgroups import Groups
from processsupervisor.supervisor.adoption import FleetEvidence, Outcome, examine
from processsupervisor.supervisor.aftermath import Aftermath
from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.births import Births
from processsupervisor.supervisor.breaker import Breaker
from processsupervisor.supervisor.budget import Budgets
from processsupervisor.supervisor.care import Care
from processsupervisor.supervisor.chronicle import Chronicle
from processsupervisor.supervisor.companions import Companions
from processsupervisor.supervisor.dependencies import Dependencies
from processsupervisor.supervisor.doubts import Doubts
from processsupervisor.supervisor.events import Events
from processsupervisor.supervisor.gates import COMPANION, RECOVER, RESTART
from processsupervisor.supervisor.hooks import HookRunner
from processsupervisor.supervisor.keeperlink import KeeperLink
from processsupervisor.supervisor.ledger import Ledger
from processsupervisor.supervisor.line import Line
from processsupervisor.supervisor.notifyrole import NotifyRole
from processsupervisor.supervisor.recycling import Recycling
from processsupervisor.supervisor.sampler import Sampler
from processsupervisor.supervisor.slots import Slots
from processsupervisor.supervisor.store import SAVE_AGAIN_S, Store
from processsupervisor.supervisor.strays import Strays
from processsupervisor.supervisor.tasks import Tasks
from processsupervisor.supervisor.unwinding import Unwinding
from processsupervisor.supervisor.uptime import Uptime
from processsupervisor.supervisor.webrole import WebRole, proxies_of
from processsupervisor.supervisor.zygotes import ZygotePool

_log = logging.getLogger("psv.fleet")
_FLUSH_AFTER_S = 0.2
_NO_KEEPER_RETRY_S = 1.0
RESTING = frozenset({State.STOPPED, State.FAILED, State.TERMINATED})


class Fleet:
    """All bots of one fleet. `on_essential_end` hears the exit status when an essential bot has ended for good."""

    def __init__(self, paths: FleetPaths, applied: Applied, on_essential_end: Callable[[int], None]) -> None:
        self.paths = paths
        self.settings = applied["fleet"]
        self._anchor = Anchor(paths.run)
        self.keeper = KeeperLink(paths, self._on_keeper)
        self.zygotes = ZygotePool(paths, self.keeper)
        self.groups = Groups(paths)
        self.store = Store(paths.database)
        self.web = WebRole(paths, self.keeper, applied["web"], proxies_of(applied))
        self.is_going_down = False
        self.events = Events()
        self.chronicle = Chronicle(self.store, self.events)
        self._ledger = Ledger(self.store, self.events)
        self.notify = NotifyRole(paths, self.keeper, applied.get("notify", []), self.chronicle.before_start)
        self.own_roles = {role.role: role for role in (self.web, self.notify)}
        self.events.listen(lambda _event: self._plan_flush())
        self.uptime = Uptime(self.store, lambda: self.is_going_down)
        self.alerts = Alerts(self.events)
        self.role_facts: dict[str, dict[str, Any]] = {}
        self.adoption: dict[str, Any] = {}
        self.sampler = Sampler(self._running)
        self.breaker = Breaker(lambda delay_s, act: asyncio.get_running_loop().call_later(delay_s, act))
        self.is_adopted = asyncio.Event()
        self.on_go_down: Callable[[float, int], object] = lambda _timeout_s, _exit_status: None
        self.on_reload: Callable[[], object] = lambda: None
        self.on_changed: Callable[[Transition], object] = lambda _transition: None
        self.strays = Strays(paths, self.keeper, self.groups, self.first_pids, self._running)
        self._births = Births()
        self._doubts = Doubts(self.take_back, lambda: self.keeper.pid is not None)
        self._matched: dict[str, int] = {}  # the newest generation of each bot of which logd has seen the ready line
        self._flush: asyncio.TimerHandle | None = None
        self._told_problem = ""
        self.launcher = Launcher(paths, self.keeper, self.zygotes, self.groups, str(self.settings["name"]), self.breaker.admits)
        self.hooks = HookRunner(paths, lambda name: self.handles[name].spec if name in self.handles else None, self.events)
        self.handles: dict[str, BotHandle] = {}
        self.misnamed: dict[str, str] = {}
        self._make_handles(applied)
        self.tasks = Tasks(self, self.handles)
        self.recycling = Recycling(self.events, self.handles, self._may_restart)
        self.aftermath = Aftermath(self, on_essential_end)
        self.care = Care(self)
        self.budgets = Budgets(paths, self.alerts)
        self.dependencies = Dependencies(self.handles)
        self.slots = Slots(self.handles)
        self.line = Line(self.handles, (self.budgets, self.dependencies, self.slots), self.start)
        self.companions = Companions(self)
        self.unwinding = Unwinding(self.handles, self.dependencies, lambda: self.is_going_down)
        self.slots.on_free = self.line.on_free
        self.dependencies.learn()
        self.companions.learn()
        for part in (self.alerts, self.slots, self.line, self.companions, self.unwinding):
            self.events.listen(part.on_event)

    def _make_handles(self, applied: Applied) -> None:
        self._around = Surroundings(
            paths=self.paths,
            launcher=self.launcher,
            keeper=self.keeper,
            on_transition=self._on_transition,
            on_end=self._on_end,
            on_born=self._on_born,
            on_refused=self._on_refused,
            known_pids=self.first_pids,
            hooks=self.hooks,
        )
        wanted = self.store.wanted()
        for spec in applied["bots"]:
            if re.fullmatch(BOT_NAME_PATTERN, spec["name"]) is None:
                self.misnamed[spec["name"]] = str(spec["error"])  # it has no place on disk, so it can have no handle
            else:
                self.make_handle(spec, wanted.get(spec["name"]))

    def make_handle(self, spec: BotSpec, wanted: Wanted | None) -> BotHandle:
        """Give a bot its place in the fleet; without a wish that somebody had, it is wanted as its settings say."""
        handle = self.handles[spec["name"]] = BotHandle(spec, self._around)
        handle.wanted = wanted or (Wanted.UP if spec["autostart"] else Wanted.DOWN)
        return handle

    def first_pids(self) -> set[int]:
        """Return the pids of all bots' first processes and of our own processes."""
        return self.bot_pids() | {int(f["pid"]) for f in self.role_facts.values() if f.get("pid")}

    def bot_pids(self) -> set[int]:
        """Return the pids of all bots' first processes."""
        return {h.process.pid for h in self.handles.values() if h.process is not None}

    def _running(self) -> dict[str, Identity]:
        return {name: h.process for name, h in self.handles.items() if h.process is not None}

    def moved_to(self) -> str | None:
        """Return where the fleet folder lies now if it was moved or replaced while the fleet runs: nothing is started then."""
        now = self._anchor.moved_to()
        return now.removesuffix("/.psv/run") if now is not None else None

    @property
    def can_start(self) -> bool:
        """Tell whether anything can be started now."""
        return self.keeper.pid is not None and self.moved_to() is None and not self.is_going_down

    # -- wishes

    def want(self, handle: BotHandle, wanted: Wanted) -> None:
        """Note durably what is wanted of a bot; committed before the act that follows."""
        reach(CrashPoint.PSVD_BEFORE_WANTED)
        handle.wanted = wanted
        self.uptime.note(handle)
        self.store.set_wanted(handle.name, wanted)
        self.store.flush()
        asyncio.get_running_loop().call_soon(self.store.sync)
        reach(CrashPoint.PSVD_AFTER_WANTED)
        before, handle.unsaved_wanted = handle.unsaved_wanted, str(wanted) if handle.name in self.store.unsaved else None
        if before != handle.unsaved_wanted:
            handle.note()  # without a database the record, which needs no disk block, tells the next psvd
            self._plan_flush()

    def start(self, handle: BotHandle, reason: str = "") -> bool:
        """Start a bot unless the fleet is going down, the bot's section is wrong, or something holds it back for now."""
        if self.is_going_down or not handle.life.can(Trigger.LAUNCH):
            return False
        if handle.wanted is Wanted.DOWN and self.tasks.get(handle.name) is None:  # a person may run a task that nobody schedules
            handle.stop()  # a timer, or a command that was superseded, is late
            return False
        if self.companions.was_due(handle.name) and reason == RESTART:
            reason = COMPANION
        if self.keeper.pid is None or self.moved_to() is not None:
            handle.plan_start(_NO_KEEPER_RETRY_S, lambda: self.start(handle, reason))
            return False
        if self.take_back(handle):
            return False
        look_again(handle.spec, self.paths.folder)
        if handle.spec["error"]:
            handle.last_exit = ExitRecord(Reason.CONFIG, None, None, wall(), handle.generation, message=handle.spec["error"])
            handle.rest(Trigger.GIVE_UP, Reason.CONFIG)
            return False
        if self.tasks.holds_back(handle):
            return False
        if not self.breaker.admits(handle.name):
            if handle.life.state is not State.RECOVERING:
                handle.life.fire(Trigger.RESTART, generation=handle.generation, reason=Reason.START_FAILED)
            self.breaker.hold(handle.name, lambda: self._start_waiting(handle, reason))
            return False
        if self.line.holds(handle, reason) or not handle.start(reason):
            return False
        self.slots.take(handle, reason)
        self.dependencies.waived.discard(handle.name)
        return True

    def _may_restart(self, handle: BotHandle) -> bool:
        """Tell whether psv itself may restart a bot that runs: not when it could not come back."""
        return self.can_start and not self.budgets.wait_s(handle)

    def _start_waiting(self, handle: BotHandle, reason: str) -> bool:
        """Start a bot whose turn has come after the system refused starts, unless it rests or runs by now."""
        return handle.life.state in (State.RECOVERING, State.INITIALIZING) and self.start(handle, reason)

    def _on_refused(self, name: str, message: str) -> None:
        if self.keeper.pid is None:
            self.breaker.done(name)  # no refusal of the system: the others do not wait for a bot that may be stopped meanwhile
            self.start(self.handles[name], RECOVER)  # planned for when there is a keeper again
            self._doubts.add(self.handles[name])
            return
        _log.warning("the system refused a start; starts wait", extra={"bot": name, "why": message})
        self.breaker.refused(name, message, lambda: self._start_waiting(self.handles[name], RECOVER))

    def take_back(self, handle: BotHandle) -> bool:
        """Adopt the bot if the holder of its own lock is one of its own generations, born while nobody was told."""
        if not handle.life.can(Trigger.ADOPT) or not FleetEvidence(self.paths).is_held(handle.name):
            return False
        finding = examine(self.paths, handle.name, {})
        if finding.outcome is not Outcome.ADOPT or finding.identity is None:
            return False
        handle.reason = ""
        handle.adopt(finding.identity, finding.generation, finding.facts)
        if self._matched.get(handle.name) == handle.generation:
            handle.say_ready()  # its ready line was seen before anybody knew of it
        return True

    def take_back_all(self) -> None:
        """Adopt what was born while the last keeper died, before its pipes are let go; count the ready lines that nobody could tell."""
        for pair in self.keeper.welcome["fifos"]:
            if pair.get("matched"):
                self._on_keeper({"op": "matched", **pair})
        for handle in self.handles.values():
            if handle.life.state is State.RECOVERING and handle.wanted is not Wanted.DOWN:
                self.take_back(handle)

    def forget_quick(self, handle: BotHandle) -> None:
        """Let the next unasked exit count as the first: a person has looked at the bot."""
        handle.quick = 0
        self.alerts.close(handle.name, Reason.CRASH_LOOP)

    # -- what happens

    def _on_keeper(self, message: dict[str, Any]) -> None:
        match message.get("op"):
            case "exit":
                self._on_exit(message)
            case "matched":
                self._matched[str(message["bot"])] = int(message["generation"])
                handle = self._present(message)
                if handle is not None:
                    handle.say_ready()
            case "match-error":
                handle = self._present(message)
                if handle is not None and handle.life.state is State.STARTING:
                    handle.put_down(Reason.START_FAILED, f"ready = {{ log = … }} cannot be used: {message.get('message')}")
            case "released":
                self.aftermath.complete(str(message["bot"]), int(message["generation"]))
            case "spawned":
                self.role_facts[str(message["role"])] = message
            case "reload":
                self.on_reload()
            case "go-down":
                self.on_go_down(float(message["timeout_s"]), int(message.get("exit_status", 0)))

    def _present(self, message: dict[str, Any]) -> BotHandle | None:
        handle = self.handles.get(str(message.get("bot")))
        return handle if handle is not None and handle.generation == message.get("generation") else None

    def _on_exit(self, message: dict[str, Any]) -> None:
        role = str(message.get("role", ""))
        if role:
            self.role_facts.pop(role, None)
            if role in self.own_roles:
                self.own_roles[role].on_exit(int(message["status"]), int(message["pid"]))
            elif role.startswith("zygote-"):
                self.zygotes.forget(role)
            return
        self._births.on_exit(message)

    def _on_end(self, name: str, record: ExitRecord) -> None:
        handle = self.handles[name]
        self.aftermath.on_end(handle, record)
        if not record.has_status:
            self._doubts.add(handle)

    def _on_born(self, name: str, identity: Identity) -> None:
        handle = self.handles[name]
        self.breaker.done(name)
        self.keeper.tell("pid", bot=handle.name, generation=handle.generation, pid=identity.pid)
        self._births.on_born(handle, identity)
        self.line.wake(name)  # for those that wait until it is started
        self.hooks.on_born(name, handle.generation, identity.pid)

    def _on_transition(self, transition: Transition) -> None:
        handle = self.handles[transition.bot]
        is_end = handle.last_exit is not None and transition.before in HAS_PROCESS and handle.last_exit.generation == transition.generation
        self.uptime.note(handle, handle.exited_at if is_end else None)
        self.tasks.on_transition(transition)
        if transition.trigger is Trigger.RESUME and handle.wanted is Wanted.PAUSED:
            self.want(handle, Wanted.UP)  # nobody told it to go on: its pause was given up, and the command has failed
        if transition.after in RESTING:
            self.zygotes.pins.drop(transition.bot)
        self.hooks.on_transition(transition)
        self._ledger.note(transition)
        self.on_changed(transition)

    def _plan_flush(self, delay_s: float = _FLUSH_AFTER_S) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(delay_s, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        reach(CrashPoint.PSVD_BEFORE_FLUSH)
        self.store.flush()
        reach(CrashPoint.PSVD_AFTER_FLUSH)
        if (problem := self.store.problem) != self._told_problem:
            self._told_problem = problem
            self.events.tell("alert", what="psv.db", message=problem or "psv.db is used again", is_over=not problem)
        if self.store.is_behind:
            self._plan_flush(SAVE_AGAIN_S)

    def has_process(self) -> list[BotHandle]:
        """Return the bots of which a process lives or is being born."""
        return [h for h in self.handles.values() if h.life.state in HAS_PROCESS]

    def close(self) -> None:
        """Let go of everything without touching a bot."""
        for part in (*self.own_roles.values(), self.breaker, self.slots, self.line, self.unwinding, self.hooks, *self.handles.values()):
            part.close()
        self.store.close()
