"""Durations and sizes are read as people write them, and refused with what was found and expected."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.kernel.units import format_bytes, format_duration, parse_duration, parse_size, short_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("0s", 0), (1.5, 1.5), ("2d", 172800), ("1m 30s", 90)]
)
def test_durations_are_read(text: str | float, seconds: float) -> None:
    """The usual spellings."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "10", "1y", "1s1", "m1", math.nan, math.inf, -0.1, True, "99999d"])
def test_other_durations_are_refused(text: object) -> None:
    """Negative, endless, unitless text and booleans are mistakes, said as such."""
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "size"), [("256MB", 256 << 20), ("16KiB", 16384), ("2g", 2 << 30), (10, 10), ("0", 0)])
def test_sizes_are_read(text: str | int, size: int) -> None:
    """Decimal and binary suffixes are both powers of 1024."""
    assert parse_size(text) == size


@given(st.floats(0, 1e8), st.integers(0, 1 << 50))
def test_everything_can_be_shown(seconds: float, size: int) -> None:
    """Tables never fail on a number."""
    assert format_duration(seconds)
    assert format_bytes(size)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1s"), (37.6, "38s"), (60, "1m"), (65, "1m05s"), (3600, "1h"), (5400, "1h30m"), (86400, "1d"), (129600, "1d12h")]
)
def test_in_a_sentence_a_duration_is_short_and_not_rounded_away(seconds: float, text: str) -> None:
    """What is written as "1h" is read as "1h"; less than a minute is told in seconds."""
    assert short_duration(seconds) == text
