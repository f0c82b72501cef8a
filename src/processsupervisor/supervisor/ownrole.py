"""Keeping one own process that is started when the fleet needs it: through the keeper, again with a delay when it has ended.

What the process is for, and what its exit says beyond that, is in webrole.py and notifyrole.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from typing import Any

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.process.launcher import KeeperPort
from processsupervisor.supervisor.holders import end_holder

_DELAYS_S = (0.0, 0.2, 1.0, 5.0, 30.0)
_STEADY_S = 30.0


class OwnRole(ABC):
    """The process of one role. A kind of it says what it runs (`argv`) and whether it is wanted (`is_wanted`)."""

    role = ""
    ask_s = 1.0
    """A process that is asked to end is gone within so long, or is killed."""

    def __init__(self, paths: FleetPaths, keeper: KeeperPort) -> None:
        self._paths = paths
        self._keeper = keeper
        self._is_closed = False
        self._deaths = 0
        self._started = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.pid: int | None = None
        self.problem = ""

    @abstractmethod
    def argv(self) -> list[str]:
        """Return the command line of the process."""

    @property
    @abstractmethod
    def is_wanted(self) -> bool:
        """Tell whether the settings ask for the process."""

    def end_problem(self, exit_code: int) -> tuple[str, float] | None:
        """Return what an exit code says and when to try again; None: nothing but that it has ended."""
        return None

    @property
    def is_enabled(self) -> bool:
        """Tell whether this fleet is to have the process now."""
        return self.is_wanted and not self._is_closed

    def start(self) -> None:
        """Start the process unless it runs already."""
        is_under_way = self._task is not None and not self._task.done()  # the end of an old one is told in the middle of it
        if self.is_enabled and self.pid is None and not is_under_way:
            self._task = asyncio.get_running_loop().create_task(self._start())

    def know(self, facts: dict[str, Any] | None) -> None:
        """Take from the keeper's welcome whether the process runs; one of another copy of the package is ended, for `start` to replace.

        So is one that the settings do not ask for any more.
        """
        self.pid = facts.get("pid") if facts is not None else None
        if facts is not None and self.pid is not None and (not self.is_wanted or facts.get("code") not in ("", None, Code.own().name)):
            self._end(facts)

    def _end(self, facts: dict[str, Any]) -> None:
        send_signal(Identity(int(facts["pid"]), int(facts["start_ticks"]), boot_id(), pid_namespace()), signal.SIGTERM)
        self.pid = None

    def replace(self, facts: dict[str, Any] | None) -> None:
        """End the process that an earlier keeper started, and start one that is the present keeper's."""
        if facts is not None and facts.get("pid") is not None:
            self._end(facts)
        self.start()

    async def _start(self) -> None:
        try:
            # One that an earlier keeper started, and of which no psvd could tell us, holds the lock and what else there is once.
            await end_holder(self._paths, self.role, ask_s=self.ask_s)
            reach(CrashPoint.PSVD_BEFORE_WEB)
            answer = await self._keeper.request("spawn", role=self.role, argv=self.argv(), env=None)
        except (SystemRefused, OSError) as err:  # no descriptor left to look at the lock with: later
            self.problem = str(err)
            self._again(1.0)
            return
        reach(CrashPoint.PSVD_WEB_SPAWNED)
        self.pid = answer["pid"]
        self._started = asyncio.get_running_loop().time()

    def on_exit(self, status: int, pid: int) -> None:
        """Take the keeper's word that the process ended; one that was replaced is of no interest any more."""
        if self.pid not in (None, pid):
            return
        self.pid = None
        said = self.end_problem(os.waitstatus_to_exitcode(status))
        if said is not None:
            self.problem, delay_s = said
            self._again(delay_s)
            return
        ran_s = asyncio.get_running_loop().time() - self._started
        self._deaths = 0 if ran_s > _STEADY_S else self._deaths + 1
        self.problem = "" if self._deaths < 3 else f"the {self.role} process keeps ending; see .psv/logs/psv/{self.role}.err"
        self._again(_DELAYS_S[min(max(self._deaths - 1, 0), len(_DELAYS_S) - 1)])

    def _again(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.start)

    def close(self) -> None:
        """Start nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._is_closed = True
