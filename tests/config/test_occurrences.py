"""When a timer is due again: rules as text, counted without drift, never made up for, over changes of the clock's offset."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from processsupervisor.config.occurrences import due_after

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("rule", "due_at", "now", "expected"),
    [
        ("", 100.0, 100.0, None),
        ("every 60", 100.0, 100.5, 160.0),
        ("every 60", 100.0, 100.0 + 60 * 1000 + 1, 100.0 + 60 * 1001),
        ("every 60", 100.0, 50.0, 160.0),
    ],
)
def test_an_interval_keeps_its_step(rule, due_at, now, expected):
    """The next time is a multiple of the interval behind the last one, and after now; what was missed is not made up for."""
    assert due_after(rule, due_at, now) == expected


def test_cron_goes_by_the_clock_on_the_wall():
    """09:00 in Berlin is 09:00 before and after the clocks are changed."""
    rule = "cron Europe/Berlin 0 9 * * *"
    assert due_after(rule, at("2026-03-28T09:00"), at("2026-03-28T09:00")) == at("2026-03-29T09:00")
    assert at("2026-03-29T09:00") - at("2026-03-28T09:00") == 23 * 3600


def test_a_zone_may_be_the_machines(monkeypatch):
    """"local" is the machine's zone."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert due_after("cron local 30 12 * * *", 0, at("2026-07-01T00:00")) == at("2026-07-01T12:30")


def test_another_rule_is_refused():
    """A rule of a newer version is not taken for once."""
    with pytest.raises(ValueError, match="every or cron"):
        due_after("monthly", 0, 0)
