"""Which bots of a fleet run outside of it: by working folder and command line in /proc, and the command that stops each there.

Only processes that the user may see are looked at, and nothing is signalled. A bot of any psv fleet does not count. Who started a
process is told by what supervisord and pm2 put into its environment, and by its cgroup for systemd. Standard library only.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.config.spec import BotSpec

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
_UNIT = re.compile(r"/([^/]+\.service)(?=/|$)")
_USER_MANAGER = re.compile(r"user@\d+\.service")
_SHELLS_OF_PEOPLE = frozenset({"ssh.service", "sshd.service", "cron.service", "crond.service", "docker.service", "containerd.service"})
"""Units whose cgroup a program is in without being theirs to stop."""
_ASKED = frozenset({"SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME", "SUPERVISOR_SERVER_URL", "pm_id", "name", "PSV_BOT"})


@dataclass(frozen=True, slots=True)
class Running:
    """A bot that runs elsewhere: `by` "supervisord", "pm2", "systemd" or "hand", and the one command that ends it there."""

    bot: str
    pid: int
    by: str
    stop: str

    @property
    def text(self) -> str:
        """Return what is wrong and what to do, on one line."""
        by = "started by hand" if self.by == "hand" else f"under {self.by}"
        return f"it runs elsewhere ({by}, pid {self.pid}); stop it there: {self.stop}"


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    argv: list[str]
    is_title: bool
    """The program has overwritten its command line: arguments may be missing."""


def find_elsewhere(specs: list[BotSpec], proc: Path = Path("/proc")) -> list[Running]:
    """Return what runs elsewhere, in the order of `specs`; of a program and its children the topmost process."""
    by_folder: dict[str, list[_Process]] = defaultdict(list)
    for cwd, process in _processes(proc):
        by_folder[cwd].append(process)
    found: list[Running] = []
    taken: set[int] = set()
    for spec in specs:
        cwd = os.path.realpath(spec["cwd"])
        hits = {p.pid: p for p in by_folder.get(cwd, []) if p.pid not in taken and _is_same(_words(spec), p, cwd)}
        for pid, process in sorted(hits.items()):
            environment = _environment(proc, pid)
            if process.parent in hits or "PSV_BOT" in environment:
                continue
            taken.add(pid)
            found.append(Running(spec["name"], pid, *_supervisor(proc, pid, environment)))
    return found


def elsewhere_now(spec: BotSpec) -> str | None:
    """Return why the bot may not be started now: it runs elsewhere still."""
    found = find_elsewhere([spec])
    return f"{found[0].text}, then psv start {spec['name']}" if found else None


def _words(spec: BotSpec) -> list[str]:
    """Return the words of the command line that make it this bot: the program and its arguments, without an interpreter."""
    return _bare([spec["script"], *spec["args"]] if spec["script"] else [*(spec["command"] or []), *spec["args"]])


def _bare(argv: list[str]) -> list[str]:
    words = list(argv)
    while len(words) > 1 and (_PYTHON.fullmatch(Path(words[0]).name) or words[0] == "-u" or Path(words[0]).name == "env"):
        del words[0]
    return words


def _is_same(wanted: list[str], process: _Process, cwd: str) -> bool:
    """Compare word by word; a file may be named by any path, and a program with a #! line has its interpreter before it."""
    if not wanted:
        return False
    words = _bare(process.argv)
    for start in (0, 1):
        given = words[start:]
        if process.is_title:
            expected = wanted[: len(given)]
            if len(given) >= min(2, len(wanted)) and _are_same(given, expected, cwd):
                return True
        elif _are_same(given, wanted, cwd):
            return True
    return False


def _are_same(given: list[str], wanted: list[str], cwd: str) -> bool:
    return len(given) == len(wanted) > 0 and all(_is_same_word(one, other, cwd) for one, other in zip(given, wanted, strict=True))


def _is_same_word(one: str, other: str, cwd: str) -> bool:
    if one == other or ("/" not in other and Path(one).name == other and os.access(one, os.X_OK)):
        return True
    if "/" not in one and "/" not in other:
        return False
    there = os.path.realpath(os.path.join(cwd, one))  # noqa: PTH118 - a word may be no path at all
    return there == os.path.realpath(os.path.join(cwd, other)) and os.path.exists(there)  # noqa: PTH110, PTH118


def _processes(proc: Path) -> Iterator[tuple[str, _Process]]:
    """Yield the working folder and the process of everything that lives and may be seen."""
    own = str(os.getpid())
    for entry in proc.iterdir():
        if not entry.name.isdigit() or entry.name == own:
            continue
        try:
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            line = os.fsdecode((entry / "cmdline").read_bytes()).rstrip("\0")
            cwd = str((entry / "cwd").readlink())
        except (OSError, ValueError):
            continue  # it has ended, or is another user's
        if state == b"Z" or not line or line.startswith("psv: "):
            continue
        is_title = "\0" not in line and " " in line
        yield cwd, _Process(int(entry.name), int(parent), line.split() if is_title else line.split("\0"), is_title)


def _environment(proc: Path, pid: int) -> dict[str, str]:
    """Return the few variables that tell who started a process; nothing else of its environment is kept."""
    try:
        content = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0"))
    return {name: value for name, _, value in pairs if name in _ASKED}


def _supervisor(proc: Path, pid: int, environment: dict[str, str]) -> tuple[str, str]:
    """Return who started a process, and the command that stops it there."""
    if name := environment.get("SUPERVISOR_PROCESS_NAME"):
        group, url = environment.get("SUPERVISOR_GROUP_NAME", ""), environment.get("SUPERVISOR_SERVER_URL", "")
        where = ["-s", url] if url else []
        return "supervisord", shlex.join(["supervisorctl", *where, "stop", name if group in ("", name) else f"{group}:{name}"])
    if "pm_id" in environment:
        return "pm2", shlex.join(["pm2", "stop", environment.get("name", environment["pm_id"])])
    unit = _unit_of(proc, pid)
    if unit is not None:
        return "systemd", shlex.join(["systemctl", *(["--user"] if unit[1] else []), "stop", unit[0]])
    return "hand", f"kill {pid}"


def _unit_of(proc: Path, pid: int) -> tuple[str, bool] | None:
    """Return the service whose cgroup a process is in, and whether it is a user's own; None for a login session."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        units = [unit for unit in _UNIT.findall(line.rpartition(":")[2]) if not _USER_MANAGER.fullmatch(unit)]
        if units and ".scope" not in line and units[-1] not in _SHELLS_OF_PEOPLE:
            return units[-1], "/user@" in line
    return None
