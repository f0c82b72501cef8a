"""A cgroup per bot where this user may make one: the only sure way to kill a whole tree (cgroups(7), version 2).

A mount without controllers will do. Without any, everything else works by session, environment and lock; doctor says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.resources.scope import is_unit, scope_of

_KEEPERS_GROUP = "_scope"
"""No bot is named so: names begin with a letter or digit."""


def own_group() -> Path | None:
    """Return the folder of this process's version-2 cgroup, or None when there is no such mount."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        relative = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    for line in mounts:
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            folder = Path(fields[1] + relative)
            return folder if folder.is_dir() else None
    return None


def enable_limits(root: Path) -> None:
    """Give the groups below `root` the controllers that `root` itself was given, as far as the system allows.

    A group whose children have controllers may hold no process of its own (cgroups(7)): whoever is there, such as the sleeper
    that keeps a scope, moves into a group of its own first.
    """
    try:
        wanted = sorted({"memory", "pids"} & set((root / "cgroup.controllers").read_text().split()))
        if not wanted:
            return
        for pid in (root / "cgroup.procs").read_text().split():
            (root / _KEEPERS_GROUP).mkdir(exist_ok=True)
            (root / _KEEPERS_GROUP / "cgroup.procs").write_text(pid)
        (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
    except OSError:
        pass  # the limits are not to be had here: psv doctor says so


class Groups:
    """The cgroups of one fleet's bots; `root` is None where none can be made."""

    def __init__(self, paths: FleetPaths) -> None:
        self.root: Path | None = None
        self._is_scope = False
        own = own_group()
        if own is None:
            return
        scope = scope_of(paths, own) if is_unit(own) else None
        if scope is not None and os.access(scope / "cgroup.procs", os.W_OK):
            self.root, self._is_scope = scope, True
            enable_limits(scope)
            return
        root = own / f"psv-{hashlib.sha256(os.fsencode(paths.folder)).hexdigest()[:12]}"
        try:
            root.mkdir(exist_ok=True)
            if os.access(root / "cgroup.procs", os.W_OK) and os.access(own / "cgroup.procs", os.W_OK):
                self.root = root
                enable_limits(root)
        except OSError:
            pass

    def create(self, bot: str, memory_bytes: int | None, pids: int | None) -> str | None:
        """Make the bot's cgroup with its limits where controllers allow, and return its folder; None without cgroups."""
        if self.root is None:
            return None
        folder = self.root / bot
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            return None
        for name, value in (("memory.max", memory_bytes), ("pids.max", pids)):
            if value is not None:
                with contextlib.suppress(OSError):
                    (folder / name).write_text(str(value))
        return str(folder)

    @staticmethod
    def kill(group: str) -> bool:
        """SIGKILL every process in the group (cgroup.kill, Linux 5.14); False when the kernel has no such file."""
        try:
            Path(group, "cgroup.kill").write_text("1")
        except OSError:
            return False
        return True

    @staticmethod
    def is_populated(group: str) -> bool:
        """Tell whether a process lives in the group."""
        try:
            return "populated 1" in Path(group, "cgroup.events").read_text()
        except OSError:
            return False

    @staticmethod
    def members(group: str) -> list[int]:
        """Return the pids of the processes that live in the group."""
        try:
            return [int(line) for line in Path(group, "cgroup.procs").read_text().split()]
        except (OSError, ValueError):
            return []

    @staticmethod
    def oom_kills(group: str) -> int:
        """Return how many processes of the group the kernel killed for want of memory; 0 without a memory controller."""
        try:
            events = Path(group, "memory.events").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in events if line.startswith("oom_kill ")), 0)

    @staticmethod
    async def empty(group: str, timeout_s: float = 2.0) -> bool:
        """Kill what lives in the group until nothing does; False when something is left at the deadline."""
        deadline = mono() + timeout_s
        while Groups.is_populated(group):
            if mono() >= deadline:
                return False
            Groups.kill(group)
            await asyncio.sleep(0.01)  # cgroup.events can be watched, but not faster than a kill takes
        return True

    @staticmethod
    def remove(group: str) -> None:
        """Remove an empty group; a group still in use stays."""
        with contextlib.suppress(OSError):
            Path(group).rmdir()

    def close(self) -> None:
        """Remove the fleet's own group when it is empty; a scope ends with the process that held it."""
        if self.root is not None and self._is_scope:
            self.kill(str(self.root))
        elif self.root is not None:
            self.remove(str(self.root))
