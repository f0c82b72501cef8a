"""Whether a command is a Python file, and which interpreter it had: so that it becomes a `script` and shares memory.

A command stays a command when psv could not run it the same way: options of the interpreter other than -u, -m and -c,
another Python than CPython 3, a file that Python 3 cannot parse. Files are read, nothing is run.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_PYTHON3 = re.compile(r"python(3(\.\d+)?)?")
_SHEBANG = re.compile(rb"#![ \t]*(\S+)[ \t]*([^\r\n]*)")
_VENVS = (".venv", "venv", "env")


class Script(NamedTuple):
    """A Python file with its arguments; `python` as fleet.toml names it (a venv's folder, an interpreter), None = psv's own."""

    path: Path
    args: list[str]
    python: str | None


def python_script(argv: list[str], cwd: Path, env: Mapping[str, str]) -> Script | None:
    """Return what `argv` runs, if it is a Python file that can be a script."""
    words = list(argv)
    if not words:
        return None
    if words[0].endswith(".py"):
        interpreter = _shebang(cwd / words[0])
        return None if interpreter is None else Script(_absolute(cwd, words[0]), words[1:], named_python(interpreter, cwd, env))
    if not _PYTHON3.fullmatch(Path(words[0]).name):
        return None
    rest = words[1:]
    while rest and rest[0] == "-u":
        del rest[0]
    if not rest or rest[0].startswith("-") or (not rest[0].endswith(".py") and not _is_python_text(cwd / rest[0])):
        return None
    return Script(_absolute(cwd, rest[0]), rest[1:], named_python(words[0], cwd, env))


def named_python(interpreter: str, cwd: Path, env: Mapping[str, str]) -> str | None:
    """Return how fleet.toml names an interpreter: the folder of its venv, its path, or None for the one that psv runs on."""
    path = executable(interpreter, cwd, env)
    if path is None:
        return None
    folder = Path(path).parent.parent
    return str(folder) if "/" in path and (folder / "pyvenv.cfg").is_file() else path


def executable(interpreter: str, cwd: Path, env: Mapping[str, str]) -> str | None:
    """Return the path of an interpreter, looked up as the program's supervisor would; None for the one that psv runs on.

    That one also stands for `python` and `python3` where PATH has none: a container's, or that of a venv somebody activates.
    """
    if "/" in interpreter:
        path = str(_absolute(cwd, interpreter))
    else:
        found = shutil.which(interpreter, path=env.get("PATH") or os.environ.get("PATH") or os.defpath)
        if found is None and interpreter in ("python", "python3"):
            return None
        path = found or interpreter
    is_own = Path(path).parent == Path(sys.executable).parent and os.path.realpath(path) == os.path.realpath(sys.executable)
    return None if is_own else path


def venv_beside(folder: Path) -> Path | None:
    """Return the interpreter of a virtual environment in `folder`, if there is one."""
    for name in _VENVS:
        if (folder / name / "pyvenv.cfg").is_file():
            return folder / name / "bin" / "python"
    return None


def _absolute(cwd: Path, text: str) -> Path:
    return Path(os.path.normpath(cwd / text))


def _shebang(path: Path) -> str | None:
    """Return the interpreter in the first line of a file, when it is Python 3."""
    try:
        with path.open("rb") as file:
            match = _SHEBANG.match(file.read(256))
    except OSError:
        return None
    if match is None:
        return None
    words = [os.fsdecode(match[1]), *os.fsdecode(match[2]).split()]
    if Path(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S"]
    rest = [word for word in words[1:] if word != "-u"]
    return words[0] if words and not rest and _PYTHON3.fullmatch(Path(words[0]).name) else None


def _is_python_text(path: Path) -> bool:
    """Tell whether a file without .py is Python's by its first line, and no program of its own."""
    return path.is_file() and _shebang(path) is not None
