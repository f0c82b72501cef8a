"""What is wanted is reached, and nothing else is done, whatever comes in between; psvd's own code on simulated time (simulation.py)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.supervisor.simulation import Life, Simulation, worlds

from processsupervisor.kernel.states import State, Wanted
from processsupervisor.supervisor.daemon import Psvd

HEAD = """
[fleet]
name = "wishes"
[web]
enabled = false
"""
NATIVE = '[bots.n]\nrun = "bots:bot"\n'

World = Callable[[str], Simulation]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Makes the simulation of one fleet."""
    yield from worlds(tmp_path, monkeypatch, HEAD)


def where(simulation: Simulation, bot: str, after_s: float = 60.0) -> tuple[State, Wanted]:
    """Return where a bot is after `after_s` under another psvd, and what is wanted of it."""

    async def look(psvd: Psvd) -> tuple[State, Wanted]:
        await asyncio.sleep(after_s)
        handle = psvd._fleet.handles[bot]
        return handle.life.state, handle.wanted

    found: tuple[State, Wanted] = simulation.live(look)
    return found


def note_wish(simulation: Simulation, wanted: Wanted) -> None:
    """Live until it is on disk that n is to pause, or to go on after a pause, and nobody has asked it yet."""

    async def note(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        if wanted is Wanted.UP:
            assert (await psvd._manager.pause("n", True, 30.0))["ok"]
        psvd._fleet.want(psvd._fleet.handles["n"], wanted)

    simulation.live(note)


@pytest.mark.parametrize("wanted", [Wanted.PAUSED, Wanted.UP])
def test_a_wish_that_psvd_died_over_is_carried_out_by_the_next(world: World, wanted: Wanted) -> None:
    """Killed when it was on disk that the bot is to pause, or to go on, and nobody had asked the bot yet."""
    simulation = world(NATIVE)

    note_wish(simulation, wanted)
    assert where(simulation, "n") == (State.PAUSED if wanted is Wanted.PAUSED else State.RUNNING, wanted)
    assert len(simulation.starts["n"]) == 1


@pytest.mark.parametrize("wanted", [Wanted.PAUSED, Wanted.UP])
def test_a_newer_command_wins_over_a_wish_that_waits_for_the_bots_link(world: World, wanted: Wanted) -> None:
    """psvd was killed over a pause, or a resume, and the bot has not come back to the next one: it is already where the newer command wants it."""
    simulation = world(NATIVE)

    async def take_back(psvd: Psvd) -> None:
        assert psvd._fleet.handles["n"].link is None
        verb = psvd._manager.resume if wanted is Wanted.PAUSED else psvd._manager.pause
        assert (await verb("n", False, 30.0))["ok"]
        await asyncio.sleep(60.0)

    note_wish(simulation, wanted)
    simulation.live(take_back)
    assert where(simulation, "n") == ((State.RUNNING, Wanted.UP) if wanted is Wanted.PAUSED else (State.PAUSED, Wanted.PAUSED))


@pytest.mark.parametrize("answers_s", [12.0, None])
def test_a_pause_that_is_given_up_is_not_tried_for_ever(world: World, answers_s: float | None) -> None:
    """The bot is too slow to pause: the command fails, the bot goes on, and is started anew once at the most."""
    simulation = world(NATIVE)
    simulation.programs["n"] = lambda _: Life(answers_s=answers_s)

    async def pause(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        await psvd._manager.restart("n", True, 30.0)
        result = await psvd._manager.pause("n", True, 15.0)
        assert (result["code"], result["message"]) == ("timeout", "did not get there in time"), "nor does it tell of the restart before"
        await asyncio.sleep(300.0)
        assert [row["reason"] for row in psvd._fleet.store.history("n", 50) if row["trigger"] == "resume"] == ["timeout"]

    simulation.live(pause)
    assert where(simulation, "n") == (State.RUNNING, Wanted.UP)
    assert len(simulation.starts["n"]) <= 3


def test_a_start_leaves_a_paused_bot_paused(world: World) -> None:
    """It stays as it is, and so does what is wanted of it; the answer says how it goes on."""
    simulation = world(NATIVE)

    async def start(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        await psvd._manager.pause("n", True, 30.0)
        result = await psvd._manager.start("n", True, 30.0)
        assert (result["ok"], result["state"]) == (True, State.PAUSED)
        assert "psv bot resume n" in str(result["message"])

    simulation.live(start)
    assert where(simulation, "n") == (State.PAUSED, Wanted.PAUSED)


@pytest.mark.parametrize("state", [State.RECOVERING, State.FAILED])
def test_who_waits_for_its_next_start_and_is_stopped_stays_down(world: World, state: State) -> None:
    """psvd is killed when it is on disk that nobody wants the bot, and before it was stopped: its next start was planned already."""
    simulation = world('[bots.c]\ncommand = ["true"]\nrestart = { initial = "30s", window = [{ count = 2, within = "1h" }], retry_failed = "60s" }\n')
    simulation.programs["c"] = lambda _: Life(0.5)

    async def stop(psvd: Psvd) -> None:
        handle = psvd._fleet.handles["c"]
        await handle.life.wait_for({state}, 300.0)
        psvd._fleet.want(handle, Wanted.DOWN)

    simulation.live(stop)
    starts = len(simulation.starts["c"])
    assert where(simulation, "c", after_s=600.0) == (State.STOPPED, Wanted.DOWN)
    assert len(simulation.starts["c"]) == starts


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_stop_supersedes_a_start_that_is_still_being_weighed(world: World, verb: str) -> None:
    """A start looks first at what the bot depends on, for some turns of the loop; the stop that comes then is the newer command."""
    order = "".join(f'[bots.c{n}]\ncommand = ["true"]\nready = {{ after = "0s" }}\ndepends_on = ["c{n - 1}"]\n' for n in range(1, 5))
    simulation = world('[bots.c0]\ncommand = ["true"]\nready = { after = "0s" }\n' + order)

    async def both(psvd: Psvd) -> None:
        await asyncio.sleep(30.0)
        await psvd._manager.stop("c4", True, 30.0)
        older = asyncio.ensure_future(getattr(psvd._manager, verb)("c4", True, 30.0))
        await asyncio.sleep(0)
        newer = await psvd._manager.stop("c4", True, 30.0)
        assert (newer["ok"], (await older)["code"]) == (True, "superseded")

    simulation.live(both)
    assert len(simulation.starts["c4"]) == 1
    assert where(simulation, "c4") == (State.STOPPED, Wanted.DOWN)


def test_who_waits_for_a_started_bot_does_not_wait_until_that_is_ready(world: World) -> None:
    """`until = "started"`: a process is enough, and no transition tells of it."""
    simulation = world(
        '[global]\ncommand = ["true"]\n[bots.db]\nready = { after = "20s" }\n'
        '[bots.app]\nready = { after = "0s" }\ndepends_on = [{ bot = "db", until = "started" }]\n'
    )
    assert where(simulation, "app") == (State.RUNNING, Wanted.UP)
    assert 0 < simulation.starts["app"][0] - simulation.starts["db"][0] < 5


def test_a_start_by_command_is_no_restart_with_a_companion(world: World) -> None:
    """The bot was stopped while it was restarted with its companion: what starts it later is a person."""
    simulation = world('[global]\ncommand = ["true"]\nready = { after = "0s" }\n[bots.db]\n[bots.app]\nrestart_with = ["db"]\n')
    simulation.programs["app"] = lambda _: Life(is_deaf=True)

    async def play(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        app = psvd._fleet.handles["app"]
        await psvd._manager.restart("db", True, 30.0)
        assert app.life.state is State.RESTARTING
        await psvd._manager.stop("app", True, 30.0)
        await psvd._manager.start("app", True, 30.0)
        launches = [row for row in psvd._fleet.store.history("app", 20) if row["trigger"] == "launch"]
        assert [row["reason"] for row in launches] == ["wanted", "command"]

    simulation.live(play)


def test_a_second_end_of_the_fleet_hastens_the_first(world: World) -> None:
    """Ten minutes were given, then two seconds: who does not listen, and who waits for that one, is gone after those, as asked for."""
    simulation = world('[global]\ncommand = ["true"]\nstop = { timeout = "1h" }\n[bots.db]\n[bots.app]\ndepends_on = ["db"]\n')
    simulation.programs["app"] = lambda _: Life(is_deaf=True)

    async def down(psvd: Psvd) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(30.0)
        began = loop.time()
        psvd._descent.begin(600.0, 0)
        await asyncio.sleep(1.0)
        assert await psvd._descent.begin(2.0, 0) == 2
        assert loop.time() - began < 8.0
        ends = [psvd._fleet.handles[bot].last_exit for bot in ("app", "db")]
        assert [end.reason for end in ends if end is not None] == ["admin", "admin"]

    simulation.live(down)


def test_a_wish_is_beyond_a_power_cut_when_the_command_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stopped stays stopped over a reboot that nobody asked for; a command on many bots costs one sync."""
    simulation = world("".join(f'[bots.c{n}]\ncommand = ["true"]\nready = {{ after = "0s" }}\n' for n in range(20)))
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))

    async def stop(psvd: Psvd) -> None:
        await asyncio.sleep(30.0)
        synced.clear()
        await asyncio.gather(*(psvd._manager.stop(f"c{n}", False, 30.0) for n in range(20)))
        assert synced == [str(simulation.paths.database) + "-wal"]

    simulation.live(stop)


def test_who_crashes_does_not_wait_for_a_dependency_that_was_stopped_meanwhile(world: World) -> None:
    """A dependency counts at the start only: it comes back without the other one, as it went on without it."""
    simulation = world('[global]\ncommand = ["true"]\nready = { after = "0s" }\n[bots.db]\n[bots.app]\ndepends_on = ["db"]\n')

    async def play(psvd: Psvd) -> None:
        app = psvd._fleet.handles["app"]
        await asyncio.sleep(5.0)
        await psvd._manager.stop("db", True, 30.0)
        assert app.life.state is State.RUNNING
        simulation.end(simulation.alive("app")[0], 1 << 8)
        assert await app.life.wait_for({State.RECOVERING}, 30.0)
        assert await app.life.wait_for({State.RUNNING}, 30.0)
        assert psvd._fleet.handles["db"].life.state is State.STOPPED and app.generation == 2

    simulation.live(play)


def test_who_has_more_time_than_the_end_of_the_fleet_is_told_so(world: World) -> None:
    """It may take an hour to stop; the fleet has eight seconds: asked to end in its part of those, then told by signal, and not only killed."""
    simulation = world(NATIVE + 'stop = { timeout = "1h" }\n')
    simulation.programs["n"] = lambda _: Life(answers_s=None)

    async def down(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        handle, heard = psvd._fleet.handles["n"], list[dict[str, Any]]()
        handle.link = cast(Any, SimpleNamespace(send=heard.append))
        await psvd._descent.begin(8.0, 0)
        assert heard == [{"op": "stop", "timeout_s": pytest.approx(4.8)}]
        assert handle.last_exit is not None and handle.last_exit.signal == "SIGTERM"

    simulation.live(down)


def test_a_restart_into_code_that_cannot_start_says_so_soon(world: World) -> None:
    """Three ends before it was ready, and the command has its answer; the bot is tried on. One that is ready the second time is waited for."""
    simulation = world(NATIVE)
    bad = Life(lives_s=0.02, ready_s=None)
    fates = iter([Life(), bad, bad, bad])
    simulation.programs["n"] = lambda _: next(fates, Life())

    async def restart(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        began = asyncio.get_running_loop().time()
        result = await psvd._manager.restart("n", True, 60.0)
        assert not result["ok"] and result["code"] == "failed" and "exited with 1" in result["message"], result
        assert asyncio.get_running_loop().time() - began < 10.0
        await asyncio.sleep(60.0)
        assert psvd._fleet.handles["n"].life.state is State.RUNNING

        nonlocal fates
        fates = iter([bad])
        assert (await psvd._manager.restart("n", True, 60.0))["ok"]

    simulation.live(restart)


def test_a_start_in_the_middle_of_a_stop_waits_for_three_lives_too(world: World) -> None:
    """The life that is being stopped is none of them: who is ready the third time is waited for."""
    simulation = world(NATIVE)
    bad = Life(lives_s=0.02, ready_s=None)
    fates = iter([Life(answers_s=1.0), bad, bad])
    simulation.programs["n"] = lambda _: next(fates, Life())

    async def start(psvd: Psvd) -> None:
        await asyncio.sleep(5.0)
        await psvd._manager.stop("n", False, 0.0)
        assert psvd._fleet.handles["n"].life.state is State.STOPPING
        result = await psvd._manager.start("n", True, 60.0)
        assert result["ok"] and psvd._fleet.handles["n"].generation == 4, result

    simulation.live(start)
