"""What dead bots left anywhere on the machine: found in one pass for all that ask, while the loop goes on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process import search
from processsupervisor.process.search import Search

_SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)"]


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    """A fleet folder with bots a, b and c, whose locks nobody holds."""
    found = FleetPaths(tmp_path)
    found.ensure()
    for bot in "abc":
        found.bot_run(bot).mkdir(parents=True)
        (found.bot_run(bot) / "lock").touch()
    return found


@pytest.fixture
def left(paths: FleetPaths) -> Iterator[dict[str, int]]:
    """One process left by each bot: a's by its variables, b's by its session, c's by the lock that it has open."""
    lock = os.open(paths.bot_run("c") / "lock", os.O_RDWR)
    high = fcntl.fcntl(lock, fcntl.F_DUPFD, 150)
    started = {
        "a": subprocess.Popen(_SLEEP, env={"PSV_BOT": "a", "PSV_FLEET": str(paths.folder)}, stdout=subprocess.PIPE),
        "b": subprocess.Popen(_SLEEP, start_new_session=True, stdout=subprocess.PIPE),
        "c": subprocess.Popen(_SLEEP, pass_fds=(high,), stdout=subprocess.PIPE),
    }
    os.close(lock)
    os.close(high)
    for process in started.values():
        assert process.stdout is not None
        process.stdout.readline()
    try:
        yield {bot: process.pid for bot, process in started.items()}
    finally:
        for process in started.values():
            process.kill()
            process.communicate(timeout=5)


async def test_each_bot_gets_what_it_left_out_of_one_pass(paths: FleetPaths, left: dict[str, int]) -> None:
    """By variables, by session, by an open lock."""
    looking = Search()
    sessions = {"a": None, "b": left["b"], "c": None}
    found = await asyncio.gather(*(looking.leftovers(paths, bot, sessions[bot], ()) for bot in "abc"))
    assert [[i.pid for i in identities] for identities in found] == [[left["a"]], [left["b"]], [left["c"]]]
    assert looking.passes == 1


async def test_what_is_somebody_elses_is_not_found(paths: FleetPaths, left: dict[str, int]) -> None:
    """First processes of bots and our own are nobody's leftovers."""
    assert await Search().leftovers(paths, "a", None, {left["a"]}) == []


async def test_who_asks_during_a_pass_is_answered_by_the_next(paths: FleetPaths, left: dict[str, int]) -> None:
    """The pass under way may be past the process that is looked for."""
    looking = Search()
    first = asyncio.create_task(looking.leftovers(paths, "b", None, ()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(looking.leftovers(paths, "a", None, ()))
    assert await first == []
    assert [i.pid for i in await second] == [left["a"]]
    assert looking.passes == 2


async def test_the_loop_goes_on_while_thousands_of_processes_are_looked_at(
    paths: FleetPaths, left: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping is answered between two pieces, not after the last."""
    monkeypatch.setattr(search, "all_pids", lambda: [left["b"]] * 400)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await Search().leftovers(paths, "a", None, ())
    counting.cancel()
    assert turns >= 400 // 50


async def test_whoever_asked_gets_an_answer_when_the_look_fails(paths: FleetPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that fails: a bot that waits for ever would never leave its state."""

    def fail() -> list[int]:
        raise ValueError("not a number")

    monkeypatch.setattr(search, "all_pids", fail)
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="not a number"):
            await Search().leftovers(paths, "a", None, ())
