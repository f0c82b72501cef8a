"""`psv check`: every mistake of fleet.toml with its place, and the loading that `psv up` does before it starts anything.

Exit 0 = no mistake, 1 = only single bots are wrong (they would be FAILED), 2 = nothing may start.
"""

from __future__ import annotations

from collections.abc import Iterable

from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.load import LoadedFleet, Problem, load_fleet
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE

FIELDS = ("file", "line", "column", "code", "message", "hint")


def check(session: Session, command: Command) -> int:
    """Print all mistakes."""
    loaded = load_fleet(session.paths.folder)
    if session.as_json:
        session.print_json([{field: getattr(problem, field) for field in FIELDS} for problem in loaded.problems])
    elif loaded.problems:
        print_problems(session, loaded.problems)
    else:
        session.say(f"{session.paths.config}: ok")
    return status_of(loaded)


def status_of(loaded: LoadedFleet) -> int:
    """Return the exit status that the mistakes stand for."""
    if loaded.is_fatal:
        return EXIT_USAGE
    return EXIT_FAILED if loaded.problems else EXIT_OK


def print_problems(session: Session, problems: Iterable[Problem]) -> None:
    """Print one line a mistake on stderr, in the form that editors understand: `file:line:column: code: message; hint`."""
    for problem in problems:
        session.complain(line_of(problem))


def line_of(problem: Problem) -> str:
    """Return the line of one mistake."""
    place = f"{problem.file}:{problem.line}:{problem.column}"
    return f"{place}: {problem.code}: {problem.message}" + (f"; {problem.hint}" if problem.hint else "")
