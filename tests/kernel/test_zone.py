"""The time zone of the machine: what cannot be used counts as UTC, and that is said."""

from __future__ import annotations

import datetime

import pytest

from processsupervisor.kernel.zone import goes_by_local_time, local_zone, local_zone_problem


@pytest.mark.parametrize("name", ["Nowhere/City", "CEST", "/no/such/file", "../../etc/passwd"])
def test_a_zone_that_does_not_exist_is_utc_and_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to find out by tasks that run at the wrong hour."""
    monkeypatch.setenv("TZ", name)
    assert local_zone() is datetime.UTC and name in local_zone_problem()


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin", ""])
def test_one_that_exists_is_no_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with the colon of POSIX; without TZ there is nothing to be wrong."""
    monkeypatch.setenv("TZ", name)
    assert local_zone_problem() == ""
    if name:
        assert datetime.datetime(2026, 7, 1, tzinfo=local_zone()).utcoffset() == datetime.timedelta(hours=2)


def test_only_what_names_no_zone_goes_by_the_machine() -> None:
    """An interval, a zone of its own, times with an offset do not."""
    assert goes_by_local_time("@daily", None, None) and goes_by_local_time(None, ["2026-12-24T18:00:00"], None)
    assert not goes_by_local_time(None, None, None) and not goes_by_local_time("@daily", None, "UTC")
    assert not goes_by_local_time(None, ["2026-12-24T18:00:00+01:00"], None)
