"""The whole tree of a bot: what belongs to it besides its first process, and killing all of that.

The keeper is the subreaper, so whatever a dead bot leaves behind becomes the keeper's child: one read of its list of
children shows all candidates. A candidate is attributed by session, by environment, or by an inherited descriptor of the
bot's lock; what shows none of the three is not touched. Every signal goes through a pidfd (invariant I3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity, Liveness, boot_id, pid_namespace, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder

_MOST = 10_000
"""Processes of one bot looked at in one go; the next look finds the rest."""

def children_of(pid: int) -> list[int]:
    """Return the direct children of every thread of `pid`; by a scan of /proc where the kernel keeps no list."""
    try:
        found: list[int] = []
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        return found
    except FileNotFoundError:
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [p for p in pids if (facts := read_stat(p)) is not None and facts[1] == pid]
    except OSError:
        return []


def descendants_of(pid: int, limit: int = _MOST) -> list[int]:
    """Return all processes below `pid`, parents before children."""
    found: list[int] = []
    queue = [pid]
    while queue and len(found) < limit:
        children = children_of(queue.pop())
        found += children
        queue += children
    return found


def is_taken(session: int | None) -> bool:
    """Tell whether the number of an ended bot's session belongs to another process by now: then nobody of that session is left.

    The kernel gives a number away only when no process and no session has it any more.
    """
    facts = read_stat(session) if session is not None else None
    return facts is not None and facts[0] not in "ZX"


def all_pids() -> list[int]:
    """Return the pids of all processes that are to be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marks_of(pid: int) -> set[bytes]:
    """Return the environment that `pid` was executed with, as NAME=value; empty when it is gone or may not be read."""
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def high_files_of(pid: int) -> set[tuple[int, int]]:
    """Return (device, inode) of the files that `pid` has open at descriptors of 100 and above, where the locks of bots are."""
    found: set[tuple[int, int]] = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            if int(name) >= 100:
                with contextlib.suppress(OSError):
                    held = os.stat(f"/proc/{pid}/fd/{name}")
                    found.add((held.st_dev, held.st_ino))
    return found


class Attribution:
    """Which of some bots a process shows that it is of: by its session, its PSV_BOT and PSV_FLEET, or their open lock.

    `sessions` is `{bot: session}`, None where the session says nothing. One look at a process answers for all of these bots.
    """

    def __init__(self, paths: FleetPaths, sessions: Mapping[str, int | None]) -> None:
        self._fleet = b"PSV_FLEET=" + os.fsencode(paths.folder)
        self._marks = {f"PSV_BOT={bot}".encode(): bot for bot in sessions}
        self._sessions = {session: bot for bot, session in sessions.items() if session is not None}
        self._locks: dict[tuple[int, int], str] = {}
        for bot in sessions:
            with contextlib.suppress(OSError):
                lock = os.stat(paths.bot_run(bot) / "lock")
                self._locks[lock.st_dev, lock.st_ino] = bot

    def bots_of(self, pid: int) -> set[str]:
        """Return the bots that this process belongs to: none or one of them, unless somebody mixes their marks."""
        facts = read_stat(pid)
        if facts is None or facts[0] in "ZX":
            return set()
        found = {self._sessions[session] for session in {facts[2]} & self._sessions.keys()}
        found |= {self._locks[file] for file in high_files_of(pid) & self._locks.keys()}
        environment = marks_of(pid)
        if self._fleet in environment:
            found |= {self._marks[mark] for mark in environment & self._marks.keys()}
        return found

    def members(self, pids: Iterable[int], known: Container[int]) -> Iterator[tuple[str, list[Identity]]]:
        """Yield (bot, process and all below it) for each of `pids` that belongs to a bot and is not somebody else's (`known`)."""
        for pid in pids:
            # First who it is, then whose: whoever takes its number in between is not the one that is named (I3).
            identity = Identity.of(pid) if pid not in known else None
            if identity is not None:
                for bot in self.bots_of(pid):
                    yield bot, family(identity, known)


def twin_of(paths: FleetPaths, bot: str, generation: int, process: Identity) -> Identity | None:
    """Return another process of the same generation that signed the bot's lock, while it lives and shows that it is of this bot."""
    holder = read_holder(paths.bot_run(bot) / "lock") or {}
    identity = Identity.from_json(holder)
    if identity is None or identity == process or holder.get("generation") != generation or identity.liveness() is not Liveness.ALIVE:
        return None
    return identity if bot in Attribution(paths, {bot: None}).bots_of(identity.pid) else None  # a bot may have written anything


def family(root: Identity, known: Container[int]) -> list[Identity]:
    """Return a process and all that are below it, but for those that are somebody else's (`known`) and what these started.

    A child names its parent itself, and the parent still lives then: nobody who took the number of either is among them.
    """
    found = [root]
    for parent in found:
        facts = ((pid, read_stat(pid)) for pid in children_of(parent.pid) if pid not in known)
        children = [Identity(pid, f[3], boot_id(), pid_namespace()) for pid, f in facts if f and f[1] == parent.pid and f[0] not in "ZX"]
        if children and parent.liveness() is Liveness.ALIVE and len(found) < _MOST:
            found += children
    return found


def owners(paths: FleetPaths, bots: Iterable[str], known: Iterable[int]) -> dict[str, list[Identity]]:
    """Return `{bot: processes}` of all that show by lock or environment that they are of one of `bots`, with what is below them.

    One pass over /proc for all bots; `known` as for `leftovers`.
    """
    found: dict[str, list[Identity]] = {}
    for bot, members in Attribution(paths, dict.fromkeys(bots)).members(all_pids(), {os.getpid(), *known}):
        found.setdefault(bot, []).extend(members)
    return {bot: list(dict.fromkeys(identities)) for bot, identities in found.items()}


def leftovers(bot: str, paths: FleetPaths, session: int | None, keeper_pid: int, known: Iterable[int]) -> list[Identity]:
    """Return what a bot whose first process is gone left with the keeper, with everything below it.

    `known` are pids that are somebody else's: first processes of bots, own processes.
    """
    found = Attribution(paths, {bot: session}).members(children_of(keeper_pid), {os.getpid(), *known})
    return list(dict.fromkeys(identity for _, members in found for identity in members))


async def kill_leftovers(look: Callable[[], Awaitable[list[Identity]]], timeout_s: float = 5.0) -> list[Identity]:
    """SIGKILL what `look` finds left of a bot until nothing is, and return what still lives after `timeout_s` (normally nothing)."""
    deadline = mono() + timeout_s
    stopped: set[Identity] = set()
    while True:
        left = await look()
        if not left or mono() >= deadline:
            return left
        # A fork bomb is stopped before it is killed: whom SIGSTOP holds still fills the place that a new child would take.
        moving = [identity for identity in left if identity not in stopped]
        for identity in moving or left:
            send_signal(identity, signal.SIGSTOP if moving else signal.SIGKILL)
        stopped.update(moving)
        await asyncio.sleep(0 if moving else 0.01)  # no event tells that a process which is not our child has become a zombie
