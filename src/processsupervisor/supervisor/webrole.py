"""Keeping the web process: started through the keeper, started again with a delay, given up when its port is taken.

Where it listens is in run/web.json, which the web process itself writes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from processsupervisor.config.spec import WebSpec
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_CONFIG
from processsupervisor.launch.code import Code
from processsupervisor.process.launcher import KeeperPort
from processsupervisor.supervisor.holders import end_holder

ROLE = "web"
_DELAYS_S = (0.0, 0.2, 1.0, 5.0, 30.0)
_PORT_RETRY_S = 60.0
_ASK_S = 1.0
"""A web process that is asked to end is gone within a second."""


class WebRole:
    """The web process of one fleet."""

    def __init__(self, paths: FleetPaths, keeper: KeeperPort, settings: WebSpec) -> None:
        self._paths = paths
        self._keeper = keeper
        self._settings = settings
        self._is_closed = False
        self._deaths = 0
        self._started = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.pid: int | None = None
        self.problem = ""

    @property
    def is_enabled(self) -> bool:
        """Tell whether this fleet is to have a page."""
        return self._settings["enabled"] and not self._is_closed

    def start(self) -> None:
        """Start the process unless it runs already."""
        is_under_way = self._task is not None and not self._task.done()  # the end of an old one is told in the middle of it
        if self.is_enabled and self.pid is None and not is_under_way:
            self._task = asyncio.get_running_loop().create_task(self._start())

    def know(self, facts: dict[str, Any] | None) -> None:
        """Take from the keeper's welcome whether the process runs; one of another copy of the package is ended, for `start` to replace."""
        self.pid = facts.get("pid") if facts is not None else None
        if facts is not None and self.pid is not None and facts.get("code") not in ("", None, Code.own().name):
            self._end(facts)

    def _end(self, facts: dict[str, Any]) -> None:
        send_signal(Identity(int(facts["pid"]), int(facts["start_ticks"]), boot_id(), pid_namespace()), signal.SIGTERM)
        self.pid = None

    def replace(self, facts: dict[str, Any] | None) -> None:
        """End the web process that an earlier keeper started, and start one that is the present keeper's."""
        if facts is not None and facts.get("pid") is not None:
            self._end(facts)
        self.start()

    async def _start(self) -> None:
        argv = Code.own().argv("processsupervisor.web.main", str(self._paths.folder))
        try:
            # One that an earlier keeper started, and of which no psvd could tell us, holds the lock and the port.
            await end_holder(self._paths, ROLE, ask_s=_ASK_S)
            reach(CrashPoint.PSVD_BEFORE_WEB)
            answer = await self._keeper.request("spawn", role=ROLE, argv=argv, env=None)
        except (SystemRefused, OSError) as err:  # no descriptor left to look at the lock with: later
            self.problem = str(err)
            self._again(1.0)
            return
        reach(CrashPoint.PSVD_WEB_SPAWNED)
        self.pid = answer["pid"]
        self._started = asyncio.get_running_loop().time()

    def on_exit(self, status: int) -> None:
        """Take the keeper's word that the web process ended."""
        self.pid = None
        if os.waitstatus_to_exitcode(status) == EXIT_CONFIG:
            address = f"{self._settings['listen_host']}:{self._settings['listen_port']}"
            self.problem = f"the page is off: port taken, cannot listen on {address}; change [web] listen, or set next_free = true"
            self._again(_PORT_RETRY_S)
            return
        ran_s = asyncio.get_running_loop().time() - self._started
        self._deaths = 0 if ran_s > 30.0 else self._deaths + 1
        self.problem = "" if self._deaths < 3 else "the web process keeps ending; see .psv/logs/psv/web.err"
        self._again(_DELAYS_S[min(max(self._deaths - 1, 0), len(_DELAYS_S) - 1)])

    def _again(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.start)

    def url(self) -> str | None:
        """Return the address of the page, or None while nothing listens."""
        facts = read_json(self._paths.run / "web.json")
        if isinstance(facts, dict) and self.pid is not None and facts.get("pid") == self.pid:
            self.problem = ""
            return str(facts.get("url"))
        return None

    def close(self) -> None:
        """Start nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._is_closed = True
