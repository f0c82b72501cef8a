"""The keeper's own children that are not bots: psvd and logd kept alive, zygotes and web started when psvd asks.

Each runs in a session of its own with its stderr in logs/psv/ROLE.err. A role that dies at once is started again with a
growing delay, never in a tight loop. Every role that said hello and then gives no pong for WEDGED_AFTER_S is killed by pidfd, and so is
the psvd or logd of an earlier keeper that does not say hello to this one. Kept ones are replaced here, the others when psvd, which
is told, wants them. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import Exhausted, PsvError
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.launch.steps import fork_with_signals_blocked, reset_signals, restore_signals_for_exec

WEDGED_AFTER_S = 10.0
PING_EVERY_S = 3.0
_DELAYS_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_AFTER_S = 30.0
_LOCK_HELD_S = 0.3
_ERR_FILE_BYTES = 1 << 20

KEPT = {"logd": "processsupervisor.process.logd", "psvd": "processsupervisor.app.psvd"}
"""The roles that the keeper itself keeps alive, and their modules."""
_WITHOUT_PSVD = "notify"
"""Started by psvd, and by the keeper again when it ends while psvd is away: it is the one to tell people of that."""
_WITHOUT_PSVD_S = 1.0


@dataclass(slots=True)
class Role:
    """One own process. `is_kept` roles are restarted by the keeper itself."""

    name: str
    argv: list[str]
    is_kept: bool
    env: dict[str, str] | None = None
    identity: Identity | None = None
    generation: int = 0
    quick_deaths: int = 0
    started_mono: float = 0.0
    start_at_mono: float | None = None
    has_served: bool = False
    link: LineSocket | None = None
    pong_mono: float = 0.0
    code: str = ""
    """Which copy of the package it runs, as it says itself."""
    held_since: float | None = None
    """Since when, monotonic, its start waits for the process that has its lock: one of an earlier keeper's."""

    def facts(self) -> dict[str, object]:
        """Return `{role, pid, start_ticks, generation}` for psvd."""
        identity = self.identity
        return {
            "role": self.name,
            "pid": identity.pid if identity else None,
            "start_ticks": identity.start_ticks if identity else None,
            "generation": self.generation,
            "code": self.code,
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but the link, for the keeper that this one becomes."""
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("identity", "link", "held_since")}
        return facts | {"identity": self.identity.to_json() if self.identity is not None else None}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Role:
        """Rebuild a role from `to_json`, without its link."""
        return cls(**(facts | {"identity": Identity.from_json(facts["identity"])}))


@dataclass(slots=True)
class Roles:
    """All roles by name, and the limits psv was started with (children get those, not the keeper's raised ones)."""

    paths: FleetPaths
    original_nofile: tuple[int, int]
    by_name: dict[str, Role] = field(default_factory=dict)

    def keep_all(self, code: Code) -> None:
        """Register the roles of KEPT, which are started now and whenever they end."""
        for name in KEPT:
            self.by_name[name] = Role(name, self.argv_of(name, code), is_kept=True, start_at_mono=mono())

    def argv_of(self, name: str, code: Code) -> list[str]:
        """Return the command line of a kept role in a copy of the package."""
        return code.argv(KEPT[name], str(self.paths.folder))

    def request(self, name: str, argv: list[str], env: dict[str, str] | None) -> Role:
        """Start a role for psvd, who watches over it; the same name must not be running. Raises Exhausted when the fork is refused."""
        role = self.by_name.get(name) or Role(name, argv, is_kept=False)
        role.argv, role.env = argv, env
        self.by_name[name] = role
        self.spawn(role)
        if role.start_at_mono is not None:
            role.start_at_mono = None  # psvd decides when to ask again
            raise Exhausted(f"cannot fork {name}", hint="the machine is out of processes or memory; it is tried again")
        return role

    def spawn(self, role: Role) -> None:
        """Fork and exec one role; a failed fork is tried again by the delay.

        A kept role whose lock is held lives on from an earlier keeper: it will say hello, or end and free the lock.
        """
        role.start_at_mono = None
        try:
            is_held = role.is_kept and is_flocked(self.paths.role_lock(role.name))
        except OSError:
            is_held = True  # no descriptor to look with: try again
        if is_held:
            role.held_since = role.held_since or mono()
            role.start_at_mono = mono() + _LOCK_HELD_S
            return
        role.held_since = None
        reach(CrashPoint.KEEPER_BEFORE_SPAWN)
        try:
            pid = fork_with_signals_blocked()
        except OSError:
            role.quick_deaths += 1
            role.start_at_mono = mono() + _DELAYS_S[min(role.quick_deaths, len(_DELAYS_S) - 1)]
            return
        if pid == 0:
            self._become(role)
        reach(CrashPoint.KEEPER_SPAWNED)
        role.identity = Identity.of(pid)
        role.generation += 1
        role.code = ""
        role.started_mono = role.pong_mono = mono()

    def _become(self, role: Role) -> None:
        """Run in the child: own session, stderr into a bounded file, exec; never returns."""
        try:
            os.setsid()
            null = os.open("/dev/null", os.O_RDWR)
            path = self.paths.own_logs / f"{_family(role.name)}.err"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with contextlib.suppress(OSError):
                if path.stat().st_size > _ERR_FILE_BYTES:
                    flags |= os.O_TRUNC
            try:
                err = os.open(path, flags, 0o600)
            except OSError:
                err = null
            for target, source in ((0, null), (1, err), (2, err)):
                os.dup2(source, target, inheritable=True)
            os.closerange(3, 65536)
            if not role.is_kept:
                # Bots inherit their limits from their zygote: give it those psv was started with.
                import resource

                resource.setrlimit(resource.RLIMIT_NOFILE, self.original_nofile)
            reset_signals()
            restore_signals_for_exec()
            os.execve(role.argv[0], role.argv, role.env if role.env is not None else dict(os.environ))
        except BaseException as err:  # noqa: BLE001 - a forked child must never return into the keeper's loop
            with contextlib.suppress(OSError):
                os.write(2, f"psv: cannot start {role.name}: {err}\n".encode())
        finally:
            os._exit(127)

    def is_held_by(self, role: Role, pid: int) -> bool:
        """Tell whether the role's lock is held, and `pid` wrote itself into it: nobody else is believed to be the role."""
        path = self.paths.role_lock(role.name)
        try:
            return is_flocked(path) and _pid_in(path.read_text()) == pid
        except (OSError, PsvError):
            return False

    def take_over(self, role: Role, pid: int) -> None:
        """Accept a role's process that an earlier keeper started: it holds the role's lock, so it is the role."""
        reach(CrashPoint.KEEPER_HELLO_TAKEN)
        if role.identity is None or role.identity.pid != pid:
            role.identity = Identity.of(pid)
            role.generation += 1
            role.started_mono = mono()
        role.start_at_mono = role.held_since = None

    def revive(self, role: Role) -> None:
        """Plan a start of a kept role whose link broke: no SIGCHLD tells of a process that an earlier keeper started.

        While the role's lock is held the start only waits, so a process that merely reconnects is left alone.
        """
        if role.is_kept and role.start_at_mono is None:
            role.start_at_mono = mono() + _LOCK_HELD_S

    def ended(self, pid: int) -> Role | None:
        """Note the end of a role's process and plan its next start; None when `pid` is no role's."""
        for role in self.by_name.values():
            if role.identity is not None and role.identity.pid == pid:
                role.identity = None
                if _family(role.name) != role.name:
                    del self.by_name[role.name]  # the next one has another epoch
                if role.is_kept:
                    now = mono()
                    role.quick_deaths = 0 if now - role.started_mono > _STEADY_AFTER_S else role.quick_deaths + 1
                    if role.has_served:
                        # It worked, so something from outside ended it: the next one may come at once.
                        role.quick_deaths = 1
                    role.has_served = False
                    role.start_at_mono = now + _DELAYS_S[min(max(role.quick_deaths - 1, 0), len(_DELAYS_S) - 1)]
                elif role.name == _WITHOUT_PSVD and self.by_name["psvd"].link is None:
                    role.start_at_mono = mono() + _WITHOUT_PSVD_S
                return role
        return None

    def due(self, now: float) -> list[Role]:
        """Return the roles whose start is due. With psvd back, what the keeper was to start in its place is psvd's again."""
        if _WITHOUT_PSVD in self.by_name and self.by_name["psvd"].link is not None:
            self.by_name[_WITHOUT_PSVD].start_at_mono = None
        return [r for r in self.by_name.values() if r.start_at_mono is not None and r.start_at_mono <= now]

    def next_due(self) -> float | None:
        """Return the monotonic time of the next planned start."""
        return min((r.start_at_mono for r in self.by_name.values() if r.start_at_mono is not None), default=None)

    def kill_wedged(self, now: float) -> list[str]:
        """SIGKILL roles that gave no pong in time; returns their names. Only a kept one must say hello in time too."""
        killed = []
        for role in self.by_name.values():
            # One that never said hello has longer: its first start may have to import from a cold disk.
            patience_s = WEDGED_AFTER_S if role.link is not None else WEDGED_AFTER_S * 3
            is_wedged = (role.is_kept or role.link is not None) and now - role.pong_mono > patience_s
            if role.held_since is not None:
                is_killed = now - role.held_since > WEDGED_AFTER_S and send_signal(self._holder(role), signal.SIGKILL)
            else:
                is_killed = is_wedged and send_signal(role.identity, signal.SIGKILL)
            if is_killed:
                killed.append(role.name)
        return killed

    def _holder(self, role: Role) -> Identity | None:
        """Return the process that wrote itself into a role's lock, if it has that file open still."""
        path = self.paths.role_lock(role.name)
        try:
            identity = Identity.of(_pid_in(path.read_text()))
            return identity if identity is not None and _has_open(identity.pid, path) else None
        except (OSError, PsvError):
            return None

    def forgive(self, now: float) -> None:
        """Give every role its patience anew: the keeper itself was stopped, so nobody could have answered it."""
        for role in self.by_name.values():
            role.pong_mono = now
            role.held_since = now if role.held_since is not None else None


def _family(name: str) -> str:
    """Return a role's name without the epoch that zygotes have."""
    return name.rpartition("-")[0] if name.startswith("zygote-") else name


def _has_open(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open; raises OSError when that cannot be seen."""
    wanted = path.stat()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                return True
    return False


def _pid_in(note: str) -> int:
    """Return the pid in a role's lock: "psvd pid 12", or a zygote's identity as JSON."""
    try:
        return int(json.loads(note)["pid"]) if note.startswith("{") else int(note.rsplit(maxsplit=1)[-1])
    except (ValueError, KeyError, IndexError):
        return 0
