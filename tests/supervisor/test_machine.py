"""The machine under random commands, exits, timeouts and clock jumps: a legal way on from everywhere, and what is wanted is reached.

psvd's own code runs on simulated time (simulation.py); psvd itself is killed and stopped in between.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.supervisor.simulation import Life, Simulation

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.reasons import NOT_RETRIED
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.daemon import Psvd

TOML = """
[fleet]
name = "machine"
[web]
enabled = false
[global]
start_timeout = "20s"
stop = { timeout = "5s" }
[bots.n]
run = "bots:bot"
[bots.c]
command = ["true"]
ready = { after = "0.5s" }
"""
BOTS = ("n", "c")
COMMAND_S = 40.0
RETRY_FAILED_S = 600.0

LIVES = st.builds(
    Life,
    lives_s=st.sampled_from((None, None, 0.0, 0.2, 3.0, 40.0)),
    status=st.sampled_from((0, 1 << 8, 75 << 8, 77 << 8, 80 << 8, int(signal.SIGSEGV), int(signal.SIGKILL))),
    ready_s=st.sampled_from((0.0, 0.05, 0.05, 5.0, None)),
    answers_s=st.sampled_from((0.0, 0.05, 3.0, None)),
    is_deaf=st.booleans(),
    birth=st.sampled_from(("born", "born", "born", "born", "refused", "exhausted", "unanswered")),
)
STEPS = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(("start", "stop", "restart", "pause", "resume")), st.sampled_from(BOTS)),
    st.tuples(st.just("exit"), st.sampled_from((0, 1 << 8, 77 << 8, 9)), st.sampled_from(BOTS)),
    st.tuples(st.just("wait"), st.sampled_from((0.0, 0.001, 0.01, 0.3, 1.5, 6.0, 25.0, 120.0, 700.0)), st.just("")),
    st.tuples(st.just("stall"), st.sampled_from((0.7, 12.0, 300.0)), st.just("")),
    st.tuples(st.just("kill psvd"), st.sampled_from((0.0, 1.0, 60.0)), st.just("")),
)


async def _command(simulation: Simulation, psvd: Psvd, verb: str, bot: str, wait: bool) -> None:
    """A command ends by its own deadline, whatever the bot does, or is refused with a reason."""
    loop = asyncio.get_running_loop()
    began = loop.time() - simulation.stalled_s
    try:
        result = await getattr(psvd._manager, verb)(bot, wait, COMMAND_S)
    except PsvError as err:
        assert err.message
    else:
        assert result["ok"] or result["message"], f"{verb} failed without a word"
    assert loop.time() - simulation.stalled_s - began <= COMMAND_S + 1.0 or not wait


async def _play(simulation: Simulation, psvd: Psvd, steps: list[Any]) -> None:
    """Do all steps of one life of psvd; commands run beside each other, and the last ones die with it."""
    running: list[asyncio.Task[None]] = []
    for number, (kind, what, bot) in enumerate(steps):
        if kind == "command":
            running.append(asyncio.ensure_future(_command(simulation, psvd, what, bot, number % 2 == 0)))
        elif kind == "exit":
            for process in simulation.alive(bot):
                simulation.end(process, what)
        elif kind == "stall":
            simulation.stall(what)
        await asyncio.sleep(what if kind == "wait" else 0.0)
        for handle in psvd._fleet.handles.values():
            _check_at_all_times(simulation, handle)
        for task in running:
            if task.done():
                task.result()


def _check_at_all_times(simulation: Simulation, handle: BotHandle) -> None:
    living = simulation.alive(handle.name)
    assert len(living) <= 1
    if handle.process is not None and living:
        assert handle.process == living[0].identity, "psvd watches who runs"
    if handle.life.state in (State.STOPPED, State.TERMINATED):
        assert not living


async def _settle(simulation: Simulation, psvd: Psvd) -> None:
    """From now on programs are healthy and the kernel allows everything: what is wanted is reached, by itself."""
    for born in simulation.born.values():
        born.life.answers_s, born.process.is_deaf = 0.05, False
    simulation.programs = {bot: lambda _: Life() for bot in BOTS}
    await asyncio.sleep(2 * RETRY_FAILED_S)
    for handle in psvd._fleet.handles.values():
        _check_end(simulation, handle)


def _check_end(simulation: Simulation, handle: BotHandle) -> None:
    state, living = handle.life.state, simulation.alive(handle.name)
    last = handle.last_exit
    if state is State.FAILED:
        assert last is not None and last.exit_code in NOT_RETRIED, f"left off for {handle.reason}"
        assert handle.wanted is not Wanted.DOWN
        assert not living
    elif handle.wanted is Wanted.DOWN:
        assert state in (State.STOPPED, State.TERMINATED) and not living
    else:
        assert state is (State.PAUSED if handle.wanted is Wanted.PAUSED else State.RUNNING)
        assert [p.identity for p in living] == [handle.process]
    assert state not in HAS_PROCESS or handle.process is not None


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(lives=st.lists(LIVES, max_size=8), steps=st.lists(STEPS, max_size=25))
def test_whatever_happens_there_is_a_way_on_and_what_is_wanted_is_reached(lives: list[Life], steps: list[Any]) -> None:
    """I1 and I4: never two starts at once, no state without a way out, no command that hangs."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        simulation = Simulation(Path(folder) / "fleet", TOML)
        simulation.install(patch)
        following = itertools.cycle(lives or [Life()])
        for bot in BOTS:
            simulation.programs[bot] = lambda _: next(following)
        try:
            for is_kill, group in itertools.groupby(steps, lambda step: step[0] == "kill psvd"):
                part = list(group)
                if is_kill:
                    simulation.nobody(part[0][1])
                else:
                    simulation.live(lambda psvd, part=part: _play(simulation, psvd, part))
            simulation.live(lambda psvd: _settle(simulation, psvd))
            assert simulation.doubled == []
        finally:
            simulation.close()
