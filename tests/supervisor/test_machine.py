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
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.supervisor.simulation import Life, Simulation

from processsupervisor.health.monitor import JUDGED
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.reasons import NOT_RETRIED, Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.daemon import Psvd
from processsupervisor.supervisor.keeperlink import REQUEST_TIMEOUT_S

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
LONGEST_S = {
    State.STARTING: 20.0 + 2 * REQUEST_TIMEOUT_S,
    State.PAUSING: 10.0,
    State.RESUMING: 10.0,
    State.STOPPING: 5.0 + REQUEST_TIMEOUT_S,
    State.RESTARTING: 5.0 + REQUEST_TIMEOUT_S,
}
"""The deadlines of the states that have one, with a launch that gets no answer in them; the time in which psvd is stopped is added."""
A_MOMENT_S = 5.0

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
    st.tuples(st.just("command"), st.sampled_from(("stop", "restart", "pause")), st.just("n")),
    st.tuples(st.just("exit"), st.sampled_from((0, 1 << 8, 77 << 8, 9)), st.sampled_from(BOTS)),
    st.tuples(st.just("hang"), st.just(""), st.sampled_from(BOTS)),
    st.tuples(st.just("kill psvd"), st.sampled_from((0.0, 1.0, 60.0)), st.just("")),
    st.tuples(st.just("stall"), st.sampled_from((0.7, 12.0, 300.0)), st.just("")),
    st.one_of(
        st.tuples(st.just("wall clock"), st.sampled_from((-400_000.0, -3600.0, 3600.0, 400_000.0)), st.just("")),
        st.tuples(st.just("suspend"), st.sampled_from((5.0, 7200.0, 400_000.0)), st.just("")),
    ),
)
WAITS = st.sampled_from((0.0, 0.0, 0.001, 0.01, 0.3, 1.5, 6.0, 25.0, 120.0, 700.0)).map(lambda wait_s: ("wait", wait_s, ""))
STORIES = st.lists(st.tuples(STEPS, WAITS), min_size=4, max_size=14).map(lambda pairs: list(itertools.chain(*pairs)))
"""Steps with time between them: without it a bot would hardly ever get anywhere."""


WANTS = {"start": Wanted.UP, "restart": Wanted.UP, "resume": Wanted.UP, "stop": Wanted.DOWN, "pause": Wanted.PAUSED}
"""What each command wants, once it is accepted."""
NOTHING_TO_DO = ("is paused already", "is paused", "is pausing")


async def _command(simulation: Simulation, psvd: Psvd, verb: str, bot: str, wait: bool) -> bool:
    """A command ends by its own deadline, whatever the bot does, or is refused with a reason. Tells whether it was accepted."""
    began = simulation.ran_s
    try:
        result = await getattr(psvd._manager, verb)(bot, wait, COMMAND_S)
    except PsvError as err:
        assert err.message
        return False
    assert result["ok"] or result["message"], f"{verb} failed without a word"
    assert simulation.ran_s - began <= COMMAND_S + 1.0 or not wait
    return not str(result["message"]).startswith(NOTHING_TO_DO)


async def _play(simulation: Simulation, psvd: Psvd, steps: list[Any], wanted: dict[str, Wanted]) -> list[asyncio.Task[bool]]:
    """Do all steps of one life of psvd; commands run beside each other, and the last ones die with it, if it is killed.

    `wanted` is what was said last of each bot, kept here and not asked of psvd.
    """
    running: list[asyncio.Task[bool]] = []
    since = dict.fromkeys(BOTS, simulation.ran_s)

    def hear(event: dict[str, Any]) -> None:
        if event["kind"] == "transition":
            since[str(event["bot"])] = simulation.ran_s
            if event["to"] == State.RESUMING:  # by command, or because it did not pause in time: then the pause was given up
                wanted[str(event["bot"])] = Wanted.UP

    psvd._fleet.events.listen(hear)
    for number, (kind, what, bot) in enumerate(steps):
        if kind == "command":
            running.append(asyncio.ensure_future(_command(simulation, psvd, what, bot, number % 2 == 0)))
        elif kind == "exit":
            for process in simulation.alive(bot):
                simulation.end(process, what)
        elif kind == "hang" and psvd._fleet.handles[bot].life.state in JUDGED and simulation.alive(bot):
            psvd._fleet.handles[bot].put_down(Reason.HANG, "hung")
        elif kind == "stall":
            simulation.stall(what)
        elif kind == "wall clock":
            simulation.clock.wall_offset_s += what
        elif kind == "suspend":
            simulation.clock.suspend(what)
        await asyncio.sleep(what if kind == "wait" else 0.0)
        if kind == "command" and (not running[-1].done() or running[-1].result()):
            wanted[bot] = WANTS[what]
        for handle in psvd._fleet.handles.values():
            _check_at_all_times(simulation, handle)
            assert handle.wanted is wanted[handle.name]
            for_s, longest_s = simulation.ran_s - since[handle.name], LONGEST_S.get(handle.life.state, float("inf"))
            assert for_s <= longest_s + A_MOMENT_S, f"{handle.life.state} for {for_s} s"
        for task in running:
            if task.done():
                task.result()
    return running


def _check_at_all_times(simulation: Simulation, handle: BotHandle) -> None:
    living = simulation.alive(handle.name)
    assert len(living) <= 1
    if handle.process is not None and living:
        assert handle.process == living[0].identity, "psvd watches who runs"
    if handle.life.state in (State.STOPPED, State.TERMINATED):
        assert not living


async def _play_and_settle(simulation: Simulation, psvd: Psvd, steps: list[Any], wanted: dict[str, Wanted]) -> None:
    """The last life: nobody but psvd itself brings it out of where it got, and no new psvd that looks at all anew."""
    running = await _play(simulation, psvd, steps, wanted)
    await _settle(simulation, psvd, wanted)
    for task in running:
        assert task.done(), "a command hangs"
        task.result()


async def _settle(simulation: Simulation, psvd: Psvd, wanted: dict[str, Wanted]) -> None:
    """From now on programs are healthy and the kernel allows everything: what is wanted is reached, by itself."""
    for born in simulation.born.values():
        born.life.answers_s, born.process.is_deaf = 0.05, False
    simulation.programs = {bot: lambda _: Life() for bot in BOTS}
    await asyncio.sleep(2 * RETRY_FAILED_S)
    for handle in psvd._fleet.handles.values():
        assert handle.wanted is wanted[handle.name]
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


def _told(*words: str) -> list[Any]:
    """Return the steps of a story: "pause n" is a command, "kill" one of psvd, a number a wait."""
    told = [("kill psvd", 0.0, "") if word == "kill" else ("wait", float(word), "") if word[0].isdigit() else ("command", *word.split()) for word in words]
    return list(told)


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example(lives=[Life(answers_s=None)], steps=_told("1.5", "pause n", "6"))
@example(lives=[Life(answers_s=None)], steps=_told("1.5", "pause n", "120"))
@example(lives=[Life()], steps=_told("1.5", "pause n", "1.5", "start n", "0"))
@example(lives=[Life(answers_s=3.0)], steps=_told("1.5", "pause n", "6", "resume n", "kill", "25"))
@example(lives=[Life()], steps=_told("1.5", "pause n", "1.5", "restart n", "kill", "pause n", "0.01", "kill"))
@example(lives=[Life(answers_s=None, is_deaf=True)], steps=_told("1.5", "stop n", "stop c", "kill", "25"))
@example(lives=[Life(answers_s=None, is_deaf=True)], steps=_told("1.5", "stop n", "kill", "25"))
@example(lives=[Life(birth="unanswered")], steps=_told("0.01", "stop n", "120"))
@example(lives=[Life(answers_s=None, is_deaf=True)], steps=_told("1.5", "stop n", "restart c", "120"))
@example(lives=[Life()], steps=_told("0", "start n", "0.01", "restart n", "0", "stop n", "0.01", "restart n", "0.3"))
@given(lives=st.lists(LIVES, min_size=1, max_size=8), steps=STORIES)
def test_whatever_happens_there_is_a_way_on_and_what_is_wanted_is_reached(lives: list[Life], steps: list[Any]) -> None:
    """I1 and I4: never two starts at once, no state without a way out, no command that hangs."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        simulation = Simulation(Path(folder) / "fleet", TOML)
        simulation.install(patch)
        following = itertools.cycle(lives)
        wanted = dict.fromkeys(BOTS, Wanted.UP)
        for bot in BOTS:
            simulation.programs[bot] = lambda _: next(following)
        try:
            parts = [(is_kill, list(group)) for is_kill, group in itertools.groupby(steps, lambda step: step[0] == "kill psvd")]
            last = parts.pop()[1] if parts and not parts[-1][0] else []
            for is_kill, part in parts:
                if is_kill:
                    simulation.nobody(part[0][1])
                else:
                    simulation.live(lambda psvd, part=part: _play(simulation, psvd, part, wanted))
            simulation.live(lambda psvd: _play_and_settle(simulation, psvd, last, wanted))
            assert simulation.doubled == []
        finally:
            simulation.close()
