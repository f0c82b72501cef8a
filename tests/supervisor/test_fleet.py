"""The fleet in psvd's memory, without processes: what a keeper that goes away, and what a bot leaves in its folder, do to it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.identity import Identity, boot_id, pid_namespace
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.launcher import Launcher
from processsupervisor.supervisor.fleet import Fleet
from processsupervisor.supervisor.keeperlink import KeeperLink

_TOML = """
[fleet]
name = "test"
[web]
enabled = false
[global]
command = ["true"]
[bots.a]
[bots.b]
"""


@pytest.fixture
async def fleet(tmp_path: Path) -> Fleet:
    """Two bots, nobody runs."""
    (tmp_path / "fleet.toml").write_text(_TOML)
    loaded = load_fleet(tmp_path)
    assert loaded.applied is not None
    paths = FleetPaths(tmp_path)
    paths.ensure()
    for bot in "ab":
        paths.bot_run(bot).mkdir(parents=True)
    return Fleet(paths, loaded.applied, lambda _status: None)


async def test_a_start_that_loses_its_keeper_keeps_no_other_start_waiting(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot whose turn it was may be stopped before a keeper is back: the breaker must not wait for it."""
    is_there = True
    monkeypatch.setattr(KeeperLink, "pid", property(lambda _: 1 if is_there else None))

    async def launch(*_: Any, **__: Any) -> None:
        nonlocal is_there
        is_there = False
        raise SystemRefused("no keeper")

    monkeypatch.setattr(Launcher, "launch", launch)
    a, b = fleet.handles["a"], fleet.handles["b"]
    fleet.breaker.refused("a", "no process", lambda: fleet.start(a))
    assert not fleet.start(b)
    assert await a.life.wait_for({State.RECOVERING}, 5)
    a.stop()
    async with asyncio.timeout(5):
        while fleet.breaker.is_open:
            await asyncio.sleep(0.01)
    assert b.next_start_mono is not None, "it goes on by itself"
    fleet.close()


async def test_an_exit_note_that_is_no_file_holds_up_nobody(fleet: Fleet) -> None:
    """A bot may write there what it likes: a FIFO without a writer must not stop psvd."""
    os.mkfifo(fleet.paths.bot_run("a") / "exit-note")
    (fleet.paths.bot_run("b") / "exit-note").write_text(f"{wall() + 100}\nslow down\n")
    record = ExitRecord(Reason.RATE_LIMITED, 80, None, wall(), 1)
    waits = {bot: fleet.aftermath._rate_until(fleet.handles[bot], record) for bot in "ab"}
    assert waits["a"] == 0.0
    assert 90 < waits["b"] <= 100
    fleet.close()


async def test_a_keeper_that_never_tells_the_end_of_bots_costs_no_memory(fleet: Fleet) -> None:
    """Births and last exits are kept once a bot, however many generations there were."""
    handle = fleet.handles["a"]
    for generation in range(1, 50):
        handle.generation = generation
        fleet._births.on_born(handle, Identity(10_000 + generation, generation, boot_id(), pid_namespace()))
        fleet.aftermath.on_end(handle, ExitRecord(Reason.CODE, 1, None, wall(), generation))
    assert len(fleet._births._bots) == 1
    assert len(fleet.aftermath._rows) == 1
    fleet.close()


async def test_a_start_that_comes_too_late_touches_nobody_who_runs(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planned start of a bot that runs by now asks no gate: one that would hold it back must not make it restart."""
    monkeypatch.setattr(KeeperLink, "pid", property(lambda _: 1))
    a = fleet.handles["a"]
    a.spec["depends_on"] = [{"bot": "b", "until": "ready"}]
    a.life.state = State.RUNNING
    assert not fleet.start(a, "recover")
    assert (a.life.state, a.waits_for) == (State.RUNNING, "")
    a.life.state = State.STOPPED
    assert not fleet.start(a, "recover")
    assert (a.life.state, a.waits_for) == (State.INITIALIZING, "waits for b to be ready")
    fleet.close()
