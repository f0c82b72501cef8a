"""The sequence of kills is the seed's alone, and the one of the short run meets every kind of process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.availability import one_kill
from tests.chaos.killer import OWN, WEDGED_AFTER_S, plan
from tests.chaos.test_chaos import ROUNDS, SEED

ALL = {*OWN, "bot"}


def test_the_same_seed_gives_the_same_sequence_in_another_process() -> None:
    """Nothing of this process, of time or of hash randomisation is in it."""
    code = "from tests.chaos.killer import plan; print([plan(7, n) for n in range(200)])"
    argv, environment = [sys.executable, "-c", code], os.environ | {"PYTHONHASHSEED": "5"}
    other = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], env=environment)
    assert other.stdout.strip() == str([plan(7, n) for n in range(200)])


def test_another_seed_and_another_round_are_another_sequence() -> None:
    """Else every run would show the same."""
    assert plan(1, 1) != plan(2, 1)
    assert plan(1, 1) != plan(1, 2)
    assert one_kill(1, 1) != one_kill(2, 1)


def test_a_long_run_does_everything_that_chaos_is_to_do() -> None:
    """Kills and stops of every kind of process, short and past the limit; several at once; keepers that stay away."""
    rounds = [plan(3, n) for n in range(300)]
    acts = [act for acts in rounds for act in acts]
    assert {(a.role, a.kind) for a in acts} == {(role, kind) for role in ALL for kind in ("kill", "stop")}
    stops = [a.for_s for a in acts if a.kind == "stop" and a.role != "bot"]
    assert min(stops) < 1.0
    assert max(stops) > WEDGED_AFTER_S
    assert any(len(acts) >= 4 and acts[-1].at_s - acts[0].at_s < 0.06 for acts in rounds)
    away = [a.for_s for a in acts if a.role == "keeper" and a.kind == "kill"]
    assert min(away) == 0.0
    assert max(away) > 2.0


def test_the_short_run_kills_every_kind_of_process_and_stops_some() -> None:
    """The few rounds of CI are worth their time."""
    acts = [act for n in range(1, ROUNDS + 1) for act in plan(SEED, n)]
    assert {a.role for a in acts if a.kind == "kill"} == ALL
    assert len({a.role for a in acts if a.kind == "stop"}) >= 3
