"""`psv adopt PATH…`: what runs elsewhere becomes a fleet.toml, and what could not be carried over is named with its place.

Exit 0 = done, or nothing to do; 1 = written, but a bot of it would be FAILED (a missing venv, an unknown user); 2 = nothing was
written, because a file cannot be read. Nothing of what is adopted is run, and no secret is printed.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from processsupervisor.adopt.program import LeftOut, Place
from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import Added, Plan, make_plan, write_plan
from processsupervisor.cli.check import line_of
from processsupervisor.cli.init import fleet_name
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, UsageError
from processsupervisor.observe.redact import redact

_MANNERS = "psv tells nobody who writes to these programs that a program answers, and asks no consent: that is left to each of them"


def adopt(
    session: Session, command: Command, *, paths: list[str], dry_run: bool, allow_js: bool, check: bool,
    wrap: bool, program: str | None, unwrap: bool,
) -> int:  # fmt: skip
    """Write the fleet, or say what would be written; with `check` look for what runs elsewhere already."""
    if wrap or unwrap or program:
        from processsupervisor.cli.wrap import unwrap_program, wrap_program

        if wrap == unwrap or dry_run or allow_js or check or (unwrap and program):
            raise UsageError("--wrap and --unwrap take one file and nothing else, --wrap also --as", hint="psv adopt --wrap main.py")
        return wrap_program(session, paths, program) if wrap else unwrap_program(session, paths)
    if check:
        from processsupervisor.cli.elsewhere import report_elsewhere

        if paths or dry_run:
            raise UsageError("--check looks at the fleet.toml that is there, without PATH", hint="psv adopt --check")
        return report_elsewhere(session)
    if not paths:
        raise UsageError("nothing to adopt is named", hint="psv adopt main.py, or supervisord.conf, a Procfile, a .service, ...")
    folder = session.new_folder()
    plan = make_plan(folder, fleet_name(folder), read_paths(paths, allow_js=allow_js))
    is_written = bool(plan.added) and not dry_run
    is_above = (folder / "fleet.toml").exists() and session.is_above(folder)
    if is_written:
        write_plan(plan)
    if session.as_json:
        session.print_json(_as_json(plan, is_written=is_written))
    else:
        _tell(session, plan, is_written=is_written)
    if is_above and plan.added:
        verb = "belong now" if is_written else "would belong"
        given = " ".join(map(shlex.quote, paths))
        session.note(f"they {verb} to the fleet in the folder above, {folder}; for a fleet of their own here: psv -C . adopt {given}")
    return EXIT_FAILED if any(problem.severity == "bot" for problem in plan.problems) else EXIT_OK


def _tell(session: Session, plan: Plan, *, is_written: bool) -> None:
    if plan.added and not is_written:
        session.say_text(redact(plan.text, plan.hidden).rstrip("\n"))
        session.say()
    if plan.added:
        session.say("carried over:")
        for bot in plan.added:
            session.say(f"  {bot.name}: {bot.kind}, from {_shown(bot.place)}")
    if plan.kept:
        session.say(f"there already, left as they are: {', '.join(plan.kept)}")
    if plan.left_out and (plan.added or not plan.kept):
        session.say("not carried over, or otherwise:")
        for left in plan.left_out:
            session.say(f"  {_left_line(left)}")
    for problem in plan.problems:
        session.complain(line_of(problem))
    if not plan.added:
        session.say(f"{_shown(Place(plan.config))}: nothing to add")
        return
    files = "".join(f" and {path.name}" for path in plan.files)
    if not is_written:
        session.say(f"would write {_shown(Place(plan.config))}{files}")
        return
    session.say(f"wrote {_shown(Place(plan.config))}{files}")
    session.say(f"note: {_MANNERS}")
    at = "" if plan.config.parent == Path.cwd() else f" -C {shlex.quote(str(plan.config.parent))}"
    session.say(f"next: psv{at} check, psv{at} adopt --check (does it run elsewhere?), psv{at} up")


def _left_line(left: LeftOut) -> str:
    return redact(f"{_shown(left.place)}: {left.what}: {left.why}")


def _shown(place: Place) -> str:
    inside = os.path.relpath(place.path)
    return str(Place(place.path if inside.startswith("..") else Path(inside), place.line))


def _as_json(plan: Plan, *, is_written: bool) -> dict[str, object]:
    return {
        "config": str(plan.config),
        "written": is_written,
        "added": [_added_json(bot) for bot in plan.added],
        "kept": plan.kept,
        "files": [str(path) for path in plan.files],
        "left_out": [
            {"file": str(left.place.path), "line": left.place.line, "what": redact(left.what), "why": left.why} for left in plan.left_out
        ],
        "problems": [problem.to_json() for problem in plan.problems],
        "text": redact(plan.text, plan.hidden),
    }


def _added_json(bot: Added) -> dict[str, object]:
    return {"name": bot.name, "kind": bot.kind, "file": str(bot.place.path), "line": bot.place.line}
