"""psvd on a clock that jumps from one event to the next: days pass in seconds, and nothing but the kernel is a fake.

psvd's own code runs (Psvd, Fleet, BotHandle, Launcher, Aftermath, Store); processes are those of fakekernel.py, the keeper reaps and
tells, and a program is a function that says how long a generation lives. Several lives of psvd follow each other over the same folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor import fakekernel
from tests.supervisor.fakekernel import FakeKernel, Process
from tests.supervisor.virtualtime import Clock, VirtualLoop

from processsupervisor.config.load import load_fleet
from processsupervisor.config.spec import BotSpec
from processsupervisor.ipc.journal import Journal
from processsupervisor.kernel import clock as kernel_clock
from processsupervisor.kernel import identity
from processsupervisor.kernel.errors import Exhausted, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import Trigger
from processsupervisor.launch.logins import note_start
from processsupervisor.process.handle import BotHandle
from processsupervisor.resources.cgroups import Groups
from processsupervisor.supervisor import daemon, fleet
from processsupervisor.supervisor.keeperlink import REQUEST_TIMEOUT_S

KEEPER_PID = 999
_UP_SINCE_S = 60.0
CODE_1 = 1 << 8


@dataclass
class Life:
    """How one generation is to go: it ends with `status` after `lives_s`, or when it is told to.

    A native bot says ready after `ready_s` and answers pause, resume and stop after `answers_s`; None = never. `birth` is what
    becomes of the launch itself: born, refused or exhausted (nothing is born), or unanswered (born, but psvd is not told).
    """

    lives_s: float | None = None
    status: int = CODE_1
    ready_s: float | None = 0.05
    answers_s: float | None = 0.05
    is_deaf: bool = False
    birth: str = "born"


Program = Callable[["Simulation"], Life]


class SimulatedKeeper:
    """In the place of KeeperLink."""

    def __init__(self, world: Simulation, on_message: Callable[[dict[str, Any]], None]) -> None:
        self._world, self._on_message = world, on_message
        self.pid: int | None = KEEPER_PID
        self.code, self.is_silent, self.is_new = "", False, True
        self.listeners: list[Any] = []
        self.welcome: dict[str, Any] = {"fifos": [], "roles": [{"role": "psvd", "pid": os.getpid(), "generation": world.lives}]}

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """See KeeperPort."""
        await asyncio.sleep(0.001)
        if op != "launch":
            return {"ok": True}
        process = await self._world.launch(str(fields["bot"]), int(fields["generation"]))
        return {"ok": True, "pid": process.pid, "start_ticks": process.start_ticks}

    def tell(self, op: str, **fields: Any) -> None:
        """See KeeperPort; pipes are drained at once."""
        if op == "release":
            loop = asyncio.get_running_loop()
            loop.call_soon(self._on_message, {"op": "released", "bot": fields["bot"], "generation": fields["generation"]})

    def hear(self, message: dict[str, Any]) -> None:
        """Tell psvd something, as the keeper's socket does."""
        asyncio.get_running_loop().call_soon(self._on_message, message)


@dataclass
class Born:
    """One generation that came to be."""

    bot: str
    generation: int
    life: Life
    at: float
    process: Process
    is_paused: bool = False


class SimulatedLink:
    """The control link to a native bot: what psvd asks is answered as the life of that generation says."""

    def __init__(self, world: Simulation, born: Born, handle: BotHandle) -> None:
        self._world, self._born, self._handle = world, born, handle

    def send(self, message: dict[str, Any]) -> None:
        """See LinkPort."""
        if self._born.life.answers_s is not None:
            self._world.clock.at(self._born.life.answers_s, lambda: self._answer(message["op"]))

    def _answer(self, op: str) -> None:
        if op == "stop":
            self._world.end(self._born.process, 0)
            return
        self._born.is_paused = op == "pause"
        if self._world.psvd is not None and self._world.psvd._fleet.handles[self._born.bot].link is self:
            self._handle.pausing.say_turned(Trigger.PAUSED if op == "pause" else Trigger.RESUMED)
            if op == "pause":
                self._handle.pausing.follow()


@dataclass
class Simulation:
    """One fleet folder, its processes and its clock; psvds come and go."""

    folder: Path
    toml: str
    programs: dict[str, Program] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    kernel: FakeKernel = field(default_factory=FakeKernel)
    starts: dict[str, list[float]] = field(default_factory=dict)
    """When each bot was started, in simulated seconds."""
    doubled: list[str] = field(default_factory=list)
    lives: int = 0
    stalled_s: float = 0.0
    boot: str = f"{1:032x}"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "fleet.toml").write_text(self.toml)
        (self.folder / "bots.py").touch()
        loaded = load_fleet(self.folder)
        assert loaded.applied is not None, loaded.problems
        self.applied = loaded.applied
        self.paths = FleetPaths(self.folder)
        self.paths.ensure()
        self._journal = Journal(self.paths.journal)
        self._keeper: SimulatedKeeper | None = None
        self.psvd: daemon.Psvd | None = None
        self.born: dict[int, Born] = {}
        self.kernel.on_exit = self._reap

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Take the place of the kernel, the keeper and the clocks, until `patch` is undone."""
        self.kernel.install(patch)
        patch.setattr(fleet, "KeeperLink", lambda _paths, on_message: SimulatedKeeper(self, on_message))
        patch.setattr(fleet.ZygotePool, "prepare", _prepare)
        patch.setattr(fleet.ZygotePool, "fork", self._fork)
        patch.setattr(Groups, "create", lambda *_: None)
        patch.setattr(asyncio, "to_thread", _inline)
        for name, simulated in (("mono", self.clock.mono), ("boottime", self.clock.boottime), ("wall", self.clock.wall)):
            real = getattr(kernel_clock, name)
            _replace(patch, name, real, simulated)
        _replace(patch, "boot_id", identity.boot_id, lambda: self.boot)
        patch.setattr(fakekernel, "boot_id", lambda: self.boot)

    # -- the world

    async def launch(self, bot: str, generation: int) -> Process:
        """Be born, as the keeper's child: takes the lock, signs it, and lives as its program says."""
        life = self.programs[bot](self) if bot in self.programs else Life()
        if life.birth in ("refused", "exhausted"):
            raise (Exhausted if life.birth == "exhausted" else SystemRefused)("not now")
        lock = self.paths.bot_run(bot) / "lock"
        if self.kernel.is_flocked(lock):
            self.doubled.append(bot)
        process = self.kernel.spawn(parent=KEEPER_PID)
        process.is_deaf = life.is_deaf
        process.locks.add(lock)
        lock.write_text(json.dumps({"generation": generation, **process.identity.to_json()}))
        self.born[process.pid] = Born(bot, generation, life, self.clock.now, process)
        self.starts.setdefault(bot, []).append(self.clock.now)
        if budget := self._spec(bot)["login_budget"]:
            note_start(self.paths, bot, [], budget["count"])
        if life.lives_s is not None:
            self.clock.at(life.lives_s, lambda: self.end(process, life.status))
        self._plan_hello(self.born[process.pid])
        if life.birth == "unanswered":
            await asyncio.sleep(REQUEST_TIMEOUT_S)
            raise SystemRefused("the keeper gives no answer")
        return process

    async def _fork(self, *_: object, bot: str, generation: int, **__: object) -> tuple[int, int, str]:
        process = await self.launch(bot, generation)
        return process.pid, process.start_ticks, "zygote sim-0"

    def end(self, process: Process, status: int) -> None:
        """Let a process end by itself; ending twice does nothing."""
        if process.is_alive:
            self.kernel.end(process, status)
            self._reap(process)

    def _reap(self, process: Process) -> None:
        """Journal and tell, as the keeper does; its own time is real, the journal's is simulated."""
        entry = self._journal.append(process.pid, process.start_ticks, process.status, self.clock.wall())
        if self.kernel.processes.get(process.pid) is process:
            del self.kernel.processes[process.pid]
        if self._keeper is not None:
            message = {"op": "exit", "pid": entry.pid, "start_ticks": entry.start_ticks, "status": entry.status, "at": entry.at}
            self._keeper.hear(message)

    def alive(self, bot: str) -> list[Process]:
        """Return the living processes of a bot."""
        return [b.process for b in self.born.values() if b.bot == bot and b.process.is_alive]

    # -- native bots

    def _plan_hello(self, born: Born, after_s: float = 0.0) -> None:
        if born.life.ready_s is not None and self._spec(born.bot)["kind"] == "native":
            self.clock.at(max(after_s, born.at + born.life.ready_s - self.clock.now), lambda: self._say_hello(born))

    def _spec(self, bot: str) -> BotSpec:
        return next(spec for spec in self.applied["bots"] if spec["name"] == bot)

    def _say_hello(self, born: Born) -> None:
        """Connect and say ready; tried again until psvd knows this generation, or the process is gone."""
        if not born.process.is_alive or self.psvd is None:
            return
        handle = self.psvd._fleet.handles[born.bot]
        if handle.process != born.process.identity:
            self.clock.at(0.2, lambda: self._say_hello(born))
            return
        handle.link = SimulatedLink(self, born, handle)
        handle.say_ready()
        if born.is_paused:
            handle.pausing.say_turned(Trigger.PAUSED)
        handle.pausing.follow()

    # -- psvd

    def live(self, act: Callable[[daemon.Psvd], Awaitable[Any]]) -> Any:
        """Run one psvd: it adopts, starts what is wanted and serves while `act` lasts; then it is killed, without a last word."""
        self.lives += 1
        loop = VirtualLoop(self.clock)
        try:
            return loop.run_until_complete(self._serve(act))
        finally:
            psvd, self._keeper, self.psvd = self.psvd, None, None
            loop.run_until_complete(_die(psvd))
            loop.close()

    async def _serve(self, act: Callable[[daemon.Psvd], Awaitable[Any]]) -> Any:
        psvd = self.psvd = daemon.Psvd(self.paths, self.applied)
        keeper: Any = psvd._fleet.keeper
        self._keeper = keeper
        psvd._take_welcome()
        reconcile = await psvd._adopt_all()
        psvd._fleet.is_adopted.set()
        await psvd._start_wanted(reconcile)
        for born in self.born.values():
            self._plan_hello(born, 0.2)
        settling = asyncio.ensure_future(reconcile.settle())
        result = await act(psvd)
        settling.cancel()
        return result

    def run(self, for_s: float) -> None:
        """Live for `for_s` and be killed."""
        self.live(lambda _psvd: asyncio.sleep(for_s))

    def nobody(self, for_s: float) -> None:
        """Let time pass without a psvd."""
        until = self.clock.now + for_s
        while self.clock.now < until:
            self.clock.pass_time(until - self.clock.now)

    def stall(self, for_s: float) -> None:
        """Let time pass while psvd is stopped."""
        self.stalled_s += for_s
        self.nobody(for_s)

    @property
    def ran_s(self) -> float:
        """A clock that stands while psvd is stopped."""
        return self.clock.now - self.stalled_s

    def reboot(self) -> None:
        """Let every process end unseen, and the machine's clocks begin anew; the files stay."""
        for born in self.born.values():
            if born.process.is_alive:
                self.kernel.end(born.process, int(signal.SIGKILL), is_reaped=True)
        self.boot, self.lives = f"{int(self.boot, 16) + 1:032x}", 0
        self.clock.wall_offset_s += self.clock.now - _UP_SINCE_S
        self.clock.now = _UP_SINCE_S

    def close(self) -> None:
        """Give descriptors back."""
        self.kernel.close()
        os.close(self._journal._descriptor)


def _replace(patch: pytest.MonkeyPatch, name: str, real: object, simulated: object) -> None:
    """Let every module of the product that has imported `real` have `simulated`."""
    for module in [m for n, m in sys.modules.items() if n.startswith("processsupervisor.")]:
        if getattr(module, name, None) is real:
            patch.setattr(module, name, simulated)


async def _die(psvd: daemon.Psvd | None) -> None:
    """What the kernel does when a process is killed: what was not committed is undone, descriptors are closed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if psvd is not None:
        psvd._fleet.store._db.close()
        for handle in psvd._fleet.handles.values():
            handle._watch.end()
            handle._record.close()


async def _prepare(*_: object, **__: object) -> list[str]:
    return []


async def _inline(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


