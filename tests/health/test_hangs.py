"""The check for hangs beside real processes and real pulse files: what counts, what does not, and what nobody may break."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import eventually

from processsupervisor.health.hangs import Hangs
from processsupervisor.health.processes import is_stopped
from processsupervisor.health.verdict import SWEEP_S, Sweep, Verdict
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pulse import PULSE_BYTES, Pulse, Turn, beat_every_s, pulse_path

LIMIT_S = 5.0
SILENT = int(LIMIT_S / SWEEP_S)


@dataclass
class Bot:
    """A bot as the check sees it."""

    process: Identity | None
    via: str = "zygote x"
    name: str = "a"
    generation: int = 3
    spec: Any = field(default_factory=lambda: {"hang_after_s": LIMIT_S})
    life: Any = None


class World:
    """One bot, its pulse, and the sweeps over it."""

    def __init__(self, folder: Path) -> None:
        self.paths = FleetPaths(folder)
        self.paths.bot_run("a").mkdir(parents=True)
        self.path = pulse_path(self.paths, "a")
        self.path.write_bytes(bytes(PULSE_BYTES))
        # As a forked bot: the pulse is open in it, and locked.
        hold = "import fcntl, sys, time; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); time.sleep(1000)"
        self.process = subprocess.Popen([sys.executable, "-c", hold, str(self.path)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.bot = Bot(Identity.of(self.process.pid))
        self.hangs = Hangs(self.paths)
        self.pulse = Pulse(3, Turn.TURNING, 1, mono(), 0.0, 0.0, 0)
        self._sweeps = 0

    def beat(self, **changes: Any) -> None:
        """Write the next beat, or what is given."""
        self.pulse = replace_pulse(self.pulse, **{"beats": self.pulse.beats + 1, **changes})
        self.path.write_bytes(self.pulse.pack())

    def sweep(self, count: int = 1, *, is_late: bool = False) -> Verdict | None:
        """Look so many times and return the last verdict."""
        verdict = None
        for _ in range(count):
            verdict = self.hangs.look(self.bot, Sweep(self._sweeps, is_late))
            self._sweeps += 1
        return verdict


def replace_pulse(pulse: Pulse, **changes: Any) -> Pulse:
    return pulse._replace(**changes)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A bot that has just beaten."""
    found = World(tmp_path)
    found.beat()
    assert found.sweep() is None
    yield found
    found.process.kill()
    found.process.wait()


def test_silence_for_the_whole_time_is_a_hang_and_a_beat_ends_it(world: World) -> None:
    """Judged in the sweep that completes hang_after, not before; again in each one until it beats."""
    assert world.sweep(SILENT - 1) is None
    verdict = world.sweep()
    assert verdict is not None and (verdict.bot, verdict.generation, str(verdict.reason)) == ("a", 3, "hang")
    assert world.sweep() is not None and world.hangs.still_holds(world.bot)
    world.beat()
    assert not world.hangs.still_holds(world.bot)
    assert world.sweep() is None


def test_a_bot_that_beats_seldom_is_not_judged_by_a_limit_that_came_later(world: World) -> None:
    """It was started under a longer hang_after; two beats must be missing in any case, and a state is not looked up meanwhile."""
    world.bot.spec = {"hang_after_s": 2.0}
    world.beat(every_s=5.0)
    assert world.sweep() is None
    assert world.sweep(int(9.0 / SWEEP_S)) is None
    assert world.sweep(int(2.0 / SWEEP_S)) is not None


@pytest.mark.parametrize(("hang_after_s", "every_s"), [(0.0, 5.0), (2.0, 1.0), (6.0, 1.0), (12.0, 2.0), (30.0, 5.0), (3600.0, 5.0)])
def test_several_beats_fit_into_the_time_after_which_a_bot_is_judged(hang_after_s: float, every_s: float) -> None:
    """As few as that allows: each one wakes a bot that has nothing to do."""
    assert beat_every_s(hang_after_s) == every_s


def test_a_late_sweep_judges_nobody_and_the_next_one_may(world: World) -> None:
    """However many stalls, there is always a look in time before a judgement."""
    assert world.sweep(10 * SILENT, is_late=True) is None
    assert world.sweep() is not None


@pytest.mark.parametrize("changes", [{"turn": Turn.ENDED}, {"turn": Turn.NEVER}, {"generation": 2}])
def test_a_pulse_that_says_nothing_judges_nobody(world: World, changes: dict[str, Any]) -> None:
    """No loop runs, or the pulse is that of an earlier generation."""
    world.beat(**changes)
    assert world.sweep(3 * SILENT) is None


def test_a_pulse_that_somebody_broke_judges_nobody(world: World) -> None:
    """Cut, overwritten, of a newer version, replaced by a FIFO, or gone; psvd reads on."""
    whole = world.pulse.pack()
    for content in (b"", whole[:20], os.urandom(PULSE_BYTES), whole[:4] + b"\x02" + whole[5:]):
        world.path.write_bytes(content)
        assert world.sweep(2 * SILENT) is None
    world.path.unlink()
    os.mkfifo(world.path)
    world.hangs.forget("a")
    assert world.sweep(2 * SILENT) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_no_number_that_is_none_comes_out_of_a_pulse(world: World, number: float) -> None:
    """A bot may write what it likes into its pulse; status is JSON all the same."""
    for name in ("at_mono", "lag_s", "worst_lag_s"):
        world.beat(**{"at_mono": mono(), "lag_s": 0.0, "worst_lag_s": 0.0, name: number})
        assert world.sweep(2 * SILENT) is None
        assert world.hangs.vitals(world.bot) == dict.fromkeys(("beat_age_s", "lag_s", "worst_lag_s", "stopped"))


def test_a_bot_that_cannot_beat_for_want_of_disk_is_not_blamed(world: World) -> None:
    """psvd tries to write where the bot would; here the file cannot be opened."""
    assert world.sweep() is None  # it is open by now
    world.path.unlink()
    assert world.sweep(3 * SILENT) is None


def test_a_stopped_process_is_no_silent_loop_and_its_silence_is_not_counted(world: World) -> None:
    """Continued in time, it has all of hang_after to beat again; left stopped, it is judged as that."""
    assert world.bot.process is not None
    os.kill(world.bot.process.pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(world.bot.process), "it is stopped")  # type: ignore[arg-type]
    assert world.sweep(SILENT - 1) is None
    os.kill(world.bot.process.pid, signal.SIGCONT)
    eventually(lambda: not is_stopped(world.bot.process), "it goes on")  # type: ignore[arg-type]
    assert world.sweep(SILENT - 2) is None
    world.beat()
    os.kill(world.bot.process.pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(world.bot.process), "it is stopped again")  # type: ignore[arg-type]
    verdict = world.sweep(SILENT + 1)
    assert verdict is not None and "stopped by a signal" in verdict.message and "T (stopped)" in verdict.message


def test_a_program_is_judged_by_its_state_alone(world: World) -> None:
    """It has no pulse, and what lies there is not its own; a stop is found within a few sweeps."""
    world.bot = replace(world.bot, via="keeper")
    world.hangs.forget("a")
    assert world.sweep(3 * SILENT) is None
    assert world.bot.process is not None
    os.kill(world.bot.process.pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(world.bot.process), "it is stopped")  # type: ignore[arg-type]
    assert world.sweep(SILENT + 4) is not None


def test_never_means_never(world: World) -> None:
    """`hang_after = 0`: neither silence nor a stop is judged, and status still shows the beat."""
    world.bot.spec = {"hang_after_s": 0.0}
    assert world.sweep(3 * SILENT) is None
    assert world.hangs.vitals(world.bot)["beat_age_s"] is not None
