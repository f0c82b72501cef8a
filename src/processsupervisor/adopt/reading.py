"""A path that a user named to the sources behind it: what kind of file it is, by its name and then by its content."""

from __future__ import annotations

import os
import re
from pathlib import Path

from processsupervisor.adopt.compose import read_compose
from processsupervisor.adopt.pm2 import read_pm2
from processsupervisor.adopt.procfile import read_procfile
from processsupervisor.adopt.program import CannotRead, Source
from processsupervisor.adopt.python import look_into, read_python
from processsupervisor.adopt.supervisord import read_supervisord
from processsupervisor.adopt.systemd import read_units
from processsupervisor.adopt.text import read_text

KINDS = "a main.py, supervisord.conf, Procfile, .service unit, pm2 ecosystem file or compose file"
_IN_FOLDER = (
    "supervisord.conf",
    "Procfile",
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.json",
    "ecosystem.json",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "main.py",
    "bot.py",
)
_UNIT_SUFFIXES = (".service", ".timer", ".socket", ".path")


def read_paths(paths: list[str], *, allow_js: bool) -> list[Source]:
    """Read every path; units are read together, so that they find each other. Raises CannotRead at the first that cannot be."""
    sources: list[Source] = []
    units: list[Path] = []
    for text in paths:
        path = _named(Path(os.path.normpath(Path.cwd() / text)))
        if path.name.endswith(_UNIT_SUFFIXES):
            units.append(path)
        else:
            sources.append(_read_one(path, allow_js=allow_js))
    if units:
        sources.append(read_units(list(dict.fromkeys(units))))
    for source in sources:
        look_into(source)
    return sources


def _named(path: Path) -> Path:
    """Return the file that a folder stands for: the one of a known name in it."""
    if not path.is_dir():
        return path
    found = [path / name for name in _IN_FOLDER if (path / name).is_file()]
    if not found:
        raise CannotRead(f"{path} is a folder without a file that psv adopt knows", hint=f"name the file: {KINDS}")
    return found[0]


def _read_one(path: Path, *, allow_js: bool) -> Source:
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix == ".py":
        return read_python(path)
    if suffix in (".js", ".cjs", ".mjs", ".json"):
        return read_pm2(path, allow_js=allow_js)
    if suffix in (".yml", ".yaml"):
        return read_pm2(path, allow_js=False) if re.search(r"^apps\s*:", read_text(path), re.MULTILINE) else read_compose(path)
    if suffix in (".conf", ".ini", ".cfg"):
        return read_supervisord(path)
    if name.startswith("procfile"):
        return read_procfile(path)
    return _by_content(path)


def _by_content(path: Path) -> Source:
    text = read_text(path)
    if re.search(r"^\[(program|supervisord|include)\b", text, re.MULTILINE):
        return read_supervisord(path)
    if text.startswith("#!") and "python" in text.split("\n", 1)[0]:
        return read_python(path)
    raise CannotRead(f"{path} is of no kind that psv adopt reads", hint=f"expected {KINDS}")
