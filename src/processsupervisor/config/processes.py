"""The processes of this machine as /proc shows them: what lives, with which command line, folder and environment. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `cwd` is empty where it is another user's, which may not be seen."""

    pid: int
    parent: int
    argv: list[str]
    cwd: str
    is_title: bool = False
    """The program has overwritten its command line: arguments may be missing."""


def processes(proc: Path) -> Iterator[Process]:
    """Yield everything that lives and whose command line may be seen, but psv's own processes."""
    own = str(os.getpid())
    for entry in proc.iterdir():
        if not entry.name.isdigit() or entry.name == own:
            continue
        try:
            state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            line = os.fsdecode((entry / "cmdline").read_bytes()).rstrip("\0")
        except (OSError, ValueError):
            continue  # it has ended
        if state == b"Z" or not line or line.startswith("psv: "):
            continue
        try:
            cwd = str((entry / "cwd").readlink())
        except OSError:
            cwd = ""
        is_title = "\0" not in line and " " in line
        yield Process(int(entry.name), int(parent), line.split() if is_title else line.split("\0"), cwd, is_title)


def environment_of(proc: Path, pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; empty when it may not be seen."""
    try:
        content = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0"))
    return {name: value for name, _, value in pairs if name}
