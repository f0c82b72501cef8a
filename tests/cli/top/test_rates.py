"""Laws of the figures that need a past."""

from __future__ import annotations

from processsupervisor.cli.top.rates import Rate, bars


def test_a_rate_is_what_came_in_the_last_minute() -> None:
    """What is older than a minute counts no more; a rate that falls to nought says so."""
    rate = Rate()
    for second in range(0, 200, 2):
        rate.take(float(second), 1, min(second, 100))
    assert rate.per_minute(198.0) == 0.0
    busy = Rate()
    for second in range(0, 122, 2):
        busy.take(float(second), 1, second // 2)
    assert busy.per_minute(120.0) == 30.0


def test_a_rate_is_not_guessed() -> None:
    """Neither in the first seconds nor for a bot that counts none is there a rate; then it is scaled to a minute."""
    rate = Rate()
    assert rate.per_minute(0.0) is None
    rate.take(0.0, 1, None)
    rate.take(100.0, 1, 5)
    assert rate.per_minute(104.0) is None
    rate.take(120.0, 1, 15)
    assert rate.per_minute(120.0) == 30.0


def test_a_rate_goes_on_over_a_restart() -> None:
    """The counter of a new generation begins at nought: it adds, and never takes away."""
    rate = Rate()
    rate.take(0.0, 1, 1000)
    rate.take(10.0, 1, 1010)
    rate.take(20.0, 2, 3)
    rate.take(30.0, 2, 5)
    assert rate.per_minute(30.0) == 60 * 15 / 30


def test_a_counter_that_falls_counts_nothing() -> None:
    """The same generation with less than before (a bot may write what it likes into its pulse) is no negative rate."""
    rate = Rate()
    rate.take(0.0, 1, 50)
    rate.take(30.0, 1, 10)
    assert rate.per_minute(30.0) == 0.0


def test_bars_are_the_same_for_all_bots() -> None:
    """One bar a value by fixed steps, the newest at the right; a gap where nothing is known, and no more than there is room for."""
    assert bars([0.0, 1.0, 100.0, None, 30.0], 6) == " ▁▂█ ▆"
    assert bars([5.0] * 50, 4) == "▃▃▃▃"
    assert bars([], 3) == "   "
    assert bars([1.0], 0) == ""
