"""A few rounds of chaos over bots of all three kinds, and the proof that the checks can fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.chaos import Chaos
from tests.chaos.checks import Ledger
from tests.chaos.fleet import ChaosFleet, Shape, splits
from tests.chaos.killer import Act, Hit
from tests.chaos.sampler import Sampler
from tests.supervisor.live import eventually

SEED, ROUNDS, BOTS = 135, 12, 15


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_rounds_of_chaos_violate_nothing(folder: Path) -> None:
    """`make chaos` is the same with more bots, more rounds and another seed each time."""
    outcome = Chaos(folder, Shape(*splits(BOTS)), SEED).run(ROUNDS)
    assert outcome.violations == []
    assert outcome.rounds == ROUNDS
    assert outcome.counts["answered"] == outcome.counts["sent"] > 100


@pytest.fixture
def settled(folder: Path) -> Iterator[tuple[ChaosFleet, Sampler, Ledger]]:
    """A small fleet at rest, a sampler that samples when told, and a ledger that has taken everything down."""
    fleet = ChaosFleet(folder, Shape(1, 1, 1))
    sampler = Sampler(folder)
    try:
        fleet.prepare()
        fleet.bring_keeper()
        ledger = Ledger(fleet, sampler)
        assert ledger.settle(30.0) == []
        ledger.take_down()
        yield fleet, sampler, ledger
    finally:
        fleet.stop()


@pytest.mark.slow
def test_a_bot_that_ended_by_another_hand_is_a_violation(settled: tuple[ChaosFleet, Sampler, Ledger]) -> None:
    """Nobody of the harness killed it: then it was restarted without cause. A kill by the harness is none."""
    fleet, _, ledger = settled
    for name, is_told in (("s00", True), ("c00", False)):
        found = fleet.bot_process(name)
        assert found is not None
        os.kill(found[0].pid, signal.SIGKILL)
        fleet.until(name, state="RUNNING", generation=2)
        assert ledger.settle(30.0) == []
        hits = [Hit(Act(0.0, "bot", 0, "kill", 0.0), name, found[0], found[1])] if is_told else []
        wrong = ledger.check(hits)
        assert (wrong == []) is is_told, wrong
        ledger.take_down()
    assert any("nobody had killed it" in text for text in wrong)
    assert any("an exit that nobody caused" in text for text in wrong)


@pytest.mark.slow
def test_an_own_process_that_was_replaced_for_nothing_is_a_violation(settled: tuple[ChaosFleet, Sampler, Ledger]) -> None:
    """As one that the keeper took for wedged and was not."""
    fleet, _, ledger = settled
    killed = fleet.kill_role("logd")
    eventually(lambda: (found := fleet.role_process("logd")) is not None and found.pid != killed, "a new logd")
    assert ledger.settle(30.0) == []
    [text] = ledger.check([])
    assert text.startswith("logd was replaced")


@pytest.mark.slow
def test_a_second_copy_of_a_bot_is_seen(settled: tuple[ChaosFleet, Sampler, Ledger]) -> None:
    """By its variable, in the fleet's folder, while the first one runs."""
    fleet, sampler, _ = settled
    sampler.sample()
    assert sampler.doubled == []
    argv = [sys.executable, "-c", "import time; time.sleep(100)"]
    second = subprocess.Popen(argv, cwd=fleet.folder, env={"PSV_BOT": "c00"})
    try:
        eventually(lambda: sampler.sample() or sampler.doubled, "two of one", 10.0)
        assert sampler.doubled[0].startswith("c00 ran twice")
    finally:
        second.kill()
        second.wait(5)


@pytest.mark.slow
def test_a_fleet_that_does_not_settle_says_what_does_not(settled: tuple[ChaosFleet, Sampler, Ledger]) -> None:
    """A stopped psvd answers nobody."""
    fleet, _, ledger = settled
    psvd = fleet.role_process("psvd")
    assert psvd is not None
    os.kill(psvd.pid, signal.SIGSTOP)
    try:
        [text] = ledger.settle(0.1)
    finally:
        os.kill(psvd.pid, signal.SIGCONT)
    assert "psvd: no answer" in text
