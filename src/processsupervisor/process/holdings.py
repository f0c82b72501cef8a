"""What a keeper holds: locks, sockets, FIFOs, journal and children; taken once, and carried through its own exec.

`take` is for a new keeper and leaves nothing behind when it fails. `pack` and `unpack` bring everything into the keeper of
another copy of the package, which has the same pid, children and descriptors. Standard library only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processsupervisor.ipc.journal import Journal
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.kernel.files import hold_role_lock, read_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.subreaper import become_subreaper
from processsupervisor.process.fifos import Fifos, Pair
from processsupervisor.process.groundwork import bind_listeners, enter_epoch, list_fleet, open_to_group, raise_open_files
from processsupervisor.process.notify import ServiceManager
from processsupervisor.process.roles import Role, Roles
from processsupervisor.version import RECORD

_LISTENERS = ("keeper", "psv", "bot")
_MOST_PACKED_BYTES = 64 << 20


@dataclass(slots=True)
class Holdings:
    """One keeper's possessions and what it knows of its fleet; times are CLOCK_MONOTONIC, which an exec does not touch."""

    paths: FleetPaths
    is_foreground: bool
    progress_pid: int | None
    lock: int
    journal: Journal
    roles: Roles
    fifos: Fifos
    listeners: dict[str, socket.socket]
    manager: ServiceManager
    listed: Path | None
    down_timeout_s: float = 8.0
    down_deadline: float | None = None
    logd_away_since: float | None = None
    log_limits: dict[str, Any] | None = None
    """The last that psvd said of the disk space of logs, for a logd that comes later."""
    is_led_by_psvd: bool = False
    """The end of the fleet was begun by psvd, not by a signal: the first signal only hastens it."""
    down_status: int = 0

    @classmethod
    def take(cls, paths: FleetPaths, *, is_foreground: bool, progress_pid: int | None) -> Holdings:
        """Take the lock and everything else for a new keeper; raises PsvError or OSError."""
        paths.ensure()
        lock = hold_role_lock(paths.role_lock("keeper"), f"keeper pid {os.getpid()}")
        enter_epoch(paths)
        roles = Roles(paths, raise_open_files())
        journal = Journal(paths.journal)
        fifos = Fifos(paths)
        fifos.find()
        listeners = bind_listeners(paths, _LISTENERS)
        become_subreaper()
        applied = read_json(paths.applied)
        settings: dict[str, Any] = applied.get("fleet", {}) if isinstance(applied, dict) else {}
        if settings.get("control_group"):
            open_to_group(paths, str(settings["control_group"]))
        listed = list_fleet(paths, applied)
        held = cls(paths, is_foreground, progress_pid, lock, journal, roles, fifos, listeners, ServiceManager.of_environment(), listed)
        held.down_timeout_s = float(settings.get("down_timeout_s", 8.0))
        held.logd_away_since = mono()
        return held

    def pack(self, upgrade: dict[str, Any]) -> int:
        """Return an inheritable descriptor with everything in it, beside the facts of the upgrade under way.

        Every descriptor named in it is inheritable from now on; `unpack` or `keep` makes them private again.
        """
        links = {name: role.link.carry() for name, role in self.roles.by_name.items() if role.link is not None}
        carried = {
            "version": RECORD,
            "is_foreground": self.is_foreground,
            "progress_pid": self.progress_pid,
            "lock": self.lock,
            "original_nofile": list(self.roles.original_nofile),
            "roles": [role.to_json() for role in self.roles.by_name.values()],
            "links": links,
            "fifos": [dataclasses.asdict(pair) for pair in self.fifos.pairs.values()],
            "listeners": {name: listener.fileno() for name, listener in self.listeners.items()},
            "manager": self.manager.to_json(),
            "listed": str(self.listed) if self.listed is not None else None,
            "down_timeout_s": self.down_timeout_s,
            "down_deadline": self.down_deadline,
            "logd_away_since": self.logd_away_since,
            "log_limits": self.log_limits,
            "upgrade": upgrade,
        }
        descriptor = os.memfd_create("psv-keeper", 0)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(carried).encode())
        self._set_inheritable(True)
        return descriptor

    def keep(self) -> None:
        """Make every descriptor private again: to this keeper's children, or after an exec that was refused."""
        self._set_inheritable(False)

    def _set_inheritable(self, is_inheritable: bool) -> None:
        links = [role.link.fileno() for role in self.roles.by_name.values() if role.link is not None]
        pairs = [descriptor for pair in self.fifos.pairs.values() for descriptor in pair.descriptors.values()]
        for descriptor in (self.lock, *(s.fileno() for s in self.listeners.values()), *links, *pairs):
            os.set_inheritable(descriptor, is_inheritable)


def unpack(paths: FleetPaths, descriptor: int) -> tuple[Holdings, dict[str, Any]]:
    """Return what `pack` put into `descriptor` and the facts of the upgrade; the descriptor stays open for another reader.

    Nothing is closed or made private here, so that after a failure the former keeper's code can read it again. Raises
    ProtocolError when it is of a newer version than this code knows.
    """
    carried = json.loads(os.pread(descriptor, _MOST_PACKED_BYTES, 0))
    if carried["version"] > RECORD:
        raise ProtocolError(f"the keeper's state has version {carried['version']}, this psv knows {RECORD}")
    soft, hard = carried["original_nofile"]
    roles = Roles(paths, (int(soft), int(hard)))
    for facts in carried["roles"]:
        role = Role.from_json(facts)
        link = carried["links"].get(role.name)
        role.link = LineSocket.carried(link) if link is not None else None
        roles.by_name[role.name] = role
    fifos = Fifos(paths)
    for facts in carried["fifos"]:
        pair = Pair(**facts)
        fifos.pairs[pair.bot, pair.generation] = pair
    held = Holdings(
        paths,
        bool(carried["is_foreground"]),
        carried["progress_pid"],
        int(carried["lock"]),
        Journal(paths.journal),
        roles,
        fifos,
        {name: socket.socket(fileno=number) for name, number in carried["listeners"].items()},
        ServiceManager(**carried["manager"]),
        Path(carried["listed"]) if carried["listed"] else None,
        down_timeout_s=float(carried["down_timeout_s"]),
        down_deadline=carried.get("down_deadline"),
        logd_away_since=carried["logd_away_since"],
        log_limits=carried.get("log_limits"),
    )
    with contextlib.suppress(OSError):
        become_subreaper()
    return held, carried["upgrade"]
