"""A process that SIGKILL does not end: the state stays honest, nothing is started beside it, nobody else waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.newborn import GivenLauncher, SilentKeeper
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.config.applied import read_applied
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger
from processsupervisor.process import handle as handle_module
from processsupervisor.process import stopping, tree
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.surroundings import Surroundings
from processsupervisor.supervisor import view


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until the test ends it."""
    found = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield found
    found.kill()
    found.wait()


@pytest.fixture
def marked(fleet: LiveFleet) -> Iterator[subprocess.Popen[bytes]]:
    """The same, with the variables of bot x."""
    found = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={"PSV_BOT": "x", "PSV_FLEET": str(fleet.folder)})
    yield found
    found.kill()
    found.wait()


def _handle(fleet: LiveFleet, identity: Identity) -> tuple[BotHandle, GivenLauncher, list[ExitRecord]]:
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\nstop = { timeout = "0.1s" }\n')
    fleet.paths.bot_run("x").mkdir(parents=True)
    launcher, ended = GivenLauncher(identity), []
    around = Surroundings(
        paths=FleetPaths(fleet.folder), launcher=launcher, keeper=SilentKeeper(), on_transition=lambda _: None, on_born=lambda *_: None,
        on_refused=lambda *_: None, on_end=lambda _, record: ended.append(record), known_pids=tuple,
    )  # type: ignore[arg-type]  # fmt: skip
    return BotHandle(read_applied(fleet.paths)["bots"][0], around), launcher, ended


async def test_a_process_that_sigkill_does_not_end_is_said_to_be_so(
    fleet: LiveFleet, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """STOPPING with a note for as long as it lives; no second start by whatever command; at its end the stop is complete."""
    identity = Identity.of(process.pid)
    assert identity is not None
    sent: list[int] = []
    for module in (stopping, handle_module, tree):
        monkeypatch.setattr(module, "send_signal", lambda _, number: sent.append(number) is None)
    monkeypatch.setattr(stopping, "KILL_AGAIN_S", 0.05)
    monkeypatch.setattr(handle_module, "UNKILLABLE_AFTER_S", 0.3)
    bot, launcher, ended = _handle(fleet, identity)
    bot.start()
    assert await bot.life.wait_for({State.RUNNING}, 5)
    bot.stop()
    async with asyncio.timeout(10):
        while not bot.is_unkillable:
            await asyncio.sleep(0.02)
    assert bot.life.state is State.STOPPING
    assert sent.count(signal.SIGKILL) >= 3
    assert f"unkillable: pid {process.pid}" in bot.notes[-1]
    assert "nothing is started in its place" in view.what_to_do(bot)
    assert bot.stop(is_restart=True) and bot.life.state is State.RESTARTING
    assert not bot.start()
    assert (launcher.launches, ended) == (1, [])
    process.kill()
    process.wait()
    bot.on_status(9, 0.0)
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0.02)
    assert ended[0].reason is Reason.ADMIN
    assert not bot.is_unkillable
    bot.life.fire(Trigger.EXIT, generation=1)
    bot.close()


async def test_what_is_left_and_cannot_be_killed_is_a_conflict(
    fleet: LiveFleet, marked: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process ended, one below it does not: the bot is not started beside it, and the record names it."""
    identity = Identity.of(marked.pid)
    assert identity is not None
    monkeypatch.setattr(tree, "send_signal", lambda *_: True)
    monkeypatch.setattr(stopping, "kill_leftovers", _impatient)
    gone = dataclasses.replace(identity, start_ticks=1)
    bot, _, ended = _handle(fleet, gone)
    bot.start()
    bot.process = gone
    bot.on_status(0, 0.0)
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0.02)
    assert ended[0].reason is Reason.CONFLICT
    assert str(marked.pid) in ended[0].message
    bot.rest(Trigger.GIVE_UP, ended[0].reason)
    assert "psv restart x" in view.what_to_do(bot), "nobody looks after it any more, so nothing else is promised"
    bot.close()


async def _impatient(*args: Any) -> list[Identity]:
    return await tree.kill_leftovers(*args, timeout_s=0.2)


@pytest.mark.root
def test_a_frozen_process_holds_up_nobody_else(fleet: LiveFleet) -> None:
    """Real: a frozen cgroup of version 1 keeps even SIGKILL waiting. The others stop, the fleet goes down at its deadline."""
    freezer = Path("/sys/fs/cgroup/freezer")
    if not (freezer / "cgroup.procs").exists():
        pytest.skip("this machine has no freezer of version 1 (the same is tested with a fake)")
    fleet.configure("""
        [global]
        command = ["sh", "-c", "echo up; exec sleep 1000"]
        ready = { log = "up" }
        stop = { timeout = "0.2s" }
        [bots.frozen]
        [bots.a]
        [bots.b]
    """)
    fleet.up()
    pid = fleet.until("frozen", state="RUNNING")["pid"]
    group = freezer / f"psvtest-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        eventually(lambda: (group / "freezer.state").read_text().strip() == "FROZEN", "it is frozen")
        fleet.call("bot.stop", names=["frozen"], wait=False)
        assert fleet.call("bot.stop", names=["a"])[0]["state"] == "STOPPED", "nobody waits for it"
        found = eventually(lambda: (d := fleet.detail("frozen"))["notes"] and d, "the note")
        assert (found["state"], found["pid"]) == ("STOPPING", pid)
        assert "unkillable" in found["notes"][-1] and "restart the machine" in found["what_to_do"]
        refused = fleet.call("bot.start", names=["frozen"], timeout_s=0.5)[0]
        assert not refused["ok"] and fleet.copies("frozen") == [pid]
        fleet.call("fleet.down", timeout_s=1.0)
        assert fleet.keeper is not None
        fleet.keeper.wait(15)
        assert fleet.copies("b") == []
    finally:
        (group / "freezer.state").write_text("THAWED")
        eventually(lambda: not (group / "cgroup.procs").read_text(), "it ended at last")
        group.rmdir()
