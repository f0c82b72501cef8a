"""Laws of the restart policy over days, on a simulated clock: no account is burnt, no bot is left off after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.supervisor.simulation import Life, Simulation, worlds

from processsupervisor.kernel.states import State
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.daemon import Psvd
from processsupervisor.supervisor.runs import Run, RunState
from processsupervisor.supervisor.tasks import MAX_QUEUED

HOUR_S, DAY_S = 3600.0, 86400.0
HEAD = """
[fleet]
name = "laws"
[web]
enabled = false
[global]
command = ["true"]
ready = { after = "0s" }
"""

World = Callable[..., Simulation]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Makes the simulation of one fleet."""
    yield from worlds(tmp_path, monkeypatch, HEAD)


def test_a_bot_that_dies_31_s_after_each_start_is_started_less_than_250_times_a_day(world: World) -> None:
    """Longer than stable_after, so only the windows hold it back; psvd is killed every few hours, which changes nothing."""
    simulation = world("[bots.a]\n")
    simulation.programs["a"] = lambda _: Life(31.0)
    for _ in range(6):
        simulation.run(4 * HOUR_S)
    assert 150 < len(simulation.starts["a"]) < 250
    assert simulation.doubled == []


def test_after_an_hour_without_network_a_bot_runs_by_itself(world: World) -> None:
    """It ends at once (75) for as long as the network is away, and runs within retry_failed + 30 s of its return."""
    simulation = world("[bots.a]\n")
    back = simulation.clock.now + HOUR_S
    simulation.programs["a"] = lambda s: Life(2.0, 75 << 8) if s.clock.now < back else Life()
    simulation.run(HOUR_S + 600.0 + 30.0)
    assert simulation.alive("a")
    assert back <= simulation.starts["a"][-1] <= back + 600.0 + 30.0
    assert len(simulation.starts["a"]) < 20


def test_a_start_that_was_born_after_all_ends_with_its_own_reason(world: World) -> None:
    """The keeper's answer came too late, so a start was noted as failed; what the process then does is noted, and counts, as its own."""
    simulation = world("[bots.a]\n")
    lives = iter([Life(200.0, 77 << 8, birth="unanswered")])
    simulation.programs["a"] = lambda _: next(lives)
    simulation.run(300.0)
    last = simulation.live(_last_exit)
    assert (last.reason, last.exit_code, last.generation) == ("auth", 77, 1)
    assert len(simulation.starts["a"]) == 1
    assert simulation.doubled == []


def test_a_bot_that_is_born_late_and_not_wanted_any_more_is_ended(world: World) -> None:
    """Its start was given up and the bot stopped meanwhile: what lives all the same is found, and ended."""
    simulation = world("[bots.a]\n")
    simulation.programs["a"] = lambda _: Life(birth="unanswered")
    simulation.live(_stop_at_once)
    assert len(simulation.starts["a"]) == 1
    assert not simulation.alive("a")


def test_a_crash_loop_stays_within_its_login_budget_for_a_week(world: World) -> None:
    """Every 24 hours hold at most as many starts as the budget says, over kills of psvd and a reboot; it is used, not given up."""
    simulation = world("""
        [bots.a]
        login_budget = { count = 50, within = "24h" }
        restart = { max = "2s", window = [{ count = 10000, within = "24h" }] }
    """)
    simulation.programs["a"] = lambda _: Life(5.0)
    before_reboot: list[float] = []
    for half_day in range(14):
        simulation.run(DAY_S / 2)
        if half_day == 6:
            before_reboot = [at - simulation.clock.now for at in simulation.starts.pop("a")]
            simulation.reboot()
            before_reboot = [at + simulation.clock.now for at in before_reboot]
    starts = [*before_reboot, *simulation.starts["a"]]
    assert 300 <= len(starts) <= 400
    assert all(after - at >= DAY_S for at, after in zip(starts, starts[50:], strict=False))


def test_what_was_stopped_stays_stopped_over_a_reboot(world: World) -> None:
    """What is wanted is durable; what runs by then is started once, whatever its records say of the time before."""
    simulation = world("[bots.a]\n[bots.b]\n[bots.c]\nautostart = false\n")
    simulation.live(_stop_b_and_start_c)
    simulation.reboot()
    simulation.run(60.0)
    assert [len(simulation.alive(bot)) for bot in "abc"] == [1, 0, 1]
    simulation.reboot()
    assert simulation.live(_states_of_all) == {"a": State.RUNNING, "b": State.STOPPED, "c": State.RUNNING}
    assert [len(simulation.starts[bot]) for bot in "abc"] == [3, 1, 3]


def test_runs_that_wait_are_bounded_and_the_oldest_are_left_out(world: World) -> None:
    """A task of each second whose first run does not end: a hundred wait, and what was left out says why."""
    simulation = world('[bots.a]\nschedule = { every = "1s", overlap = "queue", keep = 10000 }\n')
    simulation.programs["a"] = lambda _: Life()
    waiting, left_out = simulation.live(_queue_of_a)
    assert len(simulation.starts["a"]) == 1
    assert len(waiting) == MAX_QUEUED
    assert {run.message for run in left_out} == {f"more than {MAX_QUEUED} runs wait"}
    assert max(run.due_at for run in left_out) < min(run.due_at for run in waiting)


async def _queue_of_a(psvd: Psvd) -> tuple[list[Run], list[Run]]:
    running = asyncio.ensure_future(psvd._fleet.tasks.run())
    await asyncio.sleep(300.0)
    running.cancel()
    runs = psvd._fleet.tasks.runs.newest("a", 10000)
    return [run for run in runs if run.state is RunState.QUEUED], [run for run in runs if run.state is RunState.SKIPPED]


async def _stop_b_and_start_c(psvd: Psvd) -> None:
    await asyncio.sleep(10.0)
    assert (await psvd._manager.stop("b", True, 60.0))["ok"]
    assert (await psvd._manager.start("c", True, 60.0))["ok"]


async def _states_of_all(psvd: Psvd) -> dict[str, State]:
    await asyncio.sleep(60.0)
    return {name: handle.life.state for name, handle in psvd._fleet.handles.items()}


async def _stop_at_once(psvd: Psvd) -> None:
    await asyncio.sleep(1.0)
    result = await psvd._manager.stop("a", True, 60.0)
    await asyncio.sleep(30.0)
    handle = psvd._fleet.handles["a"]
    assert result["ok"]
    assert (handle.life.state, handle.process) == (State.STOPPED, None)


async def _last_exit(psvd: Psvd) -> ExitRecord:
    last = psvd._fleet.handles["a"].last_exit
    assert last is not None
    return last
