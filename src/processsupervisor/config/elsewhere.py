"""Which bots of a fleet run outside of it, and the command that stops each there, by what /proc says.

A process is a bot's by its command line together with its folder; in another folder only where that says nothing (`/`, one above the
program, one that may not be seen) or its supervisor calls it as the bot is called. Nothing is signalled, and of an environment only
equality with the bot's own is looked at. A bot of any psv fleet does not count. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from processsupervisor.config.cmdline import Pattern, is_same, names_file, patterns_of
from processsupervisor.config.overseer import ASKED, GOD_DAEMON, Overseer, overseer_of
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.envfile import EnvFileError, parse_env_file


@dataclass(frozen=True, slots=True)
class Running:
    """A bot that runs elsewhere: `by` "supervisord", "pm2", "systemd" or "hand", and the one command that ends it there."""

    bot: str
    pid: int
    by: str
    stop: str

    @property
    def text(self) -> str:
        """Return what is wrong and what to do, on one line."""
        by = "started by hand" if self.by == "hand" else f"under {self.by}"
        return f"it runs elsewhere ({by}, pid {self.pid}); stop it there: {self.stop}"


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    argv: list[str]
    cwd: str
    """Empty: another user's, which may not be seen."""
    is_title: bool
    """The program has overwritten its command line: arguments may be missing."""


@dataclass(eq=False)
class _Wanted:
    spec: BotSpec
    patterns: list[Pattern]

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return the bot's own environment, of which files are read once."""
        variables: dict[str, str] = {}
        for path in self.spec["env_files"]:
            with contextlib.suppress(EnvFileError, OSError):  # psv check says so; here it only tells bots apart
                variables.update(parse_env_file(Path(path)))
        return {**variables, **self.spec["env"]}


def find_elsewhere(specs: list[BotSpec], proc: Path = Path("/proc")) -> list[Running]:
    """Return what runs elsewhere, in the order of `specs`; of a program and its children the topmost process."""
    wanted = [_Wanted(spec, patterns) for spec in specs if (patterns := patterns_of(spec))]
    by_name: dict[str, list[_Wanted]] = defaultdict(list)
    for one in wanted:
        for name in {_file_name(pattern.words[0]) for pattern in one.patterns}:
            by_name[name].append(one)
    found: dict[str, list[Running]] = defaultdict(list)
    processes = list(_processes(proc))
    hits = {process.pid: (process, found_here) for process in processes if (found_here := _candidates(by_name, process))}
    taken: set[str] = set()
    for pid, (process, candidates) in sorted(hits.items()):
        environment = _environment(proc, pid)
        if process.parent in hits or "PSV_BOT" in environment:
            continue
        overseer = overseer_of(proc, pid, process.parent, {name: value for name, value in environment.items() if name in ASKED})
        for one in _whose(candidates, process, environment, overseer, taken):
            taken.add(one.spec["name"])
            stop = f"{overseer.stop}{one.spec['name']}" if overseer.stop.endswith(" ") else overseer.stop
            found[one.spec["name"]].append(Running(one.spec["name"], pid, overseer.by, stop))
    return [running for spec in specs for running in found[spec["name"]]]


def elsewhere_now(spec: BotSpec) -> str | None:
    """Return why the bot may not be started now: it runs elsewhere still."""
    found = find_elsewhere([spec])
    return f"{found[0].text}, then psv start {spec['name']}" if found else None


def _file_name(word: str) -> str:
    return word.rpartition("/")[2]


def _candidates(by_name: dict[str, list[_Wanted]], process: _Process) -> list[_Wanted]:
    """Return the bots whose command line this is; those of another file name are not compared at all."""
    near = {id(one): one for word in process.argv[:4] for one in by_name.get(_file_name(word), [])}
    return [one for one in near.values() if any(is_same(p, process.argv, process.cwd, is_title=process.is_title) for p in one.patterns)]


def _whose(candidates: list[_Wanted], process: _Process, environment: dict[str, str], overseer: Overseer, taken: set[str]) -> list[_Wanted]:
    """Return the bots that this process may be: one, unless nothing tells them apart that are not the same in all but name."""
    named = [one for one in candidates if overseer.name and _plain(overseer.name) == one.spec["name"]]
    there = [one for one in candidates if any(pattern.cwd == process.cwd for pattern in one.patterns)]
    near = there or named or [one for one in candidates if _says_nothing(one, process)]
    near = [one for one in near if not _is_other_token(one, environment)]
    if len(near) < 2:
        return near
    if own := [one for one in near if one in named]:
        return own
    fewest = min(_differing(one.variables, environment) for one in near)
    near = [one for one in near if _differing(one.variables, environment) == fewest]
    if all((one.patterns, one.variables) == (near[0].patterns, near[0].variables) for one in near):
        return [one for one in near if one.spec["name"] not in taken][:1]
    return near


def _says_nothing(one: _Wanted, process: _Process) -> bool:
    """Tell whether the process is the bot although it stands in another folder: by the file that both name."""
    for pattern in one.patterns:
        file = names_file(pattern, process.argv, process.cwd)
        if file is not None and (process.cwd in ("", "/") or file.startswith(process.cwd + "/")):
            return True
    return False


def _plain(name: str) -> str:
    """Return a foreign name as psv adopt makes a bot's of it."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:56]


def _is_other_token(one: _Wanted, environment: dict[str, str]) -> bool:
    """Tell whether a token that the bot locks has another value there: then it is another bot of the same program."""
    names = [lock["env"] for lock in one.spec["lock"] if lock.get("env") in environment]
    return any(one.variables.get(name, environment[name]) != environment[name] for name in names)


def _differing(variables: dict[str, str], environment: dict[str, str]) -> int:
    return sum(environment.get(name, value) != value for name, value in variables.items())


def _processes(proc: Path) -> Iterator[_Process]:
    """Yield everything that lives and whose command line may be seen."""
    own = str(os.getpid())
    for entry in proc.iterdir():
        if not entry.name.isdigit() or entry.name == own:
            continue
        try:
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            line = os.fsdecode((entry / "cmdline").read_bytes()).rstrip("\0")
        except (OSError, ValueError):
            continue  # it has ended
        if state == b"Z" or not line or line.startswith(("psv: ", GOD_DAEMON)):
            continue
        try:
            cwd = str((entry / "cwd").readlink())
        except OSError:
            cwd = ""
        is_title = "\0" not in line and " " in line
        yield _Process(int(entry.name), int(parent), line.split() if is_title else line.split("\0"), cwd, is_title)


def _environment(proc: Path, pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; empty when it may not be seen."""
    try:
        content = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0"))
    return {name: value for name, _, value in pairs if name}
