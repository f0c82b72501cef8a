"""A kernel that exists in memory: processes, pidfds, signals and locks, for worlds that cannot be made with real ones.

It replaces only what the product asks the real kernel (`install`); it passes the same contract test (test_fakekernel.py).
It keeps what was done to it: every signal, and every process that was born.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from processsupervisor.kernel import identity, pidfd
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace
from processsupervisor.process import tree
from processsupervisor.supervisor import adoption

FIRST_PID = 5_000_000
"""Above every pid that the machine can have, so that what asks the real kernel by mistake finds nobody."""


@dataclass(slots=True)
class Process:
    """One process; `state` is the letter of proc(5). `is_stubborn` does not end by any signal (state D), `is_deaf` not by SIGTERM."""

    pid: int
    start_ticks: int
    parent: int = 1
    state: str = "S"
    status: int = 0
    marks: set[bytes] = field(default_factory=set)
    locks: set[Path] = field(default_factory=set)
    is_stubborn: bool = False
    is_deaf: bool = False
    watchers: list[int] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZX"

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.start_ticks, boot_id(), pid_namespace())


class FakeKernel:
    """All processes by pid. `on_exit` hears of every process that ended by a signal."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        self.signals: list[tuple[Process, int]] = []
        self.on_exit: Callable[[Process], None] = lambda _process: None
        self._numbers = itertools.count(FIRST_PID)
        self._ticks = itertools.count(1000)
        self._named: dict[int, Process] = {}

    # -- the world

    def spawn(self, *, pid: int | None = None, parent: int = 1) -> Process:
        """Make a process, with a pid that may have belonged to another one before."""
        process = Process(next(self._numbers) if pid is None else pid, next(self._ticks), parent)
        self.processes[process.pid] = process
        return process

    def end(self, process: Process, status: int, *, is_reaped: bool = False) -> None:
        """Let a process end: its locks are free, its pidfds readable, its children its parent's; a zombie until it is reaped."""
        process.state, process.status = "Z", status
        process.locks.clear()
        for writing in process.watchers:
            os.close(writing)
        process.watchers.clear()
        for below in self.processes.values():
            below.parent = process.parent if below.parent == process.pid else below.parent
        if is_reaped and self.processes.get(process.pid) is process:
            del self.processes[process.pid]

    def close(self) -> None:
        """Give back the descriptors behind the pidfds."""
        for process in [*self.processes.values(), *self._named.values()]:
            for writing in process.watchers:
                os.close(writing)
            process.watchers.clear()

    # -- what is asked of a kernel

    def read_fields(self, pid: int) -> list[bytes] | None:
        """See identity.read_fields."""
        process = self.processes.get(pid)
        if process is None:
            return None
        fields = [b"0"] * 50
        fields[0], fields[1], fields[3] = process.state.encode(), str(process.parent).encode(), str(process.pid).encode()
        fields[19], fields[49] = str(process.start_ticks).encode(), str(process.status).encode()
        return fields

    def pidfd_open(self, pid: int, flags: int = 0) -> int:
        """See os.pidfd_open."""
        process = self.processes.get(pid)
        if process is None:
            raise ProcessLookupError(3, "No such process")
        reading, writing = os.pipe()
        if process.is_alive:
            process.watchers.append(writing)
        else:
            os.close(writing)
        self._named[reading] = process
        return reading

    def pidfd_send_signal(self, descriptor: int, number: int) -> None:
        """See signal.pidfd_send_signal; every fatal signal is taken at once."""
        process = self._named[descriptor]
        if self.processes.get(process.pid) is not process:
            raise ProcessLookupError(3, "No such process")
        if number == 0:
            return
        self.signals.append((process, number))
        is_taken = number == signal.SIGKILL or (number == signal.SIGTERM and not process.is_deaf)
        if process.is_alive and not process.is_stubborn and is_taken:
            self.end(process, number)
            self.on_exit(process)

    def is_flocked(self, path: Path) -> bool:
        """See files.is_flocked."""
        return any(path in process.locks for process in self.processes.values())

    def all_pids(self) -> list[int]:
        """See tree.all_pids."""
        return list(self.processes)

    def children_of(self, pid: int) -> list[int]:
        """See tree.children_of."""
        return [p.pid for p in self.processes.values() if p.parent == pid]

    def marks_of(self, pid: int) -> set[bytes]:
        """See tree.marks_of."""
        process = self.processes.get(pid)
        return process.marks if process is not None and process.is_alive else set()

    def high_files_of(self, pid: int) -> set[tuple[int, int]]:
        """See tree.high_files_of."""
        process = self.processes.get(pid)
        facts = [os.stat(path) for path in (process.locks if process is not None else ())]
        return {(f.st_dev, f.st_ino) for f in facts}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Take the real kernel's place, until `patch` is undone."""
        for module in (identity, pidfd):
            patch.setattr(module, "read_fields", self.read_fields)
        patch.setattr(os, "pidfd_open", self.pidfd_open)
        patch.setattr(signal, "pidfd_send_signal", self.pidfd_send_signal)
        patch.setattr(adoption, "is_flocked", self.is_flocked)
        for question in (self.all_pids, self.children_of, self.marks_of, self.high_files_of):
            patch.setattr(tree, question.__name__, question)
