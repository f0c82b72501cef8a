"""The five tasks: what each is called, and what must be true when its script has been carried out. `carry_out` runs one and counts."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.tasks.situation import HERE, PATIENCE_S, names
from benchmarks.tasks.systems import System

_CODES = {"psv": r"code 1\b", "supervisord": r"exit status 1\b", "pm2": r"code \[1\]", "systemd": r"status=1\b"}
_CLOSE_S = 15.0
"""So far may a time that is shown lie from the death as it was seen."""


@dataclass
class Act:
    """One command or edit as it was done."""

    kind: str
    lines: int
    what: str


@dataclass
class Done:
    """One task under one system. `after_s` passed from the end of the last command until all was as it should be."""

    task: str
    system: str
    acts: list[Act] = field(default_factory=list)
    seconds: float = 0.0
    after_s: float = 0.0
    others_restarted: int = 0
    printed_lines: int = 0
    failure: str = ""
    tells_broken: bool | None = None
    """Of an update: whether the command that starts a release that cannot start ends with a status other than 0."""

    @property
    def commands(self) -> int:
        return sum(act.kind == "command" for act in self.acts)

    @property
    def edits(self) -> int:
        return sum(act.kind == "edit" for act in self.acts)

    @property
    def lines(self) -> int:
        return sum(act.lines for act in self.acts)


Check = Callable[[System, float, str], bool]
"""`check(system, when the script began, what its commands printed)`."""


@dataclass(frozen=True)
class Task:
    """`bots` names whom it concerns, `before` and `after` are done uncounted around it."""

    name: str
    title: str
    bots: Callable[[System], list[str]]
    check: Check
    before: Callable[[System], None] = lambda _system: None
    after: Callable[[System, Done], None] = lambda _system, _done: None
    moves: bool = False


def _add(system: System, began: float, _printed: str) -> bool:
    return system.situation.run_all(_new(system), began, greeting="hello", version="1") and _under(system, _new(system))


def _setting(system: System, began: float, _printed: str) -> bool:
    return system.situation.run_all(_shops(system), began, greeting="welcome")


def _death(system: System, began: float, printed: str) -> bool:
    """The exit code, the whole traceback, and a time that is right."""
    times = [datetime.fromisoformat(text).timestamp() for text in re.findall(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", printed)]
    for text in re.findall(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d", printed):
        times.append(datetime.strptime(f"{datetime.now().year} {text}", "%Y %b %d %H:%M:%S").timestamp())
    died_at = float((system.situation.home / "died").read_text())
    words = ("Traceback (most recent call last)", "in ask", "ConnectionError: the shop's database does not answer")
    is_whole = all(word in printed for word in words) and re.search(_CODES[system.name], printed) is not None
    return is_whole and any(abs(at - died_at) < _CLOSE_S for at in times)


def _let_one_die(system: System) -> None:
    """End one bot by an exception, wait until it runs again and has printed on."""
    situation = system.situation
    dead = situation.environment()["DEAD"]
    before = situation.said(dead)["started"]
    (situation.home / f"die/{dead}").touch()
    situation.wait(lambda: not (situation.home / f"die/{dead}").exists(), f"{dead} dies")
    (situation.home / "died").write_text(str(time.time()))
    situation.wait(lambda: situation.run_all([dead], before), f"{dead} is back")
    time.sleep(3)


def _moved(system: System, began: float, _printed: str) -> bool:
    bots = names("old", system.situation.sizes.old)
    is_here = all(system.situation.run_all([name], began, greeting=f"from {name}") for name in bots)
    return is_here and system.situation.old_is_gone() and _under(system, bots)


def _updated(system: System, began: float, _printed: str) -> bool:
    """Version 2 ran on all: the script waited for it. Now all run version 1 again."""
    return system.situation.run_all(_news(system), began, version="1")


def _start_what_cannot(system: System, done: Done) -> None:
    """Give the last command of the update a release that ends at its first line; note whether it says so."""
    home = system.situation.home
    (home / "news").unlink()
    (home / "news").symlink_to("releases/3")
    argv = [*system.enter(), *shlex.split(done.acts[-1].what)]  # an update's commands are no pipelines
    ended = subprocess.run(argv, cwd=home, env=system.situation.environment(), capture_output=True, timeout=PATIENCE_S, check=False)
    done.tells_broken = ended.returncode != 0


def _under(system: System, bots: list[str]) -> bool:
    return all(str(system.situation.said(name).get("under", "")).startswith(system.mark) for name in bots)


def _new(system: System) -> list[str]:
    return [system.situation.environment()["NEW"]]


def _shops(system: System) -> list[str]:
    return names("shop", system.situation.sizes.shop)


def _news(system: System) -> list[str]:
    return names("news", system.situation.sizes.news)


TASKS = (
    Task("add", "Add a bot", _new, _add),
    Task("setting", "Change a setting on {shop}", lambda system: _shops(system) + _new(system), _setting),
    Task("death", "Find why one died", lambda _system: [], _death, before=_let_one_die),
    Task("move", "Move {old} bots here", lambda system: names("old", system.situation.sizes.old), _moved, moves=True),
    Task("update", "Update code on {news}, and back", _news, _updated, after=_start_what_cannot),
)


def carry_out(task: Task, system: System) -> Done:
    """Run the script of a task under a system, check what came of it, and return what was counted."""
    situation, home = system.situation, system.situation.home
    done = Done(task.name, system.name)
    task.before(system)
    tally, output = home / f"{task.name}.tally", home / f"{task.name}.output"
    tally.touch()
    output.touch()
    concerned = set(task.bots(system))
    others = [name for name in names("shop", system.kinds["shop"]) + names("news", system.kinds["news"]) if name not in concerned]
    starts = {name: situation.said(name)["started"] for name in others}
    environment = situation.environment() | {"TALLY": str(tally), "OUTPUT": str(output)}
    script = f'. "{HERE}/lib.sh"; . "{HERE}/{task.name}/{system.name}.sh"'
    began, began_mono = time.time(), time.monotonic()
    argv = [*system.enter(), "bash", "-c", script]
    ended = subprocess.run(argv, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           timeout=4 * PATIENCE_S, check=False)  # fmt: skip
    done.seconds = time.monotonic() - began_mono
    printed = output.read_text(errors="replace")
    if ended.returncode:
        raise RuntimeError(f"{task.name} under {system.name} ended with {ended.returncode}: {ended.stderr[-500:]} {printed[-1500:]}")
    what = f"the outcome of {task.name} under {system.name}: {printed[-1500:]}"
    done.after_s = situation.wait(lambda: task.check(system, began, printed), what, 60)
    done.others_restarted = sum(situation.said(name)["started"] != at for name, at in starts.items())
    done.printed_lines = printed.count("\n")
    for line in tally.read_text().splitlines():
        kind, lines, words = line.split("\t", 2)
        what = (_as_typed(words) if kind == "command" else words).replace(str(home), "~")
        done.acts.append(Act(kind, int(lines), what))
    task.after(system, done)
    return done


def _as_typed(quoted: str) -> str:
    """Return a command line as it is typed: a pipeline needs no sh -c there."""
    words = shlex.split(quoted)
    return words[2] if words[:2] == ["sh", "-c"] else shlex.join(words)
