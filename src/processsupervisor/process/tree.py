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
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths


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


def descendants_of(pid: int, limit: int = 10_000) -> list[int]:
    """Return all processes below `pid`, parents before children."""
    found: list[int] = []
    queue = [pid]
    while queue and len(found) < limit:
        children = children_of(queue.pop())
        found += children
        queue += children
    return found


def belongs_to(pid: int, bot: str, paths: FleetPaths, session: int | None) -> bool:
    """Tell whether `pid` shows that it is of this bot: its session, its PSV_BOT and PSV_FLEET, or its open lock."""
    facts = read_stat(pid)
    if facts is None or facts[0] in "ZX":
        return False
    if session is not None and facts[2] == session:
        return True
    lock: os.stat_result | None
    try:
        lock = os.stat(paths.bot_run(bot) / "lock")
    except OSError:
        lock = None
    marks = marks_of(pid)
    if f"PSV_BOT={bot}".encode() in marks and b"PSV_FLEET=" + os.fsencode(paths.folder) in marks:
        return True
    return lock is not None and (lock.st_dev, lock.st_ino) in high_files_of(pid)


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


def owners(paths: FleetPaths, bots: Iterable[str], known: Iterable[int]) -> dict[str, list[Identity]]:
    """Return `{bot: processes}` of all that show by lock or environment that they are of one of `bots`, with what is below them.

    One pass over /proc for all bots; `known` as for `leftovers`.
    """
    locks: dict[tuple[int, int], str] = {}
    marks = {f"PSV_BOT={bot}".encode(): bot for bot in bots}
    for bot in marks.values():
        with contextlib.suppress(OSError):
            facts = os.stat(paths.bot_run(bot) / "lock")
            locks[facts.st_dev, facts.st_ino] = bot
    ours, skip = b"PSV_FLEET=" + os.fsencode(paths.folder), {os.getpid(), *known}
    found: dict[str, list[Identity]] = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if pid in skip or stat is None or stat[0] in "ZX":
            continue
        named = [locks[file] for file in high_files_of(pid) & locks.keys()]
        environment = marks_of(pid)
        if not named and ours in environment:
            named = [marks[mark] for mark in environment & marks.keys()]
        for bot in named[:1]:
            members = (identity for member in (pid, *descendants_of(pid)) if member not in skip and (identity := Identity.of(member)))
            found.setdefault(bot, []).extend(members)
    return {bot: list(dict.fromkeys(identities)) for bot, identities in found.items()}


def leftovers(bot: str, paths: FleetPaths, session: int | None, keeper_pid: int | None, known: Iterable[int]) -> list[Identity]:
    """Return what is left of a bot whose first process is gone, with everything below it.

    `known` are pids that are somebody else's: first processes of bots, own processes.
    """
    roots = children_of(keeper_pid) if keeper_pid is not None else all_pids()
    skip = {os.getpid(), *known}
    found: list[Identity] = []
    for pid in roots:
        if pid in skip or not belongs_to(pid, bot, paths, session):
            continue
        for member in (pid, *descendants_of(pid)):
            identity = Identity.of(member)
            if identity is not None and member not in skip:
                found.append(identity)
    return found


async def kill_leftovers(
    bot: str, paths: FleetPaths, session: int | None, keeper_pid: int | None, known: Iterable[int], timeout_s: float = 5.0
) -> list[Identity]:
    """SIGKILL what is left of a bot until nothing is, and return what still lives after `timeout_s` (normally nothing)."""
    deadline = mono() + timeout_s
    known = set(known)
    stopped: set[Identity] = set()
    while True:
        left = leftovers(bot, paths, session, keeper_pid, known)
        if not left or mono() >= deadline:
            return left
        # A fork bomb is stopped before it is killed: whom SIGSTOP holds still fills the place that a new child would take.
        moving = [identity for identity in left if identity not in stopped]
        for identity in moving or left:
            send_signal(identity, signal.SIGSTOP if moving else signal.SIGKILL)
        stopped.update(moving)
        await asyncio.sleep(0 if moving else 0.01)  # no event tells that a process which is not our child has become a zombie
