"""Who a process is: pid and start time and boot id and pid namespace, because a pid alone is reused.

Also where this machine user keeps what concerns all fleets (runtime_folder). Linux's /proc only; elsewhere every
question about a process is answered "cannot tell" and the module still imports.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from processsupervisor.kernel.errors import SystemRefused

_MAX_ANCESTORS = 64


class Liveness(StrEnum):
    """Whether an identity still runs. A zombie counts as gone: its status is the keeper's to read."""

    ALIVE = "alive"
    GONE = "gone"
    UNVERIFIABLE = "unverifiable"


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot, or an empty string where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def pid_namespace() -> int:
    """Return the inode of this process's pid namespace; 0 where there is none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def read_fields(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat from the state letter on (proc(5) counts it as the third), or None when it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def read_stat(pid: int) -> tuple[str, int, int, int] | None:
    """Return (state letter, parent pid, session id, start time in clock ticks since boot) of `pid`, or None when it is not there."""
    fields = read_fields(pid)
    if fields is None or len(fields) < 20:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19])


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever: no later process of this machine has the same identity."""

    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of the process that has `pid` now, or None when there is none."""
        found = read_stat(pid)
        return None if found is None else cls(pid, found[3], boot_id(), pid_namespace())

    @classmethod
    def from_json(cls, value: object) -> Identity | None:
        """Rebuild an identity written by `to_json`; None when the value is not one."""
        if not isinstance(value, dict):
            return None
        try:
            return cls(int(value["pid"]), int(value["start_ticks"]), str(value["boot_id"]), int(value["pid_namespace"]))
        except (KeyError, TypeError, ValueError):
            return None

    def to_json(self) -> dict[str, object]:
        """Return the four fields under their own names."""
        return {"pid": self.pid, "start_ticks": self.start_ticks, "boot_id": self.boot_id, "pid_namespace": self.pid_namespace}

    def liveness(self) -> Liveness:
        """Tell whether this very process runs; UNVERIFIABLE when it belongs to another pid namespace or cannot be looked at."""
        if self.boot_id != boot_id():
            return Liveness.GONE
        if self.pid_namespace != pid_namespace():
            return Liveness.UNVERIFIABLE
        found = read_stat(self.pid)
        if found is None:
            # It may be there and only not be read: a stat needs no descriptor, an open at their limit does.
            return Liveness.UNVERIFIABLE if os.path.exists(f"/proc/{self.pid}") else Liveness.GONE
        return Liveness.ALIVE if found[3] == self.start_ticks and found[0] not in "ZX" else Liveness.GONE

    def open_pidfd(self) -> int | None:
        """Return a pidfd of this very process, or None when it is gone.

        The pidfd is opened first and the start time compared afterwards: while the descriptor is open the pid cannot
        be given to another process, so what was compared is what the descriptor names (invariant I3).
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        except OSError as err:
            raise SystemRefused(f"cannot open a pidfd: {err.strerror}", hint="raise the limit of open files") from err
        if self.liveness() is Liveness.ALIVE:
            return descriptor
        os.close(descriptor)
        return None


def start_boottime(identity: Identity) -> float:
    """Return when the process began, in seconds of CLOCK_BOOTTIME; proc(5) counts in clock ticks."""
    return identity.start_ticks / os.sysconf("SC_CLK_TCK")


def send_signal(identity: Identity | None, number: int) -> bool:
    """Send a signal to exactly this process; False when it is gone, of a user we may not signal, or descriptors ran out."""
    if identity is None:
        return False
    try:
        descriptor = identity.open_pidfd()
    except SystemRefused:
        return False  # whoever needs the signal tries again
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True


def ancestors_of(pid: int) -> list[int]:
    """Return the processes above `pid`, its parent first, as far as they can be followed."""
    found: list[int] = []
    while len(found) < _MAX_ANCESTORS and (facts := read_stat(pid)) is not None and facts[1] != 0:
        pid = facts[1]
        found.append(pid)
    return found


def is_below(pid: int, ancestor: int) -> bool:
    """Tell whether `ancestor` is above `pid`, as far as parents can be followed."""
    return ancestor in ancestors_of(pid)


def runtime_folder() -> Path:
    """Return the private folder of this machine user for locks and the list of fleets; created 0700.

    `PSV_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/psv`, else `/tmp/psv-UID`. Raises SystemRefused when it belongs to somebody else.
    """
    uid = os.getuid() if hasattr(os, "getuid") else 0
    explicit = os.environ.get("PSV_RUNTIME_DIR")
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if explicit:
        folder = Path(explicit)
    elif xdg and sys.platform == "linux" and Path(xdg).is_dir() and os.access(xdg, os.W_OK):
        folder = Path(xdg) / "psv"
    else:
        folder = Path("/tmp" if os.name == "posix" else os.environ.get("TEMP", ".")) / f"psv-{uid}"
    folder.mkdir(mode=0o700, parents=bool(explicit), exist_ok=True)
    facts = folder.lstat()
    if hasattr(os, "getuid") and (facts.st_uid != uid or not stat.S_ISDIR(facts.st_mode)):
        raise SystemRefused(f"{folder} belongs to somebody else", hint="set PSV_RUNTIME_DIR to a folder of your own")
    for child in ("locks", "fleets"):
        (folder / child).mkdir(mode=0o700, exist_ok=True)
    return folder
