"""`psv adopt --wrap main.py` and `--unwrap main.py`: every entry point of a program goes on working, and psv supervises it.

What is checked and written is adopt/wrapper.py's; here is what the operator is told: what was renamed, what else names the program.
"""

from __future__ import annotations

import os
from pathlib import Path

from processsupervisor.adopt.wrapper import Wrapping, unwrap, wrap, wrapping_of
from processsupervisor.cli.run import STATE
from processsupervisor.cli.session import Session, keeper_runs
from processsupervisor.cli.single import bot_name
from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.errors import EXIT_OK, Refused, UsageError
from processsupervisor.kernel.paths import FleetPaths, find_fleet_folder

DEFAULT_NAME = "bot.py"


def wrap_program(session: Session, paths: list[str], program: str | None) -> int:
    """Wrap one file and say what is where."""
    path = _the_file(paths, "--wrap")
    wrapping, is_changed = wrap(path, program or DEFAULT_NAME)
    files = {"file": str(path), "program": str(wrapping.bot), "settings": str(wrapping.settings), "changed": is_changed}
    if session.as_json:
        session.print_json(files)
        return EXIT_OK
    if not is_changed:
        session.say(f"{_shown(path)} is wrapped already: its program is {wrapping.bot.name}; nothing was changed")
        return EXIT_OK
    name, settings = wrapping.bot.name, wrapping.settings.name
    session.say(f"{_shown(path)} is {name} now, unchanged; the new {path.name} and {settings} run it under psv")
    for bot in _bots_of(path):
        session.say(f'note: the bot {bot} in fleet.toml runs {path.name}: write script = "{name}" there, so that it shares memory again')
    dockerfile = path.with_name("Dockerfile")
    if dockerfile.is_file():
        session.say(f"note: {_shown(dockerfile)} must copy {name} and {settings} too, and install psv")
    session.say(f"next: stop {path.name} where it runs, and start it as before; psv keeps its state in {STATE}, beside it")
    session.say(f"back: psv adopt --unwrap {_shown(path)}")
    return EXIT_OK


def unwrap_program(session: Session, paths: list[str]) -> int:
    """Put the program back where it was."""
    path = _the_file(paths, "--unwrap")
    wrapping = wrapping_of(path)
    if wrapping is not None:
        _require_stopped(wrapping)
    gone = unwrap(path)
    if session.as_json:
        session.print_json({"file": str(path), "gone": [str(file) for file in gone], "changed": True})
        return EXIT_OK
    session.say(f"{_shown(path)} is the program again, as it was; gone: {', '.join(file.name for file in gone)}")
    for bot in _bots_of(gone[0]):
        session.say(f'note: the bot {bot} in fleet.toml runs {gone[0].name}: write script = "{path.name}" there')
    return EXIT_OK


def _the_file(paths: list[str], flag: str) -> Path:
    if len(paths) != 1:
        raise UsageError(f"{flag} takes one file", hint=f"psv adopt {flag} main.py")
    return Path.cwd() / os.path.normpath(paths[0])


def _require_stopped(wrapping: Wrapping) -> None:
    """Refuse while psv runs the program: its next start would miss the file."""
    for folder in (wrapping.bot.parent / STATE / bot_name(wrapping.bot), wrapping.bot.parent):
        paths = FleetPaths(folder)
        if paths.psv.is_dir() and keeper_runs(paths):
            raise Refused(f"{wrapping.bot.name} runs under psv", hint=f"stop it first, as you would before, or: psv -C {folder} down")


def _bots_of(program: Path) -> list[str]:
    """Return the bots of the nearest fleet.toml that run this file."""
    folder = find_fleet_folder(program.parent)
    applied = load_fleet(folder).applied if folder is not None else None
    return [spec["name"] for spec in applied["bots"] if spec["script"] == str(program)] if applied is not None else []


def _shown(path: Path) -> str:
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside
