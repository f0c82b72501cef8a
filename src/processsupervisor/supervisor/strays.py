"""Processes that some bot left with the keeper and that show nothing of it any more: reported, never signalled. What a hook left is ended.

Who keeps session, environment, lock or cgroup of a bot is attributed and ends with it (process/tree.py). Who shed all of
them becomes the keeper's child all the same, and is named in status until it ends; the end of the fleet ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from processsupervisor.kernel.identity import Identity, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.launcher import KeeperPort
from processsupervisor.process.tree import Attribution, children_of, family, marks_of
from processsupervisor.resources.cgroups import Groups

LOOK_EVERY_S = 3.0
_MOST_NOTES = 20
_log = logging.getLogger("psv.strays")


class Strays:
    """Looks at the keeper's children; `running` gives `{bot: identity}`, `known` the pids of first and own processes."""

    def __init__(
        self,
        paths: FleetPaths,
        keeper: KeeperPort,
        groups: Groups,
        known: Callable[[], set[int]],
        running: Callable[[], dict[str, Identity]],
    ) -> None:
        self._paths = paths
        self._keeper = keeper
        self._groups = groups
        self._known = known
        self._running = running
        self._seen: dict[Identity, bool | None] = {}
        """None: seen once, it may be a bot whose birth is not reported yet. True: nobody's. False: some bot's."""

    def notes(self) -> dict[str, str]:
        """Return `{subject: message}` for status."""
        strays = [identity.pid for identity, is_stray in self._seen.items() if is_stray][:_MOST_NOTES]
        return {
            f"process {pid}": "belongs to no bot that could be told: a bot left it behind without session, environment or lock; "
            f"look at /proc/{pid}, end it by hand, or it ends with the fleet"
            for pid in strays
        }

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Compare the keeper's children with what is known; a newcomer is judged at the second look."""
        keeper_pid = self._keeper.pid
        if keeper_pid is None:
            return
        own = read_stat(keeper_pid)
        known = self._known()
        before, self._seen = self._seen, {}
        for pid in children_of(keeper_pid):
            facts = read_stat(pid)
            # Whoever shares the keeper's session was started by it: the printer of progress.
            if pid in known or facts is None or facts[0] in "ZX" or own is None or facts[2] == own[2]:
                continue
            identity = Identity.of(pid)
            if identity is not None:
                self._seen[identity] = before.get(identity)
        if newcomers := [i for i, is_stray in self._seen.items() if is_stray is None and i in before]:
            attribution = Attribution(self._paths, {bot: first.pid for bot, first in self._running().items()})
            self._seen.update({identity: self._judge(identity, attribution) for identity in newcomers})

    def _judge(self, identity: Identity, attribution: Attribution) -> bool:
        if self._is_in_group(identity.pid) or attribution.bots_of(identity.pid):
            return False
        if self._is_of_hook(identity.pid):
            for member in family(identity, self._known()):
                send_signal(member, signal.SIGKILL)
            return False
        _log.warning("a process belongs to no bot that could be told", extra={"child": identity.pid})
        return True

    def _is_of_hook(self, pid: int) -> bool:
        """Tell whether a process is what a hook of this fleet left: whoever was to end it is gone, else it would not be the keeper's."""
        marks = marks_of(pid)
        return b"PSV_FLEET=" + os.fsencode(self._paths.folder) in marks and any(mark.startswith(b"PSV_HOOK=") for mark in marks)

    def _is_in_group(self, pid: int) -> bool:
        if self._groups.root is None:
            return False
        try:
            return self._groups.root.name in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False
