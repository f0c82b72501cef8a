"""Commands that go through a shell: `sh -c "exec python bot.py"` is unwrapped to what it runs, a real shell line stays one and is told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.adopt.line import as_program, read_line, stop_of, take_assignments
from processsupervisor.adopt.program import Found, LeftOut, Place, Source

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash"})
_MARKED = re.compile(r"\0(\w+)\0")
_OPERATORS = ("|", "||", "&&", "&", ">", ">>", "<", "2>&1", ";")


def unwrap_shell(source: Source, found: Found, place: Place) -> None:
    """Take `env` off the front, and replace `sh -c LINE` by its program where no shell is needed; else say what psv does with it."""
    if found.argv and Path(found.argv[0]).name == "env":
        found.env = {**found.env, **take_assignments(found.argv)}
    argv = found.argv
    if len(argv) >= 3 and Path(argv[0]).name in _SHELLS and argv[1] in ("-c", "-lc", "-ec"):
        try:
            line = read_line(argv[2])
        except ValueError:
            line = None
        if line is not None and line.argv and argv[1] == "-c" and len(argv) == 3:
            found.argv = line.argv
            found.env = {**found.env, **line.env}
            return
        why = f" ({line.why})" if line is not None and line.why else ""
        run = f"run by {Path(argv[0]).name} as a command{stop_of(argv[2])}"
        told = f"a shell line{why}: {run}; name the program itself for a fast start"
        found.argv = [*argv[:2], as_program(argv[2]), *argv[3:]]
        source.left_out.append(LeftOut(place, f"the command of {found.name or place.path.name}", told))
        return
    operator = next((word for word in argv[1:] if word in _OPERATORS), None)
    if operator is not None:
        told = f'`{operator}` is handed to the program as an argument, there and here: no shell reads it; write ["sh", "-c", "..."] for one'
        source.left_out.append(LeftOut(place, f"the command of {found.name or place.path.name}", told))


def mark(name: str) -> str:
    """Return what stands in a command line for a variable whose value is a secret."""
    return f"\0{name}\0"


def marks_in(argv: Iterable[str]) -> list[str]:
    """Return the variables whose marks are in a command line."""
    return [name for word in argv for name in _MARKED.findall(word)]


def fill_in_later(source: Source, found: Found, place: Place) -> bool:
    """Make a command with marks in it a shell's line, which takes the values from the environment; False when there are none."""
    if not marks_in(found.argv):
        return False
    found.shell = "exec " + " ".join(map(_with_variables, found.argv))
    found.argv = []
    why = "a secret is in it, which a shell takes from the environment: run by sh -c as a command"
    source.left_out.append(LeftOut(place, f"the command of {found.name}", why))
    return True


def _with_variables(word: str) -> str:
    parts = _MARKED.split(word)
    return "".join(f'"${{{part}}}"' if index % 2 else shlex.quote(part) for index, part in enumerate(parts) if part) or "''"
