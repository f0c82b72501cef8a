"""Which bots of a fleet run outside of it, and the command that stops each there, by what /proc says and the supervisors in it.

A process is a bot's by its command line together with its folder; in another folder only where that says nothing (`/`, one above the
program, one that may not be seen) or its supervisor calls it as the bot is called. Nothing is signalled, and of an environment only
equality with the bot's own is looked at. A bot of any psv fleet does not count. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from processsupervisor.config.askable import Program, Word, ask_supervisors
from processsupervisor.config.cmdline import Pattern, forms_of, is_same, names_file, patterns_of
from processsupervisor.config.overseer import ASKED, GOD_DAEMON, Overseer, overseer_of
from processsupervisor.config.processes import Process, environment_of, processes
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.envfile import EnvFileError, parse_env_file


@dataclass(frozen=True, slots=True)
class Running:
    """A bot that runs elsewhere: `by` "supervisord", "pm2", "systemd" or "hand", and the one command that ends it there."""

    bot: str
    pid: int
    by: str
    stop: str
    state: str = ""
    """What its supervisor says of it while no process of it is there (`pid` is 0): it will start it again."""

    @property
    def text(self) -> str:
        """Return what is wrong and what to do, on one line."""
        by = "started by hand" if self.by == "hand" else f"under {self.by}"
        return f"it runs elsewhere ({by}, {f'pid {self.pid}' if self.pid else self.state}); stop it there: {self.stop}"


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


def find_elsewhere(specs: list[BotSpec], proc: Path = Path("/proc"), silent: list[str] | None = None) -> list[Running]:
    """Return what runs elsewhere, in the order of `specs`; of a program and its children the topmost process.

    A program that waits under its supervisor for the next try counts too; into `silent` goes which supervisor could not be asked.
    """
    wanted = [_Wanted(spec, patterns) for spec in specs if (patterns := patterns_of(spec))]
    by_name: dict[str, list[_Wanted]] = defaultdict(list)
    for one in wanted:
        for name in {_file_name(pattern.words[0]) for pattern in one.patterns}:
            by_name[name].append(one)
    found: dict[str, list[Running]] = defaultdict(list)
    running = list(processes(proc))
    hits = {process.pid: (process, found_here) for process in running if (found_here := _candidates(by_name, process))}
    taken: set[str] = set()
    for pid, (process, candidates) in sorted(hits.items()):
        environment = environment_of(proc, pid)
        if process.parent in hits or "PSV_BOT" in environment:
            continue
        overseer = overseer_of(proc, pid, process.parent, {name: value for name, value in environment.items() if name in ASKED})
        for one in _whose(candidates, process, environment, overseer, taken):
            taken.add(one.spec["name"])
            stop = f"{overseer.stop}{one.spec['name']}" if overseer.stop.endswith(" ") else overseer.stop
            found[one.spec["name"]].append(Running(one.spec["name"], pid, overseer.by, stop))
    word = ask_supervisors(running, proc) if wanted else Word()
    if silent is not None:
        silent += word.silent
    alive = {process.pid for process in running}
    seen = hits.keys() | {process.parent for process, _ in hits.values()}
    for program in word.programs:
        for one in _whose_program(by_name, program, taken) if program.pid not in seen else ():
            if one.spec["name"] not in found:
                taken.add(one.spec["name"])
                pid = program.pid if program.pid in alive else 0
                state = "" if pid else f"{program.state}, which starts it again by itself"
                found[one.spec["name"]].append(Running(one.spec["name"], pid, program.overseer.by, program.overseer.stop, state))
    return [running for spec in specs for running in found[spec["name"]]]


def elsewhere_now(spec: BotSpec) -> str | None:
    """Return why the bot may not be started now: it runs elsewhere still."""
    found = find_elsewhere([spec])
    return f"{found[0].text}, then psv start {spec['name']}" if found else None


def _file_name(word: str) -> str:
    return word.rpartition("/")[2]


def _candidates(by_name: dict[str, list[_Wanted]], process: Process) -> list[_Wanted]:
    """Return the bots whose command line this is; those of another file name are not compared at all."""
    if process.is_title and " ".join(process.argv).startswith(GOD_DAEMON):
        return []
    near = {id(one): one for word in process.argv[:4] for one in by_name.get(_file_name(word), [])}
    return [one for one in near.values() if any(is_same(p, process.argv, process.cwd, is_title=process.is_title) for p in one.patterns)]


def _whose(candidates: list[_Wanted], process: Process, environment: dict[str, str], overseer: Overseer, taken: set[str]) -> list[_Wanted]:
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


def _whose_program(by_name: dict[str, list[_Wanted]], program: Program, taken: set[str]) -> list[_Wanted]:
    """Return the bots that a program may be, as its supervisor starts it."""
    for argv, cwd in forms_of(program.argv, program.cwd):
        process = Process(program.pid, 0, argv, os.path.realpath(cwd))
        if whose := _whose(_candidates(by_name, process), process, {}, program.overseer, taken):
            return whose
    return []


def _says_nothing(one: _Wanted, process: Process) -> bool:
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
