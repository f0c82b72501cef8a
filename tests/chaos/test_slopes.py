"""Slopes by least squares, and what they are judged by."""

from __future__ import annotations

import os

import pytest
from tests.chaos.slopes import Costs, Slope, cost_of, least_squares
from tests.chaos.soak import limit

from processsupervisor.kernel.identity import Identity


def test_the_slope_of_a_line_is_found_and_of_too_little_is_none() -> None:
    """Noise on both sides cancels."""
    assert least_squares([(x, 3.0 * x + 7) for x in range(10)]) == pytest.approx(3.0)
    assert least_squares([(x, (-1) ** x) for x in range(11)]) == pytest.approx(0.0, abs=1e-9)
    assert least_squares([(0, 1), (1, 5)]) == 0.0


def test_a_process_that_opens_descriptors_is_seen_to_grow() -> None:
    """Measured on this very process, which is what a leak looks like."""
    costs, me, opened = Costs(warm_up_s=2.0, least_watched_s=2.0), Identity.of(os.getpid()), []
    assert me is not None
    try:
        for second in range(10):
            opened.append(os.open("/dev/null", os.O_RDONLY))
            costs.sample(float(second), {"psvd": me})
    finally:
        for descriptor in opened:
            os.close(descriptor)
    grown = {s.unit: s for s in costs.slopes()}
    assert grown["descriptors"].per_hour == pytest.approx(3600, rel=0.05)
    assert grown["descriptors"].grown > limit(grown["descriptors"])


def test_a_life_that_was_watched_too_shortly_is_not_judged() -> None:
    """Its warm-up would be taken for growth."""
    costs, me = Costs(warm_up_s=5.0, least_watched_s=5.0), Identity.of(os.getpid())
    assert me is not None
    for second in range(8):
        costs.sample(float(second), {"psvd": me})
    assert costs.slopes() == []


def test_what_is_gone_costs_nothing() -> None:
    """Instead of failing the run."""
    assert cost_of(2**22 + 1) is None


def test_the_limit_grows_with_the_time_watched() -> None:
    """A constant for chance, and so much an hour."""
    short, long = (Slope("psvd", "descriptors", 0, 0, seconds, 0, 0) for seconds in (60.0, 7200.0))
    assert limit(short) < limit(long)
