"""The environment of a bot: what it inherits, its env files, its own table, and what psv adds; nothing else.

Precedence, strongest first: bot and type and global `env` (already merged by config), env_file, inherited.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.envfiles import env_file_variables
from processsupervisor.launch.references import texts_of
from processsupervisor.launch.release import code_folder

_NATIVE = "native"


def _identity_of(user: str) -> dict[str, str]:
    """Return HOME, USER and LOGNAME of a user; nothing for one that does not exist, which a later step reports."""
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {}
    return {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}


def values_of(spec: dict[str, Any]) -> dict[str, str]:
    """Return {text: value} of the references in the bot's `env` and `options`, nothing when there are none; raises LaunchFailed."""
    if not texts_of(spec):
        return {}
    from processsupervisor.launch.values import resolve_all  # most bots have none

    return resolve_all(spec)


def compose(spec: dict[str, Any], values: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of the bot; `values` are those of its references, if they were read already.

    Raises LaunchFailed, for a bad env file with file:line, for a reference with its place, and never with a value.
    """
    environment: dict[str, str] = dict(spec.get("inherited") or {})
    if spec.get("user"):
        environment.update(_identity_of(str(spec["user"])))
    environment.update(env_file_variables(spec))
    own = {str(k): str(v) for k, v in (spec.get("env") or {}).items()}
    found = values_of({**spec, "options": {}}) if values is None else values
    environment.update({name: found.get(text, text) for name, text in own.items()})
    paths = FleetPaths(spec["folder"])
    environment["PSV_BOT"] = str(spec["name"])
    environment["PSV_FLEET"] = str(paths.folder)
    environment["PSV_EXIT_NOTE"] = str(paths.bot_run(str(spec["name"])) / "exit-note")
    if spec.get("release") is not None:
        environment["PSV_RELEASE"] = str(spec["release"])
        if spec.get("kind") == "command":  # what it imports by `python -m` is its code
            own_path = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
            environment["PYTHONPATH"] = os.pathsep.join([str(code_folder(paths.folder, spec["release"])), *own_path])
    if spec.get("notify_socket"):
        environment["NOTIFY_SOCKET"] = str(spec["notify_socket"])
    if spec.get("kind") != _NATIVE:
        environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment
