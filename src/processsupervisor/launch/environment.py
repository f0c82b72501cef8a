"""The environment of a bot: what it inherits, its env files, its own table, and what psv adds; nothing else.

Precedence, strongest first: bot and type and global `env` (already merged by config), env_file, inherited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.envfile import parse_env_file

_NATIVE = "native"


def _identity_of(user: str) -> dict[str, str]:
    """Return HOME, USER and LOGNAME of a user; nothing for one that does not exist, which a later step reports."""
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {}
    return {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}


def compose(spec: dict[str, Any]) -> dict[str, str]:
    """Return the whole environment of the bot; raises LaunchFailed(config) with file:line for a bad env file."""
    environment: dict[str, str] = dict(spec.get("inherited") or {})
    if spec.get("user"):
        environment.update(_identity_of(str(spec["user"])))
    for name in spec.get("env_files") or []:
        try:
            environment.update(parse_env_file(Path(name)))
        except PsvError as err:
            raise LaunchFailed(Reason.CONFIG, err.message, hint=err.hint) from err
    environment.update({str(k): str(v) for k, v in (spec.get("env") or {}).items()})
    paths = FleetPaths(spec["folder"])
    environment["PSV_BOT"] = str(spec["name"])
    environment["PSV_FLEET"] = str(paths.folder)
    environment["PSV_EXIT_NOTE"] = str(paths.bot_run(str(spec["name"])) / "exit-note")
    if spec.get("release") is not None:
        environment["PSV_RELEASE"] = str(spec["release"])
    if spec.get("notify_socket"):
        environment["NOTIFY_SOCKET"] = str(spec["notify_socket"])
    if spec.get("kind") != _NATIVE:
        environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment
