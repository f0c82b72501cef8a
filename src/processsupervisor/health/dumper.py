"""Asking a process for the stacks of its threads and its asyncio tasks, without harming it.

The answers come into a file that the bot has held open since its launch. Nothing is sent unless the process shows that it holds
this very file and catches the signal: to any other one the signal would be the end. What could not be had is named.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.health.processes import facts_of, is_stopped, takes
from processsupervisor.health.pulses import has_vitals
from processsupervisor.health.verdict import Watched
from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import STACKS_SIGNAL, TASKS_END, TASKS_SIGNAL, Pulse, dump_path
from processsupervisor.observe.redact import redact

ANSWER_S = 1.0
_LOOK_S = 0.01
_SETTLES_S = 0.05
"""faulthandler says no end: it is through when it has written nothing for so long."""
_MOST_BYTES = 64 * 1024
_BEFORE_THE_PROGRAM = ("/processsupervisor/zygote/", "/processsupervisor/boot.py")
"""Frames of ours below the bot's first one; they are the same in every bot."""
_THREAD = re.compile(r"\n(?=(?:Current thread|Thread) 0x)")
_TAKEN_AWAY = "the program has taken the signal away that asks for it"
_NO_ANSWER = f"no answer within {ANSWER_S:g} s"


@dataclass(slots=True)
class Dump:
    """What one process said, and of what it did not say why. `process` is what the kernel says of it."""

    bot: str
    generation: int
    pid: int
    at: float
    process: dict[str, str]
    stacks: str = ""
    tasks: str = ""
    missing: list[str] = field(default_factory=list)

    def lack(self, why: str, *what: str) -> None:
        """Name what could not be had."""
        self.missing += [f"{name}: {why}" for name in what or ("stacks", "tasks")]


class Dumper:
    """Takes dumps of one fleet's bots, one at a time for each: two would write into one file."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self._locks: dict[str, asyncio.Lock] = {}

    async def take(self, bot: Watched, process: Identity, pulse: Pulse | None) -> Dump:
        """Return what `process` says within two seconds; never raises for what the bot does. It may be cancelled."""
        dump = Dump(bot.name, bot.generation, process.pid, wall(), facts_of(process))
        async with self._locks.setdefault(bot.name, asyncio.Lock()):
            if is_stopped(process):
                dump.lack("the process is stopped and cannot answer")
            elif not has_vitals(bot):
                dump.lack(f"psv can look into Python processes that its zygotes forked only; try py-spy dump --pid {process.pid}")
            else:
                await self._ask(dump, process, pulse, by_thread=bot.spec["kind"] == "native")
        return dump

    async def _ask(self, dump: Dump, process: Identity, pulse: Pulse | None, *, by_thread: bool) -> None:
        descriptor = self._open(dump.bot, process, pulse)
        if descriptor < 0:
            dump.lack("it holds no dump file (closed by the program, or no disk was left at its start)")
            return
        try:
            stacks = _Answer(b"", _TAKEN_AWAY)
            if takes(process, STACKS_SIGNAL):
                stacks = await self._answer(descriptor, process, STACKS_SIGNAL, _Settled())
            tasks = _Answer(b"", _TAKEN_AWAY)
            if takes(process, TASKS_SIGNAL, by_thread=by_thread):
                tasks = await self._answer(descriptor, process, TASKS_SIGNAL, lambda content: content.endswith(TASKS_END))
        except OSError as err:
            dump.lack(err.strerror or str(err))
            return
        finally:
            os.close(descriptor)
        dump.stacks, dump.tasks = main_first(_text(stacks.content)), _text(tasks.content.removesuffix(TASKS_END))
        for name, answer in (("stacks", stacks), ("tasks", tasks)):
            if answer.why_not:
                dump.lack(answer.why_not, name)

    def _open(self, bot: str, process: Identity, pulse: Pulse | None) -> int:
        """Return a descriptor of the dump file if the process has the same file open; -1 if that does not show."""
        if pulse is None or pulse.dump_fd <= 0:
            return -1
        try:
            descriptor = os.open(dump_path(self._paths, bot), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1
        try:
            ours, theirs = os.fstat(descriptor), Path(f"/proc/{process.pid}/fd/{pulse.dump_fd}").stat()
            if stat.S_ISREG(ours.st_mode) and ours.st_nlink == 1 and (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        return -1

    @staticmethod
    async def _answer(descriptor: int, process: Identity, number: int, is_whole: Callable[[bytes], bool]) -> _Answer:
        """Send one signal and wait for what comes into the file; no event tells when a process writes into one."""
        os.ftruncate(descriptor, 0)
        if not send_signal(process, number):
            return _Answer(b"", "it has ended, or may not be signalled")
        deadline = mono() + ANSWER_S
        content = b""
        while mono() < deadline:
            await asyncio.sleep(_LOOK_S)
            content = os.pread(descriptor, _MOST_BYTES, 0)
            if is_whole(content):
                return _Answer(content)
        return _Answer(content, "" if content else _NO_ANSWER)


@dataclass(frozen=True, slots=True)
class _Answer:
    content: bytes
    why_not: str = ""


class _Settled:
    """True once something is there and has not grown for a while."""

    def __init__(self) -> None:
        self._length = 0
        self._since_mono = mono()

    def __call__(self, content: bytes) -> bool:
        if len(content) != self._length:
            self._length, self._since_mono = len(content), mono()
        return bool(content) and mono() - self._since_mono >= _SETTLES_S


def main_first(stacks: str) -> str:
    """Return faulthandler's stacks with the main thread's before all others: the loop turns there, so what hangs does it there.

    The interpreter lists its threads from the youngest to the oldest. Beyond 100 it leaves the oldest out, with three dots in their place.
    """
    threads = _THREAD.split(stacks)
    if len(threads) < 2 or not threads[-1].strip() or threads[-1].rstrip().endswith("\n..."):
        return stacks
    return "\n\n".join(thread.strip("\n") for thread in (threads[-1], *threads[:-1]) if thread.strip())


def _text(content: bytes) -> str:
    lines = content.decode("utf-8", "replace").splitlines()
    return redact("\n".join(line for line in lines if not any(place in line for place in _BEFORE_THE_PROGRAM)))
