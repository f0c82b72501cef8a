"""Hysteresis: only outcomes in a row change anything, whatever comes between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.health.streak import Streak

LIMITS = st.integers(1, 5)


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), LIMITS, LIMITS)
def test_it_turns_exactly_when_enough_of_one_kind_came_in_a_row(outcomes: list[bool | None], fail_after: int, pass_after: int) -> None:
    """Against a count that is made anew for every prefix; None is an interruption."""
    streak, thought = Streak(fail_after, pass_after), None
    for number, outcome in enumerate(outcomes):
        streak.interrupt() if outcome is None else streak.count(outcome)
        past = outcomes[: number + 1]
        if outcome is not None:
            needed = pass_after if outcome else fail_after
            if past[-needed:] == [outcome] * needed:
                thought = not outcome
        assert streak.has_failed is thought


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(2, 5))
def test_failures_with_a_success_between_them_never_turn_it(runs: list[int], fail_after: int) -> None:
    """However many there are, as long as none of the runs is long enough."""
    streak = Streak(fail_after, 1)
    streak.count(True)
    for run in runs:
        for _ in range(min(run, fail_after - 1)):
            streak.count(False)
            assert streak.has_failed is False
        streak.count(True)
    assert streak.has_failed is False


@given(st.integers(2, 5), st.integers(1, 20))
def test_failures_that_are_interrupted_each_time_never_turn_it(fail_after: int, times: int) -> None:
    """As when psvd is stalled again and again."""
    streak = Streak(fail_after, 1)
    for _ in range(times):
        for _ in range(fail_after - 1):
            streak.count(False)
        streak.interrupt()
    assert streak.has_failed is None
