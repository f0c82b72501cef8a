"""One found program as the table `[bots.NAME]`: keys that say what psv would do anyway are left out.

Paths inside the fleet folder are written relative to it. Values of variables that are secret do not stand in the table: they
are given back for a file of their own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from processsupervisor.adopt.interpreter import executable, python_script
from processsupervisor.adopt.program import Found, LeftOut
from processsupervisor.observe.redact import MARK, redact

INHERITED = ("PATH", "HOME", "LANG", "TZ")
"""What psv passes on by itself."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_STOP_S = 10.0
_PLAIN_MOST_S = 60.0


@dataclass(slots=True)
class Made:
    """The table, the variables that belong into a file of the bot's own, and what could not be written."""

    table: dict[str, object]
    secrets: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Secrets that had to stay in the arguments."""
    left_out: list[LeftOut] = field(default_factory=list)


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a token, a key or a password, by its name or by its shape."""
    return bool(value) and MARK in redact(f"{name}={value}")


def duration_text(seconds: float) -> str:
    """Return seconds as fleet.toml has them."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def absolute(folder: Path, text: str) -> Path:
    """Return a path that stands in a file of `folder`; `~` is the home folder."""
    return Path(os.path.normpath(folder / os.path.expanduser(text)))  # noqa: PTH111 - the Path method raises for unknown users


def beside(folder: Path, path: str | Path) -> str:
    """Return a path as fleet.toml in `folder` names it: relative where it lies inside."""
    plain = os.path.normpath(path)
    inside = os.path.relpath(plain, folder)
    return plain if inside.startswith("..") else inside


def make_table(found: Found, folder: Path) -> Made:
    """Return the table of one program; `depends_on` holds names of bots already."""
    cwd = found.cwd or found.place.path.parent
    made = Made(_program(found, cwd, folder))
    table = made.table
    if os.path.normpath(cwd) != os.path.normpath(folder):
        table["cwd"] = beside(folder, cwd)
    made.hidden = _secret_arguments(found.argv)
    if made.hidden or any(MARK in redact(word) for word in [" ".join(found.argv), found.shell]):
        told = "stands in its command line, where every user of the machine sees it: give it by env_file"
        made.left_out.append(LeftOut(found.place, f"a secret of {found.name}", told))
    _environment(found, folder, made)
    if found.locks:
        table["lock"] = [{"env": lock.env} if lock.env else {"file": beside(folder, lock.file or "")} for lock in found.locks]
    if found.ready:
        table["ready"] = found.ready
    _ends(found, table)
    _rest(found, table)
    return made


def _secret_arguments(argv: list[str]) -> set[str]:
    """Return the words behind options such as --token or --password."""
    return {
        value for option, value in pairwise(argv) if option.startswith("-") and "=" not in option and is_secret(option.strip("-"), value)
    }


def _program(found: Found, cwd: Path, folder: Path) -> dict[str, object]:
    if found.shell:
        return {"command": ["sh", "-c", found.shell]}
    script = None if found.keep_command else python_script(found.argv, cwd, found.env)
    if script is None:
        program, *args = found.argv
        if program == "python":  # to psv that is its own interpreter, there it was the first on PATH
            program = executable(program, cwd, found.env) or program
        return {"command": [_program_text(program, cwd, folder), *args]}
    table: dict[str, object] = {"script": beside(folder, script.path)}
    if script.args:
        table["args"] = script.args
    if script.python is not None:
        table["python"] = beside(folder, script.python) if "/" in script.python else script.python
    return table


def _program_text(program: str, cwd: Path, folder: Path) -> str:
    if "/" not in program:
        return program
    text = beside(folder, cwd / program)
    return text if "/" in text else f"./{text}"


def _environment(found: Found, folder: Path, made: Made) -> None:
    plain: dict[str, object] = {}
    for name, value in found.env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            made.left_out.append(LeftOut(found.place, f"variable {name!r} of {found.name}", "is no name of a variable that psv can set"))
        elif is_secret(name, value):
            made.secrets[name] = value
        else:
            plain[name] = value
    if plain:
        made.table["env"] = plain
    files = [beside(folder, path) for path in found.env_files]
    if files:
        made.table["env_file"] = files[0] if len(files) == 1 else files
    more = [name for name in found.inherit if name not in INHERITED and name not in found.env and _VARIABLE.fullmatch(name)]
    if more:
        made.table["inherit"] = [*INHERITED, *dict.fromkeys(more)]


def _ends(found: Found, table: dict[str, object]) -> None:
    stop: dict[str, object] = {}
    if found.stop_signal and found.stop_signal != "TERM":
        stop["signal"] = found.stop_signal
    if found.stop_timeout_s is not None and found.stop_timeout_s != _PLAIN_STOP_S:
        stop["timeout"] = duration_text(found.stop_timeout_s)
    if stop:
        table["stop"] = stop
    restart: dict[str, object] = {}
    if found.restart and found.restart != "always":
        restart["policy"] = found.restart
    if found.restart_delay_s:
        restart["initial"] = restart["base"] = duration_text(found.restart_delay_s)
    if found.restart_max_s is not None or (found.restart_delay_s or 0) > _PLAIN_MOST_S:
        restart["max"] = duration_text(max(found.restart_max_s or 0.0, found.restart_delay_s or 0.0))
    if restart:
        table["restart"] = restart


def _rest(found: Found, table: dict[str, object]) -> None:
    if found.depends_on:
        until = found.depends_until
        table["depends_on"] = [{"bot": name, "until": until[name]} if name in until else name for name in found.depends_on]
    if found.priority:
        table["priority"] = max(-1000, min(1000, found.priority))
    if found.autostart is False:
        table["autostart"] = False
    if found.user:
        table["user"] = found.user
    if found.umask is not None:
        table["umask"] = f"{found.umask:03o}"
    if found.recycle_bytes:
        table["recycle"] = {"max_memory_hard": max(found.recycle_bytes, 1 << 20)}
    logs: dict[str, object] = {}
    if found.log_max_bytes:
        logs["max"] = max(found.log_max_bytes, 4096)
    if found.log_keep:
        logs["keep"] = min(found.log_keep, 1000)
    if logs:
        table["logs"] = logs
    limits: dict[str, object] = {}
    if found.memory_bytes:
        limits["memory"] = max(found.memory_bytes, 1 << 20)
    if found.nofile:
        limits["nofile"] = max(found.nofile, 16)
    if limits:
        table["limits"] = limits
