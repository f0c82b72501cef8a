"""The restart delay grows to its ceiling and windows count what they should."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.kernel.backoff import Window, delay_s, full_window


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(1, 10), st.floats(0.1, 600))
def test_a_delay_is_never_above_its_ceiling(restarts: int, base: float, factor: float, ceiling: float) -> None:
    """However often a bot dies, the wait stays within max, and never overflows."""
    assert 0.0 <= delay_s(restarts, 0.0, base, factor, ceiling) <= ceiling


def test_the_first_delay_is_the_initial_one_exactly() -> None:
    """`initial = 0s` means at once, without jitter."""
    assert delay_s(0, 0.25, 1, 2, 60) == 0.25


@given(st.lists(st.floats(0, 1000), max_size=50), st.integers(1, 20), st.floats(1, 500))
def test_a_window_is_full_exactly_when_it_holds_its_count(times: list[float], count: int, within: float) -> None:
    """One more restart is refused when `count` lie inside `within`."""
    times.sort()
    inside = [t for t in times if 1000 - t < within]
    assert (full_window(times, 1000, [Window(count, within)]) is not None) == (len(inside) >= count)
