"""Under systemd the bots live in a scope of their own, so that a restart of the unit leaves them alone.

A unit whose sub-cgroups hold processes fails to restart with EBUSY, and systemd kills what is left in a unit's own cgroup
when its main process ends. The scope is made by systemd-run(1), with a sleeping process that keeps it while no bot runs.
Where it may not be made (no systemd, no right to) the answer is None and bots stay in the unit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from processsupervisor.kernel.paths import FleetPaths

_PATIENCE_S = 5.0


def is_unit(group: Path) -> bool:
    """Tell whether this process runs in a unit of systemd whose cgroup is `group`."""
    return "INVOCATION_ID" in os.environ and group.name.endswith(".service")


def scope_of(paths: FleetPaths, unit_group: Path) -> Path | None:
    """Return the cgroup folder of the fleet's scope, made now if it is not there; None where systemd refuses."""
    if shutil.which("systemd-run") is None:
        return None
    name = f"psv-{hashlib.sha256(os.fsencode(paths.folder)).hexdigest()[:12]}.scope"
    manager = ["--user"] if "user@" in str(unit_group) else []
    mount = _mount_of(unit_group)
    found = _control_group(name, manager)
    if found is None:
        _start(name, manager)
        deadline = time.monotonic() + _PATIENCE_S
        while found is None and time.monotonic() < deadline:
            time.sleep(0.02)  # systemd answers when the scope is there; nothing tells a caller that did not wait
            found = _control_group(name, manager)
    return mount / found.lstrip("/") if found is not None and mount is not None else None


def _start(name: str, manager: list[str]) -> None:
    command = ["systemd-run", *manager, "--scope", "--quiet", "--collect", f"--unit={name}", "--property=Delegate=yes"]
    subprocess.Popen(
        [*command, "--description=Bots of a psv fleet", "sleep", "infinity"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _control_group(name: str, manager: list[str]) -> str | None:
    command = ["systemctl", *manager, "show", "--property=ControlGroup", "--value", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _mount_of(group: Path) -> Path | None:
    """Return the cgroup2 mount that `group` lies in."""
    return next((folder for folder in group.parents if folder.is_mount()), None)
