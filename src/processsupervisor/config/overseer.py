"""Who started a process, and the command that stops it there for good as far as one command can.

Told by what supervisord and pm2 put into its environment, by pm2's daemon as its parent, and by its cgroup for systemd.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_UNIT = re.compile(r"/([^/]+\.service)(?=/|$)")
_USER_MANAGER = re.compile(r"user@\d+\.service")
_SHELLS_OF_PEOPLE = frozenset({"ssh.service", "sshd.service", "cron.service", "crond.service", "docker.service", "containerd.service"})
"""Units whose cgroup a program is in without being theirs to stop."""
ASKED = frozenset({"SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME", "SUPERVISOR_SERVER_URL", "pm_id", "name", "PM2_HOME"})
GOD_DAEMON = "PM2 v"
"""How the title of pm2's daemon begins."""
_MADE_UNITS = Path("run/systemd/transient")


@dataclass(frozen=True, slots=True)
class Overseer:
    """`by` "supervisord", "pm2", "systemd" or "hand"; `name` as it calls the program, empty when it is not told.

    `stop` ends with a space where the bot's name completes it (a process of a pm2 cluster carries no name).
    """

    by: str
    name: str
    stop: str


def overseer_of(proc: Path, pid: int, parent: int, environment: Mapping[str, str]) -> Overseer:
    """Return who started a process; `environment` has the variables ASKED of it."""
    if name := environment.get("SUPERVISOR_PROCESS_NAME"):
        group, url = environment.get("SUPERVISOR_GROUP_NAME", ""), environment.get("SUPERVISOR_SERVER_URL", "")
        return Overseer("supervisord", name, supervisorctl_stop(url, group, name))
    if "pm_id" in environment:
        name = environment.get("name", "")
        return Overseer("pm2", name, pm2_stop(name or environment["pm_id"], environment.get("PM2_HOME", "")))
    if _title(proc, parent).startswith(GOD_DAEMON):
        return Overseer("pm2", "", f"{_home(environment.get('PM2_HOME', ''))}pm2 stop ")
    unit = _unit_of(proc, pid)
    if unit is None:
        return Overseer("hand", "", f"kill {pid}")
    return Overseer("systemd", unit[0].removesuffix(".service"), _systemctl(proc, pid, *unit))


def _systemctl(proc: Path, pid: int, unit: str, is_of_user: bool) -> str:
    """Return how to stop a unit so that it does not come back with the next boot; one that systemd-run made is gone then anyway."""
    manager: list[str] = []
    if is_of_user:
        owner = (proc / str(pid)).stat().st_uid
        manager = ["--user"] if owner == os.geteuid() else ["--user", "-M", f"{owner}@"]
    is_made = unit.startswith("run-") or (Path("/") / _MADE_UNITS / unit).exists()
    return shlex.join(["systemctl", *manager, *(["stop"] if is_made else ["disable", "--now"]), unit])


def supervisorctl_stop(url: str, group: str, name: str) -> str:
    """Return how supervisord stops a program."""
    where = ["-s", url] if url else []
    return shlex.join(["supervisorctl", *where, "stop", name if group in ("", name) else f"{group}:{name}"])


def pm2_stop(name: str, home: str) -> str:
    """Return how the pm2 of a PM2_HOME stops a program."""
    return _home(home) + shlex.join(["pm2", "stop", name])


def _home(home: str) -> str:
    """Return PM2_HOME=… where the pm2 of whoever types the command would ask another daemon."""
    return f"PM2_HOME={shlex.quote(home)} " if home and home != os.environ.get("PM2_HOME", str(Path.home() / ".pm2")) else ""


def _title(proc: Path, pid: int) -> str:
    try:
        return os.fsdecode((proc / str(pid) / "cmdline").read_bytes())
    except OSError:
        return ""


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
