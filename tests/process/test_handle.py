"""One bot's handle beside a real process: what a second command, a start that is not wanted any more and a failed step lead to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.newborn import GivenLauncher, SilentKeeper

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State, Trigger
from processsupervisor.launch.locks import acquire_high
from processsupervisor.process import handle as handle_module
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.surroundings import Surroundings

_TOML = """
[fleet]
name = "test"
[web]
enabled = false
[bots.x]
command = ["sleep", "1000"]
ready = { after = "0s" }
stop = { timeout = "60s" }
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until the test ends it."""
    found = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield found
    found.kill()
    found.wait()


@pytest.fixture
def ended() -> list[ExitRecord]:
    """The exits that the supervisor was told."""
    return []


@pytest.fixture
async def bot(tmp_path: Path, process: subprocess.Popen[bytes], ended: list[ExitRecord]) -> BotHandle:
    """A bot that runs as that process."""
    (tmp_path / "fleet.toml").write_text(_TOML)
    loaded = load_fleet(tmp_path)
    assert loaded.applied is not None
    paths = FleetPaths(tmp_path)
    paths.ensure()
    paths.bot_run("x").mkdir(parents=True)
    identity = Identity.of(process.pid)
    assert identity is not None
    around = Surroundings(
        paths=paths, launcher=GivenLauncher(identity), keeper=SilentKeeper(), on_transition=lambda _: None, on_born=lambda *_: None,
        on_refused=lambda *_: None, on_end=lambda _, record: ended.append(record), known_pids=tuple,
    )  # type: ignore[arg-type]  # fmt: skip
    found = BotHandle(loaded.applied["bots"][0], around)
    found.start()
    assert await found.life.wait_for({State.RUNNING}, 5)
    return found


async def test_a_newer_command_in_a_stop_signals_nobody_again(bot: BotHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second SIGTERM makes many programs drop what they were finishing: the ladder that is climbed serves the restart too."""
    sent: list[int] = []
    monkeypatch.setattr(handle_module, "send_signal", lambda _, number: sent.append(number) is None)
    assert bot.stop()
    assert bot.stop(is_restart=True) and bot.life.state is State.RESTARTING
    assert bot.stop() and bot.life.state is State.STOPPING
    for _ in range(20):
        await asyncio.sleep(0)
    assert sent == [signal.SIGTERM]
    bot.close()


async def test_who_rests_has_no_next_start(bot: BotHandle, process: subprocess.Popen[bytes], ended: list[ExitRecord]) -> None:
    """A start that was planned is void, also for whoever reads when it is due."""
    process.kill()
    process.wait()
    bot.on_status(signal.SIGKILL, 0.0)
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0.01)
    bot.life.fire(Trigger.EXIT, generation=1)
    bot.plan_start(60.0, lambda: None)
    assert bot.next_start_mono is not None
    assert bot.stop() and bot.life.state is State.STOPPED
    assert bot.next_start_mono is None
    bot.plan_start(60.0, lambda: None)
    bot.rest(Trigger.GIVE_UP, Reason.CONFIG)
    assert bot.next_start_mono is None
    bot.close()


async def test_an_exit_is_followed_whatever_a_step_of_ours_raises(
    bot: BotHandle, process: subprocess.Popen[bytes], ended: list[ExitRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for leftovers that fails must not leave a bot RUNNING without a process."""

    async def fail(*_: object, **__: object) -> None:
        raise ValueError("not a number")

    monkeypatch.setattr(handle_module.Tree, "clear", fail)
    process.kill()
    process.wait()
    bot.on_status(signal.SIGKILL, 0.0)
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0.01)
    assert (ended[0].reason, ended[0].signal) == (Reason.SIGNAL, "SIGKILL")
    assert "not a number" in ended[0].message
    bot.close()


@pytest.mark.parametrize("is_ready", [True, False])
async def test_a_kill_for_a_reason_of_ours_is_gone_on_with_by_the_next_psvd(
    bot: BotHandle, process: subprocess.Popen[bytes], ended: list[ExitRecord], is_ready: bool
) -> None:
    """psvd died between its note and the kill: who adopts the bot, ready or not, kills it, with the reason that was noted."""
    identity = bot.process
    assert identity is not None
    bot.close()
    adopted = BotHandle(bot.spec, bot._around)
    adopted.adopt(identity, 1, {"is_ready": is_ready, "ready_at": 1.0, "ready_boottime": 1.0, "override": "hang"})
    async with asyncio.timeout(10):
        while not ended:
            process.poll()
            await asyncio.sleep(0.01)
    assert (process.wait(), ended[0].reason) == (-signal.SIGKILL, Reason.HANG)
    adopted.close()


async def test_what_a_bot_said_before_it_was_put_down_is_in_its_record(
    bot: BotHandle, process: subprocess.Popen[bytes], ended: list[ExitRecord]
) -> None:
    """Reason, message and dump; the kill does not wait for anybody."""
    bot.put_down(Reason.HANG, "it hung", {"file": "dump"})
    assert process.wait(10) == -signal.SIGKILL
    async with asyncio.timeout(10):
        while not ended:
            await asyncio.sleep(0.01)
    assert (ended[0].reason, ended[0].message, ended[0].dump) == (Reason.HANG, "it hung", {"file": "dump"})
    assert ExitRecord.from_json(ended[0].to_json()) == ended[0]
    bot.close()


@pytest.mark.parametrize(("holds_lock", "override", "ends_as"), [(True, None, None), (True, Reason.START_TIMEOUT, Reason.START_TIMEOUT), (False, None, Reason.SIGNAL)])
async def test_the_other_process_of_a_generation_is_the_bot_if_it_holds_the_lock(
    bot: BotHandle, process: subprocess.Popen[bytes], ended: list[ExitRecord], holds_lock: bool, override: Reason | None, ends_as: Reason | None
) -> None:
    """Also to be killed, if that is what psv was at. A process that a note only names, and a bot can write what it likes, is not touched."""
    lock = bot._around.paths.bot_run("x") / "lock"
    lock.touch()
    descriptor = acquire_high(lock, {})
    assert descriptor is not None
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True, pass_fds=[descriptor] if holds_lock else [])
    try:
        identity = Identity.of(other.pid)
        assert identity is not None
        lock.write_text(json.dumps({"generation": 1, **identity.to_json()}))
        bot.override = override
        process.kill()
        process.wait()
        bot.on_status(signal.SIGKILL, 0.0)
        if ends_as is None:
            assert bot.process == identity and not ended
        else:
            async with asyncio.timeout(10):
                while not ended:
                    other.poll()
                    await asyncio.sleep(0.01)
            assert ended[0].reason is ends_as
            assert (other.poll() is None) is not holds_lock
    finally:
        os.close(descriptor)
        other.kill()
        other.wait()
        bot.close()
