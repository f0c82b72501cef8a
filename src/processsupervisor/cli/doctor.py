"""`psv doctor`: what this machine lacks for the fleet, each with what happens instead. It changes nothing.

Only a bad finding makes the status 1. What is asked with --online is online's.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from processsupervisor.cli import machine
from processsupervisor.cli.finding import Finding
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, PsvError, UsageError
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.identity import runtime_folder
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.units import format_bytes
from processsupervisor.kernel.zone import local_zone_problem
from processsupervisor.launch.known import is_kept

FILES_PER_BOT = 4
OWN_FILES = 128
PIPE_PAGES_PER_BOT = 8
"""Two FIFOs of 16 KiB."""


class Patient(NamedTuple):
    """The fleet that is looked at: its paths (None outside of a fleet) and how many bots it has."""

    paths: FleetPaths | None
    bots: int


def doctor(session: Session, command: Command, *, online: bool, base_url: str | None, timeout_s: float) -> int:
    """Print all findings."""
    if base_url is not None and not online:
        raise UsageError("--base-url goes with --online", hint="psv doctor --online --base-url telegram=URL")
    patient = _patient(session)
    findings = [finding for check in CHECKS for finding in check(patient)]
    if patient.paths is not None:
        findings += _running(session)
        findings += _online(patient.paths, base_url, timeout_s) if online else []
    if session.as_json:
        session.print_json([finding._asdict() for finding in findings])
    else:
        print_table(("CHECK", "", "FOUND", "WHAT HAPPENS INSTEAD"), [tuple(finding) for finding in findings])
    return EXIT_FAILED if any(finding.level == "bad" for finding in findings) else EXIT_OK


def _patient(session: Session) -> Patient:
    try:
        paths = session.paths
    except UsageError:
        return Patient(None, 0)
    applied: object = read_json(paths.applied)
    if not isinstance(applied, dict):
        try:
            applied = tomllib.loads(paths.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            applied = {}
    bots = applied.get("bots")
    return Patient(paths, len(bots) if isinstance(bots, (list, dict)) else 0)


def _python(patient: Patient) -> Iterator[Finding]:
    yield Finding("python", "ok", "{}.{}.{}".format(*sys.version_info[:3]))
    missing = [name for name, instead in _LIBRARIES.items() if find_spec(name) is None]
    for name in missing:
        yield Finding(name, "note", "not installed", _LIBRARIES[name])


_LIBRARIES = {
    "uvloop": "psvd and bots run on asyncio's own loop, some 20 % slower",
    "setproctitle": "ps shows bots under their zygote's name; psv still knows them",
}


def _kernel(patient: Patient) -> Iterator[Finding]:
    if sys.platform != "linux":
        yield Finding("kernel", "bad", sys.platform, f"fleets need Linux; {machine.CONTAINER_HINT}")
        return
    version = machine.kernel_version()
    if version < machine.MINIMUM_KERNEL:
        yield Finding("kernel", "bad", os.uname().release, "fleets need Linux 5.10 or newer")
    elif version < (5, 14):
        instead = "no cgroup.kill before 5.14: a bot's tree is frozen and killed process by process"
        yield Finding("kernel", "note", os.uname().release, instead)
    else:
        yield Finding("kernel", "ok", os.uname().release)
    if not hasattr(os, "pidfd_open"):
        yield Finding("pidfd", "bad", "not in this Python", "processes could not be told apart for certain; use another build of Python")
    offsets = _read("/proc/self/timens_offsets").split()
    if any(word.lstrip("-").isdigit() and word != "0" for word in offsets):
        instead = "start psv in the same time namespace every time, or its bots are not found again"
        yield Finding("time namespace", "note", "clocks are shifted", instead)


def _cgroups(patient: Patient) -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    instead = "a bot's processes are found by session and marker; memory is measured as PSS; no memory limits"
    mounts = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    mount = next((words[4] for words in mounts if "cgroup2" in words[words.index("-"):]), None)
    if mount is None:
        yield Finding("cgroups", "note", "no cgroup2 mount", instead)
        return
    own = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    folder = Path(mount) / own.lstrip("/")
    if not os.access(folder, os.W_OK):
        yield Finding("cgroups", "note", f"{folder} may not be written", instead + "; systemd-run --user --scope -p Delegate=yes gives one")
        return
    controllers = _read(folder / "cgroup.controllers").split()
    lacking = [name for name in ("memory", "pids") if name not in controllers]
    if lacking:
        yield Finding("cgroups", "note", f"no controller {', '.join(lacking)}", "trees are killed whole, but not limited or measured by it")
    else:
        yield Finding("cgroups", "ok", str(folder))


def _memory(patient: Patient) -> Iterator[Finding]:
    if sys.platform == "linux" and patient.paths is not None and not is_kept(patient.paths):
        instead = "logs show what env:, file:, cmd: and secret: stood for, where it does not look like a secret"
        yield Finding("memory", "note", "no /dev/shm in memory with a private folder", instead)


def _limits(patient: Patient) -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    import resource

    needed = patient.bots * FILES_PER_BOT + OWN_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        most = f"only some {max(0, (hard - OWN_FILES) // FILES_PER_BOT)} of {patient.bots} bots can start"
        yield Finding("open files", "bad", f"{hard}, needed {needed}", f"{most}; raise ulimit -Hn")
    else:
        yield Finding("open files", "ok", f"{hard}, needed {needed}")
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.getuid() != 0 and processes != resource.RLIM_INFINITY and processes < patient.bots + 64:
        yield Finding("processes", "bad", str(processes), f"not all of {patient.bots} bots can start; raise ulimit -Hu")
    pages = _number("/proc/sys/fs/pipe-user-pages-soft")
    if os.getuid() != 0 and 0 < pages < patient.bots * PIPE_PAGES_PER_BOT:
        yield Finding("pipes", "note", f"{pages} pages, needed {patient.bots * PIPE_PAGES_PER_BOT}",
                      "further bots get pipes of one page and write more slowly; raise fs.pipe-user-pages-soft")
    else:
        yield Finding("pipes", "ok", f"{pages or 'unlimited'} pages")
    for name, least in (("max_user_instances", 16), ("max_user_watches", 1024)):
        number = _number(f"/proc/sys/fs/inotify/{name}")
        if number < least:
            instead = f"files are looked at now and then instead of watched; raise fs.inotify.{name}"
            yield Finding("inotify", "note", f"{name} {number}", instead)
            return
    yield Finding("inotify", "ok", "available")


def _folder(patient: Patient) -> Iterator[Finding]:
    try:
        yield Finding("runtime folder", "ok", str(runtime_folder()))
    except (PsvError, OSError) as err:
        yield Finding("runtime folder", "bad", str(err), "locks of tokens cannot be kept across fleets; set PSV_RUNTIME_DIR")
    if patient.paths is None:
        yield Finding("fleet", "note", "none here", "what depends on a fleet was not looked at; give -C DIR")
        return
    folder = patient.paths.run if patient.paths.run.is_dir() else patient.paths.folder
    problem = machine.probe_folder(folder) if sys.platform == "linux" else ""
    if problem:
        yield Finding("file system", "bad", problem, "the fleet cannot start here; put its folder on a local file system")
    else:
        yield Finding("file system", "ok", f"flock, FIFOs and sockets work in {folder}")
    usage = shutil.disk_usage(folder)
    percent = 100 * usage.free / max(1, usage.total)
    free = f"{format_bytes(usage.free)} free ({percent:.0f} %)"
    if percent < 5:
        yield Finding("disk", "note", free, "below [fleet] disk_free_percent the oldest log lines are dropped, counted")
    else:
        yield Finding("disk", "ok", free)


def _zone(patient: Patient) -> Iterator[Finding]:
    problem = local_zone_problem()
    name = os.environ.get("TZ") or "that of /etc/localtime"
    instead = f"{problem}; give schedules a tz, or correct TZ" if problem else ""
    yield Finding("time zone", "note" if problem else "ok", name, instead)


def _online(paths: FleetPaths, base_url: str | None, timeout_s: float) -> list[Finding]:
    from processsupervisor.cli.online import ask_all  # here, because it loads TLS, HTTP and pydantic

    return ask_all(paths, base_url, timeout_s)


def _running(session: Session) -> list[Finding]:
    """Return what the running fleet itself has to note, e.g. a preloaded module that started a thread."""
    try:
        with session.client(3.0) as client:
            notes = client.call("fleet.status").get("notes") or []
    except (PsvError, OSError):
        return []
    return [Finding(str(note.get("subject")), "note", str(note.get("message"))) for note in notes if isinstance(note, dict)]


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (_python, _kernel, _cgroups, _limits, _folder, _memory, _zone)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: str) -> int:
    try:
        return int(_read(path))
    except ValueError:
        return 0
