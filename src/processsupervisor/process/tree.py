"""The whole tree of a bot: what belongs to it besides its first process, and killing all of that.

The keeper is the subreaper, so whatever a dead bot leaves behind becomes the keeper's child: one read of its list of
children shows all candidates. A candidate is attributed by session, by environment, or by an inherited descriptor of the
bot's lock; what shows none of the three is not touched. Every signal goes through a pidfd (invariant I3).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import FIRST_HIGH_FD


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
    try:
        marks = set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        if f"PSV_BOT={bot}".encode() in marks and b"PSV_FLEET=" + os.fsencode(paths.folder) in marks:
            return True
        return _has_open(pid, paths.bot_run(bot) / "lock", FIRST_HIGH_FD)
    except OSError:
        return False


def _has_open(pid: int, path: Path, first: int) -> bool:
    wanted = os.stat(path)
    for name in os.listdir(f"/proc/{pid}/fd"):
        if int(name) >= first:
            held = os.stat(f"/proc/{pid}/fd/{name}")
            if (held.st_dev, held.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def holder_of(lock: Path) -> Identity | None:
    """Return the own process whose pid a role lock names, if it has that very file open; None when that is not certain."""
    try:
        pid = int(lock.read_text().split()[-1])
        identity = Identity.of(pid)
        return identity if _has_open(pid, lock, 3) else None
    except (OSError, ValueError, IndexError):
        return None


def leftovers(bot: str, paths: FleetPaths, session: int | None, keeper_pid: int | None, known: Iterable[int]) -> list[Identity]:
    """Return what is left of a bot whose first process is gone, with everything below it.

    `known` are pids that are somebody else's: first processes of bots, own processes.
    """
    roots = children_of(keeper_pid) if keeper_pid is not None else [int(n) for n in os.listdir("/proc") if n.isdigit()]
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
    while True:
        left = leftovers(bot, paths, session, keeper_pid, known)
        if not left or mono() >= deadline:
            return left
        for identity in left:
            send_signal(identity, signal.SIGKILL)
        await asyncio.sleep(0.01)  # no event tells that a process which is not our child has become a zombie
