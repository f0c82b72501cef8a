"""`psv bot add`, `rename`, `rm` and `purge`: what each of them changes in fleet.toml, and what it says. How is change.py's."""

from __future__ import annotations

import os
import sys
import tomllib
from functools import partial
from pathlib import Path

from processsupervisor.cli.change import Change, Taken, carry_out
from processsupervisor.cli.fleet import differing
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.edit import CannotEdit, add_bot, remove_bot, rename_bot
from processsupervisor.config.load import load_fleet
from processsupervisor.config.places import Places
from processsupervisor.config.problem import printable
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, Refused, UsageError
from processsupervisor.kernel.files import is_flocked
from processsupervisor.kernel.units import format_bytes
from processsupervisor.supervisor.moves import kept_of


def add(
    session: Session, command: Command, *, name: str, words: list[str], script: str | None, type: str | None, env_file: str | None
) -> int:
    """Write the bot's table."""
    if not (words or script or type):
        raise UsageError(f"{name} has nothing to run", hint=f"psv bot add {name} -- COMMAND…, or --script FILE, or --type TYPE")
    folder = session.paths.folder
    settings: dict[str, object] = {"type": type} if type else {}
    if script:
        settings["script"] = _beside(folder, script)
    if words and not script and not type:
        settings["command"] = [_beside(folder, words[0]) if "/" in words[0] else words[0], *words[1:]]
    elif words:
        settings["args"] = words
    if env_file:
        settings["env_file"] = _beside(folder, env_file)
    taken = carry_out(session, Change(partial(add_bot, name=name, settings=settings), f"psv bot add {name}"))
    line = Places(session.paths.config.read_text("utf-8-sig")).find(("bots", name))[0]
    session.say(f"added {name} in {session.paths.config}:{line}")
    if kept := kept_of(session.paths, name):
        session.note(f"{name} finds what an earlier bot of its name has left: {', '.join(map(str, kept))}")
    _say_taken(session, taken, f"psv bot status {name} shows how it is")
    return EXIT_OK


def rename(session: Session, command: Command, *, old: str, new: str) -> int:
    """Change the name everywhere."""
    _refuse_elsewhere(session, old)
    if kept := kept_of(session.paths, new):
        raise Refused(f"there is something left of an earlier bot {new}: {kept[0]}", hint=f"delete it first: psv bot purge {new}")
    if is_flocked(lock := session.paths.bot_run(new) / "lock"):
        raise Refused(f"an earlier bot {new} still runs", hint=f"see who holds it, and end that: fuser -v {lock}")
    edit = partial(rename_bot, old=old, new=new)
    taken = carry_out(session, Change(edit, f"psv bot rename {old} {new}", resting=[old], move={"old": old, "new": new}))
    session.say(f"{old} is {new} now")
    _say_taken(session, taken, f"start it: psv start {new}")
    return EXIT_OK


def rm(session: Session, command: Command, *, name: str) -> int:
    """Take the table out."""
    _refuse_elsewhere(session, name)
    taken = carry_out(session, Change(partial(remove_bot, name=name), f"psv bot rm {name}", resting=[name]))
    session.say(f"took {name} out of {session.paths.config}")
    if kept_of(session.paths, name):
        session.say(f"its data and logs stay; psv bot purge {name} deletes them")
    _say_taken(session, taken, "")
    return EXIT_OK


def purge(session: Session, command: Command, *, name: str, yes: bool) -> int:
    """Delete what there is of the bot, after asking."""
    _refuse_elsewhere(session, name)
    kept = kept_of(session.paths, name)
    is_in_file = name in _bots(session)
    if not kept and not is_in_file:
        raise NoSuchBot(f"there is no bot {name}, nor anything left of one", hint="see psv ls")
    if linked := next((path for path in kept if path.is_symlink()), None):
        raise Refused(f"{linked} is a link to {linked.readlink()}; psv deletes nothing there", hint="delete both by hand, then purge")
    listed = [f"{path} ({format_bytes(_size(path))})" for path in kept]
    what = ", ".join(([f"[bots.{name}] of fleet.toml"] if is_in_file else []) + listed)
    if not yes:
        _ask(name, what)
    edit = partial(remove_bot, name=name) if is_in_file else str
    taken = carry_out(session, Change(edit, f"psv bot purge {name}", resting=[name], move={"old": name, "new": None}))
    session.say(f"deleted {what}")
    _say_taken(session, taken, "")
    return EXIT_OK


def _refuse_elsewhere(session: Session, name: str) -> None:
    """Raise CannotEdit for a bot of an included file, or of a template: only fleet.toml is changed here, and one bot of it."""
    loaded = load_fleet(session.paths.folder)
    spec = next((spec for spec in loaded.applied["bots"] if spec["name"] == name), None) if loaded.applied else None
    if spec is None or name in _bots(session):
        return
    template = spec.get("template")
    file, line, _ = loaded.files.find(("bots", template or name))
    what = f"made by the template {template}" if template else "written"
    hint = "change its count there" if template else "change it there by hand"
    raise CannotEdit(f"{name} is {what} in {printable(file.name)}:{line}, which psv does not change by itself", hint=hint)


def _ask(name: str, what: str) -> None:
    if not sys.stdin.isatty():
        raise Refused(f"this deletes {what}", hint=f"psv bot purge {name} --yes does it without asking")
    sys.stdout.write(f"This deletes {what}.\nType the name of the bot to go on: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != name:
        raise Refused("nothing was deleted")


def _say_taken(session: Session, taken: Taken, what_next: str) -> None:
    if taken is Taken.LATER:
        with session.client() as client:
            session.say(differing(client.call("fleet.status")))
    elif taken is Taken.NOW and what_next:
        session.say(what_next)


def _beside(folder: Path, path: str) -> str:
    """Return a path given on the command line as fleet.toml has it: relative to its folder when it lies below, else absolute."""
    absolute = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - links stay, unknown users raise nothing
    try:
        below = absolute.relative_to(folder)
    except ValueError:
        return str(absolute)
    return str(below) if len(below.parts) > 1 or "/" not in path else f"./{below}"


def _bots(session: Session) -> dict[str, object]:
    try:
        bots = tomllib.loads(session.paths.config.read_text("utf-8-sig")).get("bots")
    except (OSError, ValueError):
        return {}
    return bots if isinstance(bots, dict) else {}


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
