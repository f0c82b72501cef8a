"""What a benchmark asks of a supervisor: start these programs in this folder, name your own processes, list, stop.

Every peer runs with its fastest settings: no start delay, no back-off, restart always. A peer that throttles restarts of programs
younger than a second is given programs that are older.
"""

from __future__ import annotations

import abc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure

PROGRAMS = Path(__file__).parent.parent / "programs"
INTERPRETER = sys.executable


@dataclass(frozen=True)
class Program:
    """One bot: a Python file and what it finds in its environment, or the `command` given instead of the file.

    `native` names a bot of psv's own kind. `ready` is a line of fleet.toml, `settings` more of them; other supervisors have no such thing.
    """

    name: str
    script: Path
    env: dict[str, str] = field(default_factory=dict)
    native: bool = False
    command: tuple[str, ...] = ()
    python: str = ""
    cwd: Path | None = None
    ready: str = ""
    settings: str = ""
    stop_signal: str = ""

    @property
    def argv(self) -> list[str]:
        return list(self.command) or [self.python or INTERPRETER, str(self.script)]


class System(abc.ABC):
    """One supervisor in one folder. `start` may be called once; `stop` is always safe and leaves no process behind."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str | None:
        """Return the version, or None when it is not on this machine."""

    @abc.abstractmethod
    def start(self, programs: Sequence[Program]) -> None:
        """Begin to run `programs`; returns as soon as the supervisor has been told."""

    @abc.abstractmethod
    def list_command(self) -> list[str]:
        """Return the command with which a person sees all programs."""

    @abc.abstractmethod
    def stop(self) -> None: ...

    def wait_until_up(self, count: int, timeout_s: float = 120.0) -> None:
        """Wait until the supervisor has at least `count` programs below it."""
        deadline = time.monotonic() + timeout_s
        while len(measure.tree(*self.roots())) - len(self.own_pids()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not start {count} programs in {timeout_s:.0f} s")
            time.sleep(0.1)

    def roots(self) -> list[int]:
        """Return the pids above everything that belongs to this supervisor."""
        assert self.process is not None
        return [self.process.pid]

    def own_pids(self) -> list[int]:
        """Return the supervisor's own processes, without the programs."""
        return self.roots()

    def brain_pid(self) -> int:
        """Return the process that decides, the one whose SIGKILL an operator fears."""
        return self.roots()[0]

    def bring_back(self) -> None:
        """Do what an operator does after that: start the supervisor again. For one that comes back by itself, nothing."""
        assert self.process is not None
        self.process.wait(10)
        self.spawn([str(word) for word in self.process.args] if isinstance(self.process.args, list) else [])

    def pid_of(self, program: Program) -> int:
        return measure.pid_with_token(program.env["BOT_TOKEN"], self.roots())

    def environment(self) -> dict[str, str]:
        """Return the environment for the supervisor and its command."""
        return {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}

    def spawn(self, argv: Sequence[str]) -> None:
        """Run the supervisor itself in the folder, its output in a file there."""
        with (self.folder / "supervisor.out").open("ab") as out:
            self.process = subprocess.Popen(argv, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, start_new_session=True)

    def end(self, signal_number: int = signal.SIGTERM, timeout_s: float = 30.0) -> None:
        """Signal the spawned supervisor, wait, then kill what is left of its tree by pid."""
        if self.process is None:
            return
        members = measure.tree(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        for pid in members[1:]:
            kill_if_there(pid)
        self.process = None


def kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def first_line(argv: Sequence[str]) -> str | None:
    """Return the first line that a `--version` prints, or None when the program is not there."""
    if shutil.which(argv[0]) is None:
        return None
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[-1] if lines else "unknown"
