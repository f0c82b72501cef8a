"""A Procfile: `name: command line`, one a line, read as foreman and honcho do; `.env` beside it holds the variables."""

from __future__ import annotations

import re
from pathlib import Path

from processsupervisor.adopt.interpreter import venv_beside
from processsupervisor.adopt.line import as_program, read_line
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.text import read_text

_FIRST_PORT, _PORT_STEP = 5000, 100
"""foreman's and honcho's, by the order of the lines."""
_PORT = re.compile(r"\$(?:PORT\b|\{PORT[:}-])")
_ENTRY = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")


def read_procfile(path: Path) -> Source:
    """Read a Procfile; raises CannotRead for a line that is no entry."""
    source = Source("procfile", path)
    folder = path.parent
    env_files = [folder / ".env"] if (folder / ".env").is_file() else []
    seen: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = Place(path, number)
        match = _ENTRY.fullmatch(line.strip())
        if match is None:
            raise CannotRead(f"{place}: found no entry, expected `name: command`", hint="correct the line; nothing was written")
        name, text = match[1], match[2]
        if name in seen:
            raise CannotRead(f"{place}: {name} is given a second time", hint=f"the first is in line {seen[name]}; remove one")
        seen[name] = number
        if name == "release":
            source.left_out.append(LeftOut(place, "release", "runs once per deployment: run it by hand, or as a task (schedule)"))
            continue
        found = _program(source, name, text, place, env_files)
        found.port = str(_FIRST_PORT + _PORT_STEP * (len(seen) - 1))
        if _PORT.search(text):
            found.env.setdefault("PORT", found.port)
        source.programs.append(found)
    if not source.programs:
        raise CannotRead(f"{path}: no process is named in it", hint="a Procfile has lines such as `bot: python bot.py`")
    return source


def _program(source: Source, name: str, text: str, place: Place, env_files: list[Path]) -> Found:
    try:
        line = read_line(text)
    except ValueError as err:
        raise CannotRead(f"{place}: {name}: {str(err).lower()}", hint="close the quote; nothing was written") from err
    if line.shell:
        source.left_out.append(LeftOut(place, name, f"{line.told}; write the program itself as command or script for a fast start"))
    elif not line.argv:
        raise CannotRead(f"{place}: {name}: found no program", hint="write `name: command`; nothing was written")
    venv = venv_beside(place.path.parent)
    if venv is not None and line.argv and line.argv[0] in ("python", "python3"):
        line.argv[0] = str(venv)  # who starts a Procfile by hand has it activated
    return Found(name, place, line.argv, as_program(line.shell), cwd=place.path.parent, env=line.env, env_files=list(env_files))
