"""One life of psvd: meet the keeper, find what runs, serve people and bots, start what is wanted.

It can be killed at any time: the next one finds every bot again. app/psvd.py is how it is started.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

from processsupervisor.config.spec import Applied
from processsupervisor.kernel.clock import boottime, mono, wall
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Trigger, Wanted
from processsupervisor.process.exits import ExitRecord, record_of
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.tree import kill_leftovers
from processsupervisor.supervisor.adoption import Finding, Outcome, examine, journal_by_identity
from processsupervisor.supervisor.botlinks import BotLinks
from processsupervisor.supervisor.control import ControlServer
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.manager import Manager

_log = logging.getLogger("psv.psvd")
ADOPT_TIMEOUT_S = 30.0
_PRUNE_EVERY_S = 3600.0
_BATCH = 20


class Psvd:
    """One run of the brain."""

    def __init__(self, paths: FleetPaths, applied: Applied) -> None:
        self._paths = paths
        self._fleet = Fleet(paths, applied, self._on_essential_end)
        self._manager = Manager(self._fleet, str(applied["source_digest"]))
        self._links = BotLinks(self._fleet.handles.get)
        self._control = ControlServer(self._manager, self._fleet.bot_pids, self._fleet.settings["control_group"])
        self._is_cold = True

    async def run(self) -> int:
        """Serve until SIGTERM; returns the exit status."""
        began = mono()
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self._fleet.keeper.connect()
        reach(CrashPoint.PSVD_WELCOMED)
        self._take_welcome()
        counts = await self._adopt_all()
        self._fleet.is_adopted.set()
        reach(CrashPoint.PSVD_BEFORE_LISTEN)
        await self._listen()
        reach(CrashPoint.PSVD_LISTENS)
        _log.info("psvd runs", extra={"took_s": round(mono() - began, 3), "outcomes": counts})
        await self._start_wanted()
        reach(CrashPoint.PSVD_WANTED_STARTED)
        self._fleet.web.start()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._fleet.keeper.keep(self._on_keeper_back)),
                tasks.create_task(self._fleet.sampler.run()),
                tasks.create_task(self._prune()),
                tasks.create_task(self._settle()),
            ]
            await stopped.wait()
            for task in background:
                task.cancel()
        # The listening sockets are the keeper's: closing a server would remove their files under the next psvd.
        self._fleet.close()
        return 0

    def _take_welcome(self) -> None:
        welcome = self._fleet.keeper.welcome
        self._fleet.role_facts = {str(f["role"]): f for f in welcome["roles"]}
        self._fleet.zygotes.know(welcome["roles"])
        self._is_cold = self._fleet.role_facts["psvd"]["generation"] == 1
        self._fleet.web.know(self._fleet.role_facts.get("web"))

    async def _listen(self) -> None:
        people, bots = self._fleet.keeper.listeners
        await self._control.serve(people)
        await self._links.serve(bots)

    def _on_keeper_back(self) -> None:
        """A new keeper brought new listening sockets; zygotes of the old one cannot make children for the new one."""
        reach(CrashPoint.PSVD_KEEPER_BACK)
        before = self._fleet.role_facts
        self._take_welcome()
        self._release_unused()
        self._fleet.zygotes.retire_all()
        self._fleet.web.replace(before.get("web"))
        reach(CrashPoint.PSVD_ROLES_REPLACED)
        self._control.close()
        self._links.close()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def _adopt_all(self) -> dict[str, int]:
        """Find every bot again; returns a count per outcome."""
        ended = journal_by_identity(self._paths)
        counts: dict[str, int] = {}
        for number, handle in enumerate(self._fleet.handles.values()):
            if number % _BATCH == 0:
                await asyncio.sleep(0)  # let pings through: a large fleet must not look wedged
            self._paths.bot_run(handle.name).mkdir(mode=0o700, exist_ok=True)
            finding = examine(self._paths, handle.name, ended)
            counts[finding.outcome] = counts.get(finding.outcome, 0) + 1
            reach(CrashPoint.PSVD_EXAMINED)
            await self._take(handle, finding)
            reach(CrashPoint.PSVD_TAKEN)
        reach(CrashPoint.PSVD_ADOPTED_ALL)
        for pair in self._fleet.keeper.welcome["fifos"]:
            found = self._fleet.handles.get(str(pair["bot"]))
            if pair.get("matched") and found is not None and found.generation == pair["generation"]:
                found.say_ready()  # logd saw the ready line while no psvd listened
        self._release_unused()
        return counts

    def _release_unused(self) -> None:
        """Release every pair that is of no present generation: an earlier release may have met no keeper."""
        for pair in self._fleet.keeper.welcome["fifos"]:
            handle = self._fleet.handles.get(str(pair["bot"]))
            if handle is None or handle.generation != pair["generation"] or handle.life.state not in HAS_PROCESS:
                self._fleet.keeper.tell("release", bot=pair["bot"], generation=pair["generation"])

    async def _take(self, handle: BotHandle, finding: Finding) -> None:
        fleet = self._fleet
        handle.generation = max(finding.generation, fleet.store.last_generation(handle.name))
        if not (self._is_cold and finding.outcome is Outcome.FRESH):
            handle.restarts, handle.quick = int(finding.facts.get("restarts") or 0), int(finding.facts.get("quick") or 0)
        match finding.outcome:
            case Outcome.ADOPT if finding.identity is not None:
                handle.adopt(finding.identity, finding.generation, finding.facts)
                if handle.wanted is Wanted.DOWN or finding.facts.get("state") == State.STOPPING:
                    handle.stop()  # the last psvd died in the middle of it
                elif finding.facts.get("state") == State.RESTARTING:
                    handle.stop(is_restart=True)
            case Outcome.ENDED | Outcome.ENDED_UNSEEN:
                self._take_end(handle, finding)
            case Outcome.LEFTOVERS:
                if await self._clear_leftovers(handle, finding) and finding.facts.get("has_process"):
                    self._take_end(handle, finding)
            case Outcome.CANNOT_TELL:
                handle.rest(Trigger.LOSE, Reason.UNKNOWN)
                handle.plan_start(ADOPT_TIMEOUT_S, lambda: handle.rest(Trigger.GIVE_UP, Reason.CONFLICT))
            case _ if not self._is_cold:
                self._go_on_resting(handle, finding.facts)  # a cold start tries everything again
            case _:
                pass

    def _go_on_resting(self, handle: BotHandle, facts: dict[str, Any]) -> None:
        """Leave a bot that had ended before this psvd was started as it was: given up, completed, or waiting for its time."""
        reason = str(facts.get("reason") or "")
        if facts.get("state") == State.FAILED:
            handle.rest(Trigger.GIVE_UP, reason or Reason.UNKNOWN)
        elif facts.get("state") == State.TERMINATED:
            handle.rest(Trigger.COMPLETE, reason)
        due = facts.get("next_start_boottime")
        if isinstance(due, float) and facts.get("state") in (State.FAILED, State.RECOVERING):
            handle.reason = reason
            handle.plan_start(max(0.0, due - boottime()), lambda: self._fleet.start(handle, "retry"))

    def _take_end(self, handle: BotHandle, finding: Finding) -> None:
        """Note an end that no psvd saw: by the journal, else as unknown; what follows is the policy's."""
        record = ExitRecord(Reason.UNKNOWN_WHILE_UNSUPERVISED, None, None, wall(), finding.generation)
        if finding.entry is not None:
            record = record_of(self._paths, handle.name, finding.generation, finding.entry.status, finding.entry.at)
        self._fleet.take_unseen(handle, record, finding.facts)

    async def _clear_leftovers(self, handle: BotHandle, finding: Finding) -> bool:
        """The first process is gone but its lock is held below it: end the tree (True), or say who holds on."""
        # Not by session: its leader died unseen, and the number may be somebody else's by now.
        reach(CrashPoint.PSVD_LEFTOVERS_FOUND)
        left = await kill_leftovers(handle.name, self._paths, None, None, self._fleet.first_pids())
        reach(CrashPoint.PSVD_LEFTOVERS_KILLED)
        if left:
            message = f"processes of an earlier generation hold its lock: {', '.join(str(i.pid) for i in left)}"
            handle.last_exit = ExitRecord(Reason.CONFLICT, None, None, wall(), finding.generation, message=message)
            handle.rest(Trigger.GIVE_UP, Reason.CONFLICT)
        return not left

    async def _start_wanted(self) -> None:
        for number, handle in enumerate(list(self._fleet.handles.values())):
            if number % _BATCH == 0:
                await asyncio.sleep(0)
            if handle.life.state is State.INITIALIZING and handle.next_start_mono is None:
                if handle.wanted is Wanted.DOWN:
                    handle.stop()
                else:
                    self._fleet.start(handle, "wanted")

    async def _settle(self) -> None:
        """Tell the keeper, and through it systemd, when all that is wanted is ready or has failed."""
        outcome = await self._manager.wait(600.0)
        ready, not_ready = outcome["ready"], outcome["not_ready"]
        count = len(ready) if isinstance(ready, list) else 0
        missing = len(not_ready) if isinstance(not_ready, list) else 0
        self._fleet.keeper.tell("settled", text=f"{count} bots ready, {missing} not")
        reach(CrashPoint.PSVD_SETTLED_TOLD)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            self._fleet.store.prune()
            self._fleet.store.flush()

    def _on_essential_end(self, status: int) -> None:
        _log.warning("an essential bot has ended for good; the fleet goes down", extra={"exit_status": status})
        self._manager.begin_down(float(self._fleet.settings["down_timeout_s"]), status)
