"""supervisor.schedule and due: when a task is due over changes of the clock's offset, and that nothing is due twice."""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processsupervisor.config.spec import ScheduleSpec
from processsupervisor.supervisor.due import LATE_S, MAX_MISSED, Why, plan
from processsupervisor.supervisor.schedule import Schedule

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Apia", "UTC")
CRONS = ("30 2 * * *", "*/20 * * * *", "0 0 * * *", "15 */6 * * *", "59 1 * * 0", "0 3 1 * *", "*/7 1-3 * * *", "@hourly", "@daily")
NOW = 1_780_000_000.0


def spec(**keys: Any) -> ScheduleSpec:
    """Return a schedule with these keys."""
    nothing = {"cron": None, "every_s": None, "at": None, "tz": "Europe/Berlin", "missed": "once", "overlap": "skip", "timeout_s": None, "jitter_s": 0.0, "keep": 9}
    return ScheduleSpec(**{**nothing, **keys})


def local(zone: str, *parts: int, fold: int = 0) -> float:
    """Return the instant of a local time."""
    return datetime.datetime(*parts, fold=fold, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()  # type: ignore[misc,arg-type]


def dues(made: Schedule, after: float, count: int) -> list[float]:
    """Return the next `count` due times."""
    found = []
    for _ in range(count):
        due = made.next_after(after)
        assert due is not None
        found.append(due.at)
        after = due.at
    return found


def walls(zone: str, instants: list[float]) -> list[str]:
    """Return instants as local times with their offset."""
    return [datetime.datetime.fromtimestamp(at, zoneinfo.ZoneInfo(zone)).strftime("%d %H:%M %z") for at in instants]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("30 2 * * *", (2026, 3, 28, 12), ["29 03:00 +0200", "30 02:30 +0200"]),
        ("*/30 1-3 * * *", (2026, 3, 29, 1, 10), ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]),
        ("*/30 * * * *", (2026, 3, 29, 1, 10), ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]),
        ("30 2 * * *", (2026, 10, 24, 12), ["25 02:30 +0200", "26 02:30 +0100"]),
        ("0,30 1-3 * * *", (2026, 10, 25, 1, 40), ["25 02:00 +0200", "25 02:30 +0200", "25 03:00 +0100"]),
        ("*/30 * * * *", (2026, 10, 25, 1, 40), ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]),
    ],
)
def test_a_time_that_does_not_exist_runs_after_the_gap_and_one_that_comes_twice_once(cron: str, start: tuple[int, ...], expected: list[str]) -> None:
    """Berlin, both nights of the year; what goes by the minute goes on in the hour that comes twice."""
    made = Schedule(spec(cron=cron), "x", 0.0)
    assert walls("Europe/Berlin", dues(made, local("Europe/Berlin", *start), len(expected))) == expected


def test_the_second_pass_of_an_hour_is_no_second_time() -> None:
    """Asked in the middle of the hour that comes again, the next occurrence is that of tomorrow."""
    made = Schedule(spec(cron="45 2 * * *"), "x", 0.0)
    again = local("Europe/Berlin", 2026, 10, 25, 2, 15, fold=1)
    assert walls("Europe/Berlin", dues(made, again, 1)) == ["26 02:45 +0100"]


@settings(max_examples=150, deadline=None)
@given(cron=st.sampled_from(CRONS), zone=st.sampled_from(ZONES), start=st.floats(1.4e9, 2.0e9))
def test_occurrences_only_go_forward_and_do_not_depend_on_when_one_asks(cron: str, zone: str, start: float) -> None:
    """Strictly increasing, each after the question; and asked from between two of them, the same one comes."""
    made = Schedule(spec(cron=cron, tz=zone), "x", 0.0)
    found = dues(made, start, 12)
    assert all(a < b for a, b in zip([start, *found], found, strict=False))
    for before, after in itertools.pairwise(found):
        assert dues(made, (before + after) / 2, 1) == [after]


@settings(max_examples=100, deadline=None)
@given(zone=st.sampled_from(ZONES), start=st.floats(1.4e9, 2.0e9))
def test_a_task_that_goes_by_the_minute_is_never_without_it(zone: str, start: float) -> None:
    """Whatever is done to the clocks, `*/20` leaves no more than 20 minutes (Lord Howe turns them by half an hour, which shortens one)."""
    found = dues(Schedule(spec(cron="*/20 * * * *", tz=zone), "x", 0.0), start, 30)
    assert all(b - a <= 1200 for a, b in itertools.pairwise(found))


@settings(max_examples=200, deadline=None)
@given(anchor=st.floats(0, 2e9), every=st.one_of(st.floats(1, 1e7), st.sampled_from([1.0, 0.1 + 0.9, 900.0, 3600.0])), at=st.floats(0, 2e9))
def test_intervals_count_from_their_anchor(anchor: float, every: float, at: float) -> None:
    """One interval apart, in step with the anchor, from wherever one asks; never further away than one interval, whatever the clock showed then."""
    made = Schedule(spec(every_s=every), "x", anchor)
    first, second = dues(made, at, 2)
    assert first > at and first <= at + every + 1e-3
    assert second - first == pytest.approx(every, rel=1e-6, abs=1e-3)
    steps = (first - anchor) / every
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert dues(made, anchor, 1)[0] == pytest.approx(anchor + every, abs=1e-3)


def test_fixed_times_are_of_their_zone_and_end() -> None:
    """Without an offset they are local; in a gap they come at its end; sorted, each once, and then none."""
    moments = ["2026-12-24T18:00:00", "2026-03-29T02:30:00", "2026-12-24T17:00:00+00:00", "2026-07-01T00:00:00Z"]
    made = Schedule(spec(at=moments), "x", 0.0)
    found = dues(made, 0.0, 3)
    assert walls("Europe/Berlin", found) == ["29 03:00 +0200", "01 02:00 +0200", "24 18:00 +0100"]
    assert made.next_after(found[-1]) is None


def test_jitter_is_the_same_each_time_and_below_its_limit() -> None:
    """A psvd that comes anew finds the same moment; two tasks find two."""
    first, again, other = (Schedule(spec(every_s=60.0, jitter_s=30.0), name, 0.0) for name in ("a", "a", "b"))
    delays = [due.begin_at - due.at for made in (first, again, other) if (due := made.next_after(1000.0)) is not None]
    assert delays[0] == delays[1] != delays[2] and all(0 <= delay < 30 for delay in delays)


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
@pytest.mark.parametrize("keys", [{"every_s": 60.0}, {"cron": "* * * * *"}])
def test_more_jitter_than_there_is_time_between_two_runs_loses_none(missed: Any, keys: dict[str, Any]) -> None:
    """Five minutes of jitter on each minute: an hour has sixty runs, each at its time, and none is missed."""
    made, mark, runs = Schedule(spec(**keys, jitter_s=300.0), "x", NOW), NOW, []
    for second in range(3600 + 60):
        found = plan(made, missed, mark, NOW + second, lambda _: False)
        if found is not None:
            assert found.left_out is None
            runs += found.runs
            mark = found.mark
    assert 60 <= len(runs) <= 61 and {why for _, why in runs} == {Why.SCHEDULE}


def test_what_began_long_ago_is_found_without_walking_there() -> None:
    """The newest of three years of minutes, in order."""
    made = Schedule(spec(cron="* * * * *"), "x", 0.0)
    now = local("Europe/Berlin", 2026, 6, 1, 12)
    assert [due.at for due in made.begun(now - 3 * 365 * 86400, now, 5)] == [now - 240, now - 180, now - 120, now - 60, now]


@pytest.mark.parametrize(
    ("missed", "away_s", "late_s", "expected"),
    [
        ("skip", 0, 1, ["schedule"]), ("once", 0, 1, ["schedule"]), ("all", 0, 1, ["schedule"]),
        ("skip", 3000, 1, ["schedule"]), ("once", 3000, 1, ["schedule"]), ("all", 3000, 1, ["missed"] * 5 + ["schedule"]),
        ("skip", 3000, LATE_S + 1, []), ("once", 3000, LATE_S + 1, ["missed"]), ("all", 3000, LATE_S + 1, ["missed"] * 6),
        ("all", 600 * 1000, 1, ["missed"] * (MAX_MISSED - 1) + ["schedule"]),
    ],
)  # fmt: skip
def test_the_policy_for_missed_times(missed: Any, away_s: float, late_s: float, expected: list[str]) -> None:
    """Every ten minutes; psv was away for `away_s` and comes `late_s` after the last time."""
    made = Schedule(spec(every_s=600.0), "x", NOW - 600 * 5000)
    found = plan(made, missed, NOW - 600 - away_s, NOW + late_s, lambda _: False)
    assert found is not None and found.mark == NOW
    assert [str(why) for _, why in found.runs] == expected
    assert [due.at for due, _ in found.runs] == sorted({due.at for due, _ in found.runs})


STEPS = st.one_of(st.floats(0.1, 300), st.floats(300, 1e5), st.floats(-1e5, -1), st.floats(1e6, 1e8))


@settings(max_examples=200, deadline=None)
@given(
    missed=st.sampled_from(["skip", "once", "all"]), steps=st.lists(STEPS, min_size=1, max_size=40),
    keys=st.sampled_from([{"every_s": 70.0}, {"cron": "*/5 * * * *"}, {"cron": "30 2 * * *"}, {"every_s": 900.0, "jitter_s": 400.0}]),
)  # fmt: skip
def test_no_time_is_ever_run_twice_however_the_clock_is_set(missed: Any, steps: list[float], keys: dict[str, Any]) -> None:
    """The clock goes on, leaps, and is set back at random; what was run is known by its due time, as psv.db knows it."""
    now = mark = NOW
    made, done = Schedule(spec(**keys), "x", NOW), set[float]()
    for step in steps:
        now += step
        mark = min(mark, now)
        found = plan(made, missed, mark, now, done.__contains__)
        if found is None:
            continue
        runs = [due.at for due, _ in found.runs]
        assert not done & set(runs) and len(set(runs)) == len(runs)
        assert all(due.begin_at <= now and due.at > mark for due, _ in found.runs) and found.mark <= now
        assert Why.COMMAND not in {why for _, why in found.runs}
        done |= set(runs) | ({found.left_out.at} if found.left_out else set())
        mark = found.mark


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.1, LATE_S / 2), min_size=10, max_size=60))
def test_while_psv_looks_often_enough_every_time_is_run_as_scheduled(steps: list[float]) -> None:
    """With steps shorter than the interval nothing is missed, left out or late."""
    made, now, mark, runs = Schedule(spec(every_s=40.0), "x", NOW), NOW, NOW, list[float]()
    for step in steps:
        now += step
        found = plan(made, "skip", mark, now, lambda _: False)
        if found is not None:
            assert [why for _, why in found.runs] == [Why.SCHEDULE] and found.left_out is None
            runs += [due.at for due, _ in found.runs]
            mark = found.mark
    assert runs == [NOW + 40.0 * n for n in range(1, int((now - NOW) // 40.0) + 1)]


@pytest.mark.parametrize("said", ["Asia/Tokyo", ":Asia/Tokyo", "FILE", ":FILE"])
def test_the_machines_zone_is_what_tz_says(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name or by file, as the C library reads it: `TZ=:/etc/localtime` is what many service managers set."""
    found = next(Path(folder) / "Asia/Tokyo" for folder in (*zoneinfo.TZPATH, *_packaged()) if (Path(folder) / "Asia/Tokyo").exists())
    (tmp_path / "zone").write_bytes(found.read_bytes())
    monkeypatch.setenv("TZ", said.replace("FILE", str(tmp_path / "zone")))
    made = Schedule(spec(cron="0 9 * * *", tz=None), "x", 0.0)
    assert dues(made, local("Asia/Tokyo", 2026, 1, 5, 8), 1) == [local("Asia/Tokyo", 2026, 1, 5, 9)]


def _packaged() -> list[str]:
    """Return where the package tzdata keeps its zones, for machines without."""
    found = importlib.util.find_spec("tzdata")
    return [f"{folder}/zoneinfo" for folder in found.submodule_search_locations or []] if found is not None else []
