"""Asking a process for the stacks of its threads and its asyncio tasks, without harming it.

The answers come into a file that the bot has held open since its launch. Nothing is sent unless the process shows that it holds
this very file and catches the signal: to any other one the signal would be the end. What could not be had is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from processsupervisor.health.processes import facts_of, has_locked, is_stopped, takes
from processsupervisor.health.pulses import has_vitals
from processsupervisor.health.verdict import Watched
from processsupervisor.kernel.clock import mono, wall
from processsupervisor.kernel.identity import Identity, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import STACKS_SIGNAL, TASKS_BEGIN, TASKS_END, TASKS_SIGNAL, Pulse, dump_path
from processsupervisor.launch.known import known_values
from processsupervisor.launch.tasklist import CUT, MORE_THREADS, MOST_BYTES, MOST_THREADS
from processsupervisor.observe.redact import redact

ANSWER_S = 1.0
_LOOK_S = 0.01
_SETTLES_S = 0.05
"""faulthandler says no end: it is through when it has written nothing for so long."""
_MOST_BYTES = 160 * 1024
_BEFORE_THE_PROGRAM = ("/processsupervisor/zygote/", "/processsupervisor/boot.py")
"""Frames of ours below the bot's first one; they are the same in every bot."""
_THREAD = re.compile(r"\n(?=(?:Current thread|Thread) 0x)")
_TAKEN_AWAY = "the program has taken the signal away that asks for it"
_NO_ANSWER = f"no answer within {ANSWER_S:g} s"
_NOT_WHOLE = f"not whole within {ANSWER_S:g} s"
_MORE_THREADS = "...\n"
"""faulthandler's last line when there are more than its hundred threads; the first one, its last, is not among them then."""


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
            tasks = stacks = _Answer(b"", _TAKEN_AWAY)
            if takes(process, TASKS_SIGNAL, by_thread=by_thread):
                tasks = await self._answer(descriptor, process, TASKS_SIGNAL, lambda _size, end: end.endswith(TASKS_END))
            before, is_both, after = tasks.content.partition(TASKS_BEGIN)
            if is_both:
                stacks, tasks = replace(tasks, content=before), replace(tasks, content=after)
            elif takes(process, STACKS_SIGNAL):  # the last resort: see launch/tasklist.py
                stacks = await self._answer(descriptor, process, STACKS_SIGNAL, _Settled())
        except OSError as err:
            dump.lack(err.strerror or str(err))
            return
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)  # it holds values as the process wrote them
            os.close(descriptor)
        secrets = known_values(self._paths, dump.bot)
        told = _text(stacks.content, secrets)
        dump.stacks, dump.tasks = told if is_both else main_first(told), _text(tasks.content.removesuffix(TASKS_END), secrets)
        for name, answer in (("stacks", stacks), ("tasks", tasks)):
            if answer.why_not:
                dump.lack(answer.why_not, name)
            if answer.is_cut:
                dump.lack(f"all but the last {_MOST_BYTES} bytes", name)
            if answer.content.endswith(CUT):
                dump.lack(f"all but the first {MOST_BYTES} bytes", name)
        if stacks.content.endswith(MORE_THREADS.encode()):
            dump.lack(f"of more than {MOST_THREADS} threads", "stacks")
        if stacks.content.endswith(f"\n{_MORE_THREADS}".encode()):
            dump.lack("of more than 100 threads, the first one among them", "stacks")

    def _open(self, bot: str, process: Identity, pulse: Pulse | None) -> int:
        """Return a descriptor of the dump file if the process has the same file open; -1 if that does not show."""
        if pulse is None or pulse.dump_fd <= 0:
            return -1
        try:
            descriptor = os.open(dump_path(self._paths, bot), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1
        try:
            facts = os.fstat(descriptor)
            if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and has_locked(descriptor, process):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        return -1

    @staticmethod
    async def _answer(descriptor: int, process: Identity, number: int, is_whole: Callable[[int, bytes], bool]) -> _Answer:
        """Send one signal and wait for what comes into the file; no event tells when a process writes into one."""
        os.ftruncate(descriptor, 0)
        if not send_signal(process, number):
            return _Answer(b"", "it has ended, or may not be signalled")
        deadline = mono() + ANSWER_S
        size, end = 0, b""
        while mono() < deadline:
            await asyncio.sleep(_LOOK_S)
            size = os.fstat(descriptor).st_size
            end = os.pread(descriptor, _MOST_BYTES, max(0, size - _MOST_BYTES))
            if is_whole(size, end):
                return _Answer(end, is_cut=size > _MOST_BYTES)
        return _Answer(end, _NOT_WHOLE if end else _NO_ANSWER, is_cut=size > _MOST_BYTES)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came, its end if it was too much: the thread that was asked is the last one in it."""

    content: bytes
    why_not: str = ""
    is_cut: bool = False


class _Settled:
    """True once something is there and has not grown for a while."""

    def __init__(self) -> None:
        self._size = 0
        self._since_mono = mono()

    def __call__(self, size: int, _end: bytes) -> bool:
        if size != self._size:
            self._size, self._since_mono = size, mono()
        return size > 0 and mono() - self._since_mono >= _SETTLES_S


def main_first(stacks: str) -> str:
    """Return faulthandler's stacks with the main thread's before all others: the loop turns there, so what hangs does it there.

    The interpreter lists its threads from the youngest to the oldest. Beyond 100 it leaves the oldest out, with three dots in their place.
    """
    threads = _THREAD.split(stacks)
    if len(threads) < 2 or not threads[-1].strip() or threads[-1].rstrip().endswith("\n..."):
        return stacks
    return "\n\n".join(thread.strip("\n") for thread in (threads[-1], *threads[:-1]) if thread.strip())


def _text(content: bytes, secrets: Sequence[str]) -> str:
    lines = content.decode("utf-8", "replace").splitlines()
    return redact("\n".join(line for line in lines if not any(place in line for place in _BEFORE_THE_PROGRAM)), secrets)

