"""`psv check`: every mistake of fleet.toml with its place, and the loading that `psv up` does before it starts anything.

Exit 0 = no mistake, 1 = only single bots are wrong (they would be FAILED), 2 = nothing may start.
"""

from __future__ import annotations

from collections.abc import Iterable

from processsupervisor.cli.progress import count
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.problem import Problem, printable
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE


def check(session: Session, command: Command) -> int:
    """Print all mistakes."""
    loaded = load_fleet(session.paths.folder)
    if session.as_json:
        session.print_json([problem.to_json() for problem in loaded.problems])
    elif loaded.problems:
        print_problems(session, loaded.problems)
    else:
        session.say(f"{session.paths.config}: ok, {count(len(loaded.applied['bots']) if loaded.applied else 0)}")
    return status_of(loaded)


def status_of(loaded: Loaded) -> int:
    """Return the exit status that the mistakes stand for; warnings alone are none."""
    if loaded.fatal:
        return EXIT_USAGE
    return EXIT_FAILED if any(problem.severity == "bot" for problem in loaded.problems) else EXIT_OK


def print_problems(session: Session, problems: Iterable[Problem]) -> None:
    """Print one line a mistake on stderr, in the form that editors understand: `file:line:column: code: message; hint`."""
    for problem in problems:
        session.complain(line_of(problem))


def line_of(problem: Problem) -> str:
    """Return the line of one mistake."""
    place = printable(problem.file) + (f":{problem.line}:{problem.column}" if problem.line else "")
    kind = "warning: " if problem.severity == "warning" else ""
    return f"{place}: {kind}{problem.code}: {problem.message}" + (f"; {problem.hint}" if problem.hint else "")
