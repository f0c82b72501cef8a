"""The checks of a health table against a real port, sweep by sweep: what is asked, what is counted, and what costs nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.health.checkup import CONNECTED_WITHIN_S, Checkups
from processsupervisor.health.verdict import Sweep, Verdict
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import State
from processsupervisor.process.condition import Condition, Health

HEALTH: dict[str, Any] = {
    "http": None, "tcp": None, "exec": None, "env": [], "log_silence_s": None, "every_s": 1.0, "timeout_s": 0.5, "fail_after": 2,
    "pass_after": 1, "grace_s": 0.0, "settle_s": 0.0, "action": "restart", "connected_within_s": 5.0,
}  # fmt: skip


@dataclass
class Life:
    """The state of a bot, as the test sets it."""

    state: State = State.RUNNING


@dataclass
class Bot:
    """A bot as the check sees it."""

    spec: Any
    name: str = "a"
    generation: int = 1
    via: str = "keeper"
    process: Identity | None = field(default_factory=lambda: Identity.of(os.getpid()))
    life: Any = field(default_factory=Life)
    condition: Condition = field(default_factory=Condition)
    uptime_s: float | None = 0.0


class World:
    """One bot with a server that can go away, and sweeps without waiting for their second."""

    def __init__(self, folder: Path) -> None:
        self.paths = FleetPaths(folder)
        self.told: list[tuple[str, Health, str]] = []
        self.checkups = Checkups(self.paths, lambda *facts: self.told.append(facts))
        self.asked = 0
        self.server: asyncio.Server | None = None
        self.port = 0
        self._sweeps = 0

    async def open(self) -> None:
        """Listen, at the same port as before."""
        self.server = await asyncio.start_server(self._count, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more."""
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    def _count(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        writer.close()

    def bot(self, **health: Any) -> Bot:
        """Return a bot whose port is checked."""
        return Bot({"health": {**HEALTH, "tcp": self.port, **health}})

    async def sweep(self, bot: Bot, count: int = 1, *, is_late: bool = False) -> Verdict | None:
        """Look so many times, each with time for what it asked, and return the last verdict."""
        verdict = None
        for _ in range(count):
            verdict = self.checkups.look(bot, Sweep(self._sweeps, is_late))
            self._sweeps += 1
            await asyncio.sleep(0.03)
        return verdict


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(tmp_path)
    await found.open()
    yield found
    found.checkups.close()
    await found.close()


async def test_a_bot_is_healthy_when_its_checks_have_passed_and_unhealthy_after_enough_failures(world: World) -> None:
    """Told once each; the verdict stands for as long as the failure, and falls with it."""
    bot = world.bot()
    assert await world.sweep(bot) is None and bot.condition.health is Health.SETTLING
    assert await world.sweep(bot) is None and bot.condition.health is Health.HEALTHY
    await world.close()
    verdict = await world.sweep(bot, 6)
    assert verdict is not None and verdict.message == f"unhealthy: tcp {world.port}: connection refused (2 times in a row)"
    assert world.checkups.still_holds(bot)
    await world.open()
    assert await world.sweep(bot, 3) is None and not world.checkups.still_holds(bot)
    assert [health for _, health, _ in world.told] == ["healthy", "unhealthy", "healthy"]


async def test_everything_that_fails_is_named(world: World, unused_tcp_port: int) -> None:
    """Not only the first: whoever mends that would find the next."""
    bot = world.bot(http=f"http://127.0.0.1:{unused_tcp_port}/", fail_after=1)
    await world.close()
    verdict = await world.sweep(bot, 4)
    assert verdict is not None
    both = f"http http://127.0.0.1:{unused_tcp_port}/: connection refused; tcp {world.port}: connection refused"
    assert verdict.message == f"unhealthy: {both}" and bot.condition.why == both


async def test_failures_between_stalls_count_nothing_however_many(world: World) -> None:
    """A probe that was asked before a stall, or is counted in the sweep after it, is void if it failed."""
    bot = world.bot()
    await world.sweep(bot, 3)
    await world.close()
    for _ in range(10):
        assert await world.sweep(bot) is None
        assert await world.sweep(bot, is_late=True) is None
    assert bot.condition.health is Health.HEALTHY
    assert await world.sweep(bot, 6) is not None
    await world.open()


async def test_only_a_bot_that_runs_is_asked(world: World) -> None:
    """Paused, starting or gone: no question, and what was counted before is not in a row with what comes after."""
    bot = world.bot()
    await world.sweep(bot, 3)
    await world.close()
    for _ in range(3):
        bot.life.state = State.RUNNING
        assert await world.sweep(bot, 2) is None  # one failure
        bot.life.state = State.PAUSED
        asked = world.asked
        assert await world.sweep(bot, 5) is None
        assert world.asked == asked and bot.condition.health is Health.HEALTHY
    world.checkups.forget("a")
    assert not world.checkups.still_holds(bot)
    await world.open()


async def test_grace_comes_before_the_first_question(world: World) -> None:
    """Counted in sweeps."""
    bot = world.bot(grace_s=3.0)
    await world.sweep(bot, 3)
    assert world.asked == 0 and bot.condition.health is Health.SETTLING
    await world.sweep(bot)
    assert world.asked == 1


async def test_a_bot_without_checks_leaves_nothing_behind(world: World) -> None:
    """No table, no network: no case, no task, no word."""
    bot = Bot({"health": None})
    old = Bot({})
    assert await world.sweep(bot, 3) is None and await world.sweep(old, 3) is None
    assert world.checkups._cases == {} and bot.condition == Condition() and world.told == []


async def test_a_bot_of_another_process_begins_anew(world: World) -> None:
    """What the last generation failed is not the next one's."""
    bot = world.bot()
    await world.close()
    assert await world.sweep(bot, 6) is not None
    await world.open()
    bot.process, bot.condition = Identity.of(os.getppid()), Condition()
    assert await world.sweep(bot, 3) is None
    assert bot.condition.health is Health.HEALTHY


async def test_other_checks_hold_from_the_next_look_on(world: World, unused_tcp_port: int) -> None:
    """Settings of a bot that runs were changed: what is no longer asked acquits it, what is new is asked, its grace is over."""
    bot = world.bot(grace_s=2.0)
    await world.sweep(bot, 6)
    assert bot.condition.health is Health.HEALTHY
    bot.spec = {"health": {**HEALTH, "tcp": unused_tcp_port, "fail_after": 1, "grace_s": 2.0}}
    verdict = await world.sweep(bot, 3)
    assert verdict is not None and f"tcp {unused_tcp_port}" in verdict.message
    bot.spec = {"health": {**HEALTH, "log_silence_s": 60.0}}
    assert await world.sweep(bot, 3) is None and bot.condition.health is Health.HEALTHY and not world.checkups.still_holds(bot)


async def test_checks_that_are_taken_away_hold_no_longer(world: World) -> None:
    """An unhealthy bot without any is healthy, and that is told; one that gets a table is asked."""
    bot = world.bot(fail_after=1)
    checks = bot.spec
    await world.close()
    assert await world.sweep(bot, 3) is not None
    bot.spec = {"health": None}
    assert await world.sweep(bot, 2) is None and bot.condition.health is Health.HEALTHY
    await world.open()
    asked = world.asked
    assert await world.sweep(bot, 3) is None and world.asked == asked
    bot.spec = checks
    assert await world.sweep(bot, 3) is None and world.asked > asked and bot.condition.health is Health.HEALTHY
    assert [health for _, health, _ in world.told] == ["unhealthy", "healthy", "healthy"]


async def test_a_network_that_is_away_is_no_verdict(world: World) -> None:
    """Without a table the limit is the default; the first proof has as long to come."""
    bot = Bot({"health": None})
    bot.condition.prove(None)
    assert await world.sweep(bot, 3) is None
    assert (bot.condition.health, bot.condition.is_connected) == (Health.SETTLING, False)
    bot.condition.prove(mono())
    await world.sweep(bot)
    assert (bot.condition.health, bot.condition.is_connected) == (Health.HEALTHY, True)
    bot.condition.proof_mono = mono() - CONNECTED_WITHIN_S - 7
    await world.sweep(bot, is_late=True)
    assert bot.condition.is_connected is True  # what came while psvd was away has not been read yet
    assert await world.sweep(bot) is None
    assert (bot.condition.health, bot.condition.is_connected) == (Health.UNHEALTHY, False)
    assert bot.condition.why == "not connected: the last proof from its network is 127 s old, the limit is 120 s"


@pytest.mark.parametrize("said", [float("inf"), float("nan"), "soon", True, 1e18, -5.0])
def test_a_bot_cannot_lie_itself_a_later_proof(said: object) -> None:
    """Nonsense is passed over, and the time to come is now at most."""
    condition = Condition()
    condition.prove(said)
    assert condition.has_network and (condition.proof_mono is None or condition.proof_mono <= mono())


async def test_silence_is_not_what_logd_has_not_read(world: World) -> None:
    """A line that waits in the bot's FIFO is a line; when it is read and nothing follows, the time begins anew."""
    bot = Bot({"health": {**HEALTH, "log_silence_s": 3.0}})
    folder = world.paths.bot_run("a")
    folder.mkdir(parents=True)
    world.paths.bot_logs("a").mkdir(parents=True)
    os.mkfifo(folder / "out-1")
    fifo = os.open(folder / "out-1", os.O_RDWR | os.O_NONBLOCK)
    os.write(fifo, b"not read yet\n")
    assert await world.sweep(bot, 12) is None
    os.read(fifo, 100)
    (world.paths.bot_logs("a") / "stdout.log").write_text("not read yet\n")
    assert await world.sweep(bot, 3) is None
    verdict = await world.sweep(bot)
    assert verdict is not None and verdict.message == "unhealthy: log_silence: no output for 3 s"
    (world.paths.bot_logs("a") / "stdout.log").write_text("not read yet\nand more\n")
    assert await world.sweep(bot) is None
    os.close(fifo)


async def test_at_most_a_few_are_asked_at_once(world: World) -> None:
    """A hundred bots are due in one sweep; the others stand in line, and each gets its turn."""
    most = now = 0
    served = asyncio.Semaphore(0)

    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        writer.close()
        served.release()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        bots = [Bot({"health": {**HEALTH, "http": url, "timeout_s": 10.0}}, name=f"b{number}") for number in range(100)]
        for bot in bots:
            world.checkups.look(bot, Sweep(0, is_late=False))
        for _ in bots:
            await served.acquire()
        assert 1 < most <= 16
