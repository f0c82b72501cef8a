"""One life of psvd: meet the keeper, find what runs, serve people and bots, start what is wanted.

It can be killed at any time: the next one finds every bot again. app/psvd.py is how it is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Any

from processsupervisor.config.spec import Applied
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.files import read_small, write_atomic
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Wanted
from processsupervisor.launch.code import Code
from processsupervisor.supervisor.botlinks import BotLinks
from processsupervisor.supervisor.changes import Changes
from processsupervisor.supervisor.control import ControlServer
from processsupervisor.supervisor.descent import Descent
from processsupervisor.supervisor.failures import Failures
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.goback import go_back_of
from processsupervisor.supervisor.letters import LetterDesk
from processsupervisor.supervisor.liveconfig import LiveConfig
from processsupervisor.supervisor.manager import Manager
from processsupervisor.supervisor.reconcile import Reconcile, release_unused
from processsupervisor.supervisor.reloader import Reloader
from processsupervisor.supervisor.secretreads import SecretReads
from processsupervisor.version import __version__

_log = logging.getLogger("psv.psvd")
_PRUNE_EVERY_S = 3600.0
_BATCH = 20
_SETTLED_AFTER_S = 60.0
"""systemd waits 90 s by default: one bot that does not become ready must not end the fleet."""


def _pass_over_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio complains of, but for connections that are cut off at the end.

    CPython 3.11 asks the task of a stream for its exception without looking whether it was cancelled.
    """
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


class Psvd:
    """One run of the brain."""

    def __init__(self, paths: FleetPaths, applied: Applied) -> None:
        self._paths = paths
        self._fleet = Fleet(paths, applied, self._on_essential_end)
        self._descent = Descent(self._fleet)
        live = LiveConfig(self._fleet.alerts, lambda: self._fleet.keeper.pid)
        self._changes = Changes(self._fleet, applied, live)
        self._goback = go_back_of(self._fleet, self._changes)
        letters = LetterDesk()
        self._manager = Manager(self._fleet, self._descent, self._changes, letters)
        self._reloader = Reloader(self._fleet, self._changes)
        self._links = BotLinks(self._fleet.handles.get, self._fleet.recycling.hear, self._fleet.events, live, letters)
        self._secret_reads = SecretReads(self._fleet)
        self._fleet.on_changed = Failures(self._fleet).on_transition
        self._fleet.on_reload = self._reloader.ask
        self._fleet.recycling.is_held = lambda: self._manager.is_rolling
        self._control = ControlServer(self._manager, self._fleet.bot_pids, self._fleet.settings["control_group"])

    async def run(self) -> int:
        """Serve until SIGTERM; returns the exit status."""
        began = mono()
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.ask)
        await self._fleet.keeper.connect()
        reach(CrashPoint.PSVD_WELCOMED)
        self._take_welcome()
        unfinished = self._changes.begin()
        self._goback.begin(self._changes.versions.number, unfinished.base)
        reconcile = await self._adopt_all()
        self._fleet.uptime.take_over(self._fleet.handles.values())
        self._tell_begin()
        self._fleet.zygotes.settle()
        self._fleet.is_adopted.set()
        reach(CrashPoint.PSVD_BEFORE_LISTEN)
        await self._listen()
        reach(CrashPoint.PSVD_LISTENS)
        self._fleet.keeper.tell("serving")
        _log.info("psvd runs", extra={**self._fleet.adoption, "took_s": round(mono() - began, 3)})
        await self._start_wanted(reconcile)
        reach(CrashPoint.PSVD_WANTED_STARTED)
        for own in self._fleet.own_roles.values():
            own.start()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._fleet.keeper.keep(self._on_keeper_back)),
                tasks.create_task(self._fleet.sampler.run()),
                tasks.create_task(self._fleet.care.run()),
                tasks.create_task(self._fleet.strays.run()),
                tasks.create_task(reconcile.settle()),
                tasks.create_task(unfinished.settle()),
                tasks.create_task(self._reloader.run()),
                tasks.create_task(self._fleet.uptime.run(self._fleet.store.flush)),
                tasks.create_task(self._prune()),
                tasks.create_task(self._settle()),
                tasks.create_task(self._fleet.tasks.run()),
                tasks.create_task(self._fleet.recycling.run()),
                tasks.create_task(self._goback.run()),
            ]
            await stopped.wait()
            for task in background:
                task.cancel()
        # The listening sockets are the keeper's: closing a server would remove their files under the next psvd.
        self._fleet.close()
        loop.set_exception_handler(_pass_over_cancelled)
        return 0

    def _take_welcome(self) -> None:
        welcome = self._fleet.keeper.welcome
        self._fleet.role_facts = {str(f["role"]): f for f in welcome["roles"]}
        self._fleet.zygotes.know(welcome["roles"])
        self._changes.roster.tell_log_limits()
        for role, own in self._fleet.own_roles.items():
            own.know(self._fleet.role_facts.get(role))

    async def _listen(self) -> None:
        people, bots = self._fleet.keeper.listeners
        await self._control.serve(people)
        await self._links.serve(bots)

    def _on_keeper_back(self) -> None:
        """A new keeper brought new listening sockets; zygotes of the old one cannot make children for the new one."""
        if self._fleet.moved_to() is not None or (self._fleet.is_going_down and self._fleet.keeper.is_new):
            # The keeper is at home where the folder lies now, and this psvd is not; or somebody brought the fleet up again
            # in the middle of its end. The next psvd adopts all, and starts what is wanted.
            signal.raise_signal(signal.SIGTERM)
            return
        reach(CrashPoint.PSVD_KEEPER_BACK)
        self._fleet.events.tell("keeper", pid=self._fleet.keeper.pid, is_new=self._fleet.keeper.is_new)
        before = self._fleet.role_facts
        self._take_welcome()
        if self._fleet.keeper.is_new:
            self._fleet.zygotes.retire_all()
            for role, own in self._fleet.own_roles.items():
                own.replace(before.get(role))
            self._fleet.take_back_all()
        release_unused(self._fleet)
        reach(CrashPoint.PSVD_ROLES_REPLACED)
        self._control.close()
        self._links.close()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def _adopt_all(self) -> Reconcile:
        """Find every bot again; what is not clear at once is settled beside the rest."""
        self._is_cold = self._fleet.role_facts["psvd"]["generation"] == 1 and not self._was_running()
        reconcile = Reconcile(self._fleet, is_cold=self._is_cold)
        self._fleet.adoption = await reconcile.run()
        with contextlib.suppress(OSError):  # no disk, no mark: if all of psv is killed, the next start tries everything
            write_atomic(self._paths.running, boot_id().encode())
        return reconcile

    def _tell_begin(self) -> None:
        """Tell whoever follows that a psvd begins, and that it is another version than the one before."""
        fleet, code = self._fleet, Code.own().name
        before = fleet.chronicle.last("psvd")
        if before is not None and (before.get("code"), before.get("version")) != (code, __version__):
            was = {"from": f"{before.get('version')} ({before.get('code')})", "to": f"{__version__} ({code})"}
            fleet.events.tell("upgrade", **was)
        self._changes.roster.tell_settings()
        fleet.events.tell("psvd", pid=os.getpid(), version=__version__, code=code, is_cold=self._is_cold, adoption=fleet.adoption)

    def _was_running(self) -> bool:
        """Tell whether a psvd of this boot was not ended in order; times and states of an earlier boot say nothing any more."""
        try:
            return read_small(self._paths.running).decode() in ("", boot_id())  # an older psv wrote nothing into it
        except (OSError, ValueError):
            return False

    async def _start_wanted(self, reconcile: Reconcile) -> None:
        self._fleet.companions.follow_all()
        for number, handle in enumerate(self._fleet.line.in_order()):
            if number % _BATCH == 0:
                await asyncio.sleep(0)
            has_waited = handle.life.state is State.FAILED and handle.reason in (Reason.DEPENDENCY, Reason.BUDGET)
            if (handle.life.state is State.INITIALIZING and handle.next_start_mono is None) or has_waited:
                if handle.wanted is Wanted.DOWN:
                    handle.stop()
                else:
                    self._fleet.start(handle, reconcile.how(handle.name))

    async def _settle(self) -> None:
        """Tell the keeper, and through it systemd, when all that is wanted is ready, has failed, or has to wait."""
        outcome = await self._manager.wait(_SETTLED_AFTER_S)
        ready, not_ready = outcome["ready"], outcome["not_ready"]
        count = len(ready) if isinstance(ready, list) else 0
        missing = len(not_ready) if isinstance(not_ready, list) else 0
        self._fleet.keeper.tell("settled", text=f"{count} bot{'' if count == 1 else 's'} ready, {missing} not")
        reach(CrashPoint.PSVD_SETTLED_TOLD)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            self._secret_reads.take_changes()
            self._fleet.store.prune()
            self._fleet.chronicle.prune()
            self._fleet.uptime.prune()
            self._fleet.store.flush()

    def _on_essential_end(self, status: int) -> None:
        _log.warning("an essential bot has ended for good; the fleet goes down", extra={"exit_status": status})
        self._descent.begin(None, status)
