"""The stop ladder: ask over the link, send the stop signal, kill the whole tree; each rung with its deadline.

The rungs are data; the handle climbs them. The last one is repeated until the process is gone, so that no stop can wedge.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from processsupervisor.config.spec import StopSpec
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity, Liveness, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.locks import read_holder
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.search import Search
from processsupervisor.process.tree import Attribution, descendants_of, is_taken, kill_leftovers, leftovers
from processsupervisor.resources.cgroups import Groups

_SETTLES_S = 0.02
"""A daemon changes parents while its first process ends: the kernel's list of children may pass over it in that moment (proc(5))."""
KILL_AGAIN_S = 1.0
UNKILLABLE_AFTER_S = 5.0
"""A process that lives this long after SIGKILL is said to be unkillable: the kernel holds it."""
_KERNEL_HOLDS = "the kernel holds it, nothing is started in its place"
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


def unkillable_note(process: Identity) -> str:
    """Return what status says of a process that SIGKILL does not end."""
    return f"unkillable: pid {process.pid} got SIGKILL and does not end; {_KERNEL_HOLDS}"


def kill_tree(paths: FleetPaths, bot: str, process: Identity | None, group: str | None) -> None:
    """SIGKILL a bot's process and what is below it; what escapes is found when the keeper adopts it."""
    if group is not None and Groups.is_populated(group) and Groups.kill(group):
        return
    if process is None:
        return
    # Collected first: once the parent is gone, they are no longer below it.
    below = [identity for pid in descendants_of(process.pid) if (identity := Identity.of(pid)) is not None]
    send_signal(process, signal.SIGKILL)
    attribution = Attribution(paths, {bot: process.pid})
    for identity in below:
        if attribution.bots_of(identity.pid):
            send_signal(identity, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Tree:
    """What a bot whose first process is gone may have left: its session, its cgroup, the keeper that adopts its orphans."""

    paths: FleetPaths
    bot: str
    session: int | None
    keeper_pid: int | None
    group: str | None
    search: Search

    async def _look(self, known: set[int]) -> list[Identity]:
        session = None if is_taken(self.session) else self.session
        if self.keeper_pid is None:
            return await self.search.leftovers(self.paths, self.bot, session, known)
        return leftovers(self.bot, self.paths, session, self.keeper_pid, known)

    async def clear(self, record: ExitRecord, known_pids: Iterable[int], *, is_asked: bool) -> None:
        """Kill all that is left. What cannot be killed makes the record a conflict; what had gone into the background is said in it."""
        reach(CrashPoint.PSVD_STATUS_TAKEN)
        if record.reason is Reason.LOCK_HELD and self._has_living_holder():
            return  # it never was the bot: what is there belongs to the generation that holds the lock
        if self.group is not None and record.signal == "SIGKILL" and Groups.oom_kills(self.group):
            record.reason = Reason.OOM
        known = set(known_pids)
        behind = set(Groups.members(self.group)) if self.group is not None else set()
        below = await self._look(known)
        if not below and record.exit_code == 0:
            await asyncio.sleep(_SETTLES_S)
            below = await self._look(known)
        behind.update(identity.pid for identity in below)
        if behind and record.exit_code == 0 and not is_asked:
            record.message = self._background(sorted(behind))
        if self.group is not None:
            await Groups.empty(self.group)
        left = await kill_leftovers(lambda: self._look(known)) if below else []
        if self.group is not None:
            Groups.remove(self.group)
        reach(CrashPoint.PSVD_TREE_CLEARED)
        if left:
            record.reason = Reason.CONFLICT
            record.message = f"processes of an earlier generation cannot be killed: {', '.join(str(i.pid) for i in left)}"

    def _has_living_holder(self) -> bool:
        """Tell whether whoever signed the bot's lock lives, or may live; else only leftovers hold it."""
        holder = Identity.from_json(read_holder(self.paths.bot_run(self.bot) / "lock"))
        return holder is not None and holder.liveness() is not Liveness.GONE

    def _background(self, pids: list[int]) -> str:
        """Say that a program which ended with code 0 goes on behind psv's back, and what to do about it."""
        sessions = {facts[2] for pid in pids if (facts := read_stat(pid)) is not None}
        is_daemon = bool(sessions - {self.session})
        where = "a session of its own" if is_daemon else "the background"
        listed = ", ".join(map(str, pids[:5])) + (" …" if len(pids) > 5 else "")
        verdict = "you daemonised" if is_daemon else "you went into the background"
        return (
            f"{verdict}: the process that psv started ended while pid {listed} lived on in {where}, and was killed with it; "
            "run the program in the foreground, without &, nohup, --daemon or a fork of its own"
        )
