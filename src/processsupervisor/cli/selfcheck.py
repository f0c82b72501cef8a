"""Trying a copy of the package before it runs a fleet: each own process of it is started once, on a copy of the live records.

Nothing that runs is touched, and no process of the check outlives it. What each role does is in app/selfcheck.py of that copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from processsupervisor.kernel.errors import PsvError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code

MODULE = "processsupervisor.app.selfcheck"
ROLES = ("keeper", "psvd", "logd", "web", "notify", "zygote")
WITHIN_S = 60.0
"""Nothing waits for a check but a person: the limit is for one that hangs, not for a machine that is busy."""
_OF_A_BOT = ("record", "lock", "spec.json")


def check_copy(paths: FleetPaths, code: Code) -> None:
    """Raise PsvError, naming the role and its last words, unless every role of `code` passes its check."""
    folder = paths.code / f".check-{os.getpid()}"
    checks: dict[str, subprocess.Popen[str]] = {}
    try:
        try:
            copy = copy_records(paths, folder)
        except (OSError, sqlite3.Error) as err:
            raise SystemRefused(f"cannot copy the records for a check: {err}", hint="free disk space; nothing has changed") from err
        for role in ROLES:
            checks[role] = _start(code, role, copy)
        for role, check in checks.items():
            _judge(role, code, check)
    finally:
        _end(list(checks.values()))
        shutil.rmtree(folder, ignore_errors=True)


def copy_records(paths: FleetPaths, folder: Path) -> FleetPaths:
    """Copy what a new keeper and psvd would read into the fleet folder `folder`, and return its paths."""
    copy = FleetPaths(folder)
    folder.mkdir(mode=0o700)
    copy.ensure()
    files = (paths.journal, copy.journal), (paths.applied, copy.applied), (paths.config, copy.config), (paths.epoch, copy.epoch)
    for source, target in files:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source, target)
    for bot in (paths.run / "bots").iterdir():
        copy.bot_run(bot.name).mkdir(mode=0o700)
        for name in _OF_A_BOT:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(bot / name, copy.bot_run(bot.name) / name)
    if paths.database.exists():
        with contextlib.closing(sqlite3.connect(paths.database)) as live, contextlib.closing(sqlite3.connect(copy.database)) as made:
            live.backup(made)
    return copy


def _start(code: Code, role: str, copy: FleetPaths) -> subprocess.Popen[str]:
    runtime = copy.folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {**os.environ, "PSV_RUNTIME_DIR": str(runtime)}
    argv = code.argv(MODULE, role, str(copy.folder))
    return subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _end(checks: list[subprocess.Popen[str]]) -> None:
    """Kill what still runs and wait for all: one that goes on while the folder is removed would write into it again."""
    for check in checks:
        check.kill()
    for check in checks:
        check.communicate()


def _judge(role: str, code: Code, check: subprocess.Popen[str]) -> None:
    try:
        _, said = check.communicate(timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        check.kill()
        _, said = check.communicate()
        said = f"no answer within {WITHIN_S:g} s"
    if check.returncode != 0:
        words = (said.strip().splitlines() or [f"exit status {check.returncode}"])[-1]
        raise PsvError(
            f"nothing has changed: {role} of psv {code.name} fails its check: {words}",
            hint="install a psv that works, then psv upgrade",
            code="self-check",
        )
