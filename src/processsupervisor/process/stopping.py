"""The stop ladder: ask over the link, send the stop signal, kill the whole tree; each rung with its deadline.

The rungs are data; the handle climbs them. The last one is repeated until the process is gone, so that no stop can wedge.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from processsupervisor.config.spec import StopSpec
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.tree import belongs_to, descendants_of, kill_leftovers
from processsupervisor.resources.cgroups import Groups

KILL_AGAIN_S = 1.0
_ASKING_SHARE = 0.6
"""Part of the stop timeout that a native bot has before it gets the signal too."""


class LinkPort(Protocol):
    """The control link to a native bot, while it is connected."""

    def send(self, message: dict[str, Any]) -> None:
        """Send one line; a broken link is noticed elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Rung:
    """Do `act`, then give the process `patience_s` to go."""

    act: Callable[[], object]
    patience_s: float


def stop_rungs(stop: StopSpec, link: LinkPort | None, send: Callable[[int], bool], kill: Callable[[], None]) -> list[Rung]:
    """Return the rungs for the `stop` table of a spec; without a link the signal comes first and has all the time."""
    total_s = float(stop["timeout_s"])
    number = signal.Signals["SIG" + str(stop["signal"])]
    rungs = [Rung(lambda: send(number), total_s * (1.0 - _ASKING_SHARE) if link else total_s), Rung(kill, KILL_AGAIN_S)]
    if link is not None:
        asking_s = total_s * _ASKING_SHARE
        rungs.insert(0, Rung(lambda: link.send({"op": "stop", "timeout_s": asking_s}), asking_s))
    return rungs


def kill_tree(paths: FleetPaths, bot: str, process: Identity | None, group: str | None) -> None:
    """SIGKILL a bot's process and what is below it; what escapes is found when the keeper adopts it."""
    if group is not None and Groups.is_populated(group) and Groups.kill(group):
        return
    if process is None:
        return
    # Collected first: once the parent is gone, they are no longer below it.
    below = [identity for pid in descendants_of(process.pid) if (identity := Identity.of(pid)) is not None]
    send_signal(process, signal.SIGKILL)
    for identity in below:
        if belongs_to(identity.pid, bot, paths, process.pid):
            send_signal(identity, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Tree:
    """What a bot whose first process is gone may have left: its session, its cgroup, the keeper that adopts its orphans."""

    paths: FleetPaths
    bot: str
    session: int | None
    keeper_pid: int | None
    group: str | None

    async def clear(self, known_pids: Iterable[int]) -> list[Identity]:
        """Kill all that is left and return what still lives at the deadline (normally nothing)."""
        reach(CrashPoint.PSVD_STATUS_TAKEN)
        if self.group is not None:
            await Groups.empty(self.group)
        left = await kill_leftovers(self.bot, self.paths, self.session, self.keeper_pid, known_pids)
        if self.group is not None:
            Groups.remove(self.group)
        reach(CrashPoint.PSVD_TREE_CLEARED)
        return left
