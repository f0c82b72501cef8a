"""How a fleet ends: politely role by role, or by killing every descendant until none is left.

The keeper is the subreaper of all, so whatever any bot left behind is among its descendants.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace, read_stat, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder

if TYPE_CHECKING:
    from processsupervisor.process.roles import Roles  # which only Linux has

_POLITE_S = 2.0
_FORCED_S = 3.0


def end_roles(roles: Roles, drain_logd: Callable[[], None], spare: int | None) -> None:
    """Stop the roles: first whoever may still log, then logd, which drains; SIGKILL for those that do not go."""
    reach(CrashPoint.KEEPER_BEFORE_ROLES_END)
    others = [r.identity for name, r in roles.by_name.items() if name != "logd" and r.identity is not None]
    for identity in others:
        send_signal(identity, signal.SIGTERM)
    wait_gone(others, _POLITE_S)
    reach(CrashPoint.KEEPER_BEFORE_LOGD_ENDS)
    drain_logd()
    logd = roles.by_name["logd"].identity
    everyone = [*others, *([logd] if logd else [])]
    wait_gone(everyone, _POLITE_S)
    for identity in everyone:
        send_signal(identity, signal.SIGKILL)
    # Whatever is still below us belongs to no one any more: born while psvd was dying, or escaped from its bot.
    kill_descendants(spare=spare)
    reach(CrashPoint.KEEPER_ROLES_ENDED)


def wait_gone(identities: list[Identity], timeout_s: float) -> None:
    """Wait until all these processes have ended (as zombies at least), at most `timeout_s`."""
    deadline = mono() + timeout_s
    for identity in identities:
        descriptor = identity.open_pidfd()
        if descriptor is None:
            continue
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.poll(max(0.0, deadline - mono()) * 1000)
        os.close(descriptor)


def _descendants(root: int) -> list[Identity]:
    parents: dict[int, int] = {}
    members: dict[int, Identity] = {}  # taken with the parent: who gets a number afterwards is not meant (I3)
    for name in os.listdir("/proc"):
        if name.isdigit():
            facts = read_stat(int(name))
            if facts is not None:
                parents[int(name)] = facts[1]
                members[int(name)] = Identity(int(name), facts[3], boot_id(), pid_namespace())
    found: list[Identity] = []
    for pid in parents:
        ancestor, steps = pid, 0
        while ancestor not in (0, root) and steps < 64:
            ancestor, steps = parents.get(ancestor, 0), steps + 1
        if ancestor == root and pid != root:
            found.append(members[pid])
    return found


def kill_adopted(paths: FleetPaths, roles: Roles) -> None:
    """SIGKILL own processes and bots that an earlier keeper started: they are not below this one."""
    for role in roles.by_name.values():
        send_signal(role.identity, signal.SIGKILL)
    for lock in paths.run.glob("bots/*/lock"):
        send_signal(Identity.from_json(read_holder(lock)), signal.SIGKILL)


def kill_descendants(spare: int | None) -> None:
    """SIGKILL every descendant but `spare` and reap until no child is left."""
    deadline = mono() + _FORCED_S
    while mono() < deadline:
        living = [i for i in _descendants(os.getpid()) if i.pid != spare]
        for identity in living:
            send_signal(identity, signal.SIGKILL)
        wait_gone(living, 0.5)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not living:
            return


def sign_off(paths: FleetPaths) -> None:
    """Let no lock file name a process that this keeper has ended: somebody may read a pid there and signal whoever has it next."""
    for lock in set(paths.run.glob("*.lock")) - {paths.role_lock("keeper")}:
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            length = len(file.read())
            file.seek(0)
            file.write(b"nobody".ljust(length))  # over what is there: on a full disk its block is enough


def await_progress(pid: int | None) -> None:
    """Give the process that prints progress a moment for its last line."""
    if pid is None:
        return
    identity = Identity.of(pid)
    if identity is not None:
        wait_gone([identity], 1.5)
