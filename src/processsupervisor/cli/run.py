"""`psv run`: what `python main.py` is without psv, in the foreground, but supervised; or the fleet that lies beside it.

This process becomes the keeper by exec, as `psv up` does, so that a service manager or a container knows the right pid. A single bot's
output goes to stdout and stderr as it comes; what psv has to say goes to stderr.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from processsupervisor.cli import machine
from processsupervisor.cli.check import print_problems
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.cli.single import make_single
from processsupervisor.cli.up import become_keeper, up
from processsupervisor.commands.command import Command
from processsupervisor.config.applied import write_applied
from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import install, prune

STATE = ".psv-run"
_PRINTER = "processsupervisor.cli.output"


def run(session: Session, command: Command, *, file: str | None, words: list[str], mode: str, fallback: bool) -> int:
    """Run one file, or the fleet beside it."""
    path = session.beside(file or "main.py")
    config = path.parent / "fleet.toml"
    if fallback and mode != "auto":
        raise UsageError("--fallback goes with --mode auto", hint="psv run --mode auto --fallback main.py")
    is_there = config.exists() or config.is_symlink()  # a link that leads nowhere is a broken fleet, not none
    if mode == "multi" or (mode == "auto" and is_there):
        if words:
            raise UsageError("a fleet takes no arguments", hint="write args into fleet.toml, or use --mode single")
        if not fallback or _is_usable(session, config):
            return up(Session(str(path.parent)), command, detach=False, wait=False, timeout_s=60.0)
        if keeper_runs(FleetPaths(path.parent)):
            raise Refused(f"the fleet in {path.parent} runs, and may have {path} among its bots", hint="mend fleet.toml, or psv down")
        session.note(f"{config} cannot be used (see above); as --fallback says, {path} runs alone")
    _run_single(path, words)


def _is_usable(session: Session, config: Path) -> bool:
    """Tell whether a bot of the fleet could run; its mistakes are printed when none could."""
    loaded = load_fleet(config.parent)
    bots = loaded.applied["bots"] if loaded.applied is not None else []
    is_usable = not loaded.fatal and (not bots or any(bot["error"] is None for bot in bots))
    if not is_usable:
        print_problems(session, loaded.problems)
    return is_usable


def _run_single(file: Path, words: list[str]) -> NoReturn:
    machine.require_linux()
    paths, applied = make_single(file, STATE, words, is_essential=True)
    if keeper_runs(paths):
        raise Refused(f"{file} already runs under psv", hint=f"end it with: psv -C {paths.folder} down")
    machine.require_folder(paths)
    write_applied(paths, applied)
    code = install(paths)
    prune(paths, code)
    become_keeper(Session(str(paths.folder)), code, _PRINTER)
