"""The fleet in psvd's memory, without processes: starts that meet a keeper which goes away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.states import State
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
