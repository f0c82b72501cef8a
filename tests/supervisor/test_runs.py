"""supervisor.runs and task on a real psv.db: noted together or not at all, each due time once, bounded, and a clock that is set back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.supervisor.test_schedule import spec

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import Wanted
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.due import Why
from processsupervisor.supervisor.runs import Mark, Runs, RunState
from processsupervisor.supervisor.store import Store
from processsupervisor.supervisor.task import Task

MARK = Mark("s", 0.0, 50.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty psv.db."""
    made = Store(tmp_path / "psv.db")
    yield made
    made.close()


def end(runs: Runs, bot: str, at: float) -> None:
    """End every open run of a bot."""
    for run in runs.open(bot):
        assert runs.begin(run, 1)
        runs.end(run, ExitRecord(Reason.CLEAN, 0, None, at, 1))


def test_runs_and_mark_are_noted_together_and_at_once(store: Store, tmp_path: Path) -> None:
    """Another connection sees both before anything else is flushed: that is what a killed psvd leaves."""
    assert Runs(store).queue("a", [(10.0, Why.MISSED), (20.0, Why.SCHEDULE)], (5.0, "left out"), MARK)
    with closing(sqlite3.connect(tmp_path / "psv.db")) as db:
        assert db.execute("SELECT due_at, why, state FROM runs ORDER BY id").fetchall() == [
            (10.0, "missed", "queued"), (20.0, "schedule", "queued"), (5.0, "missed", "skipped"),
        ]  # fmt: skip
        assert db.execute("SELECT bot, anchor, mark FROM tasks").fetchall() == [("a", 0.0, 50.0)]
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_due_time_is_noted_once_and_a_refusal_notes_nothing(store: Store) -> None:
    """The index is the law: neither the second run nor the mark beside it is there. Commands have no due time."""
    runs = Runs(store)
    assert runs.queue("a", [(10.0, Why.SCHEDULE)], None, MARK)
    assert not runs.queue("a", [(30.0, Why.SCHEDULE), (10.0, Why.MISSED)], None, Mark("s", 0.0, 99.0))
    assert [run.due_at for run in runs.open("a")] == [10.0] and runs.mark("a") == MARK
    assert runs.queue("b", [(10.0, Why.SCHEDULE)], None, MARK) and runs.call("a") and runs.call("a")
    assert runs.is_known("a", 10.0) and not runs.is_known("a", 30.0)


def test_without_a_disk_nothing_is_noted_and_so_nothing_is_run(tmp_path: Path) -> None:
    """A psv.db that cannot be used: every step that must be durable says so."""
    (tmp_path / "psv.db").write_bytes(b"this is no database, and stays what it is" * 50)
    store = Store(tmp_path / "psv.db")
    runs = Runs(store)
    assert not runs.queue("a", [(10.0, Why.SCHEDULE)], None, MARK) and not runs.call("a")
    assert runs.open("a") == []
    store.close()


def test_results_are_bounded_and_what_is_open_or_to_come_stays(store: Store) -> None:
    """The newest `keep` closed ones; open ones, and those of a future that a clock once showed, are not counted."""
    runs, now = Runs(store), time.time()
    for number in range(5):
        assert runs.queue("a", [(float(number), Why.SCHEDULE)], None, MARK)
        end(runs, "a", now)
    assert runs.queue("a", [(now + 900, Why.SCHEDULE)], None, MARK)
    end(runs, "a", now)
    assert runs.queue("a", [(7.0, Why.SCHEDULE)], None, MARK)
    runs.prune("a", 2)
    assert [(run.due_at < now, run.state) for run in runs.newest("a", 9)] == [
        (True, RunState.ENDED), (True, RunState.ENDED), (False, RunState.ENDED), (True, RunState.QUEUED),
    ]  # fmt: skip
    assert [run.due_at for run in runs.newest("a", 9)][:2] == [3.0, 4.0]


def _task(runs: Runs, **keys: Any) -> Task:
    return Task(cast(Any, SimpleNamespace(name="a", wanted=Wanted.UP, process=None)), spec(every_s=60.0, **keys), runs)


def test_a_clock_set_back_repeats_nothing_and_waits_for_nothing_for_ever(store: Store) -> None:
    """Back to now as far as results are kept, to the oldest of them when some were dropped, and to now when the clock was altogether wrong."""
    runs = Runs(store)
    task = _task(runs, keep=3)
    now = task.mark.at
    task.mark = task.move(now + 3600)
    task.set_back(now + 60, runs)
    assert task.mark.at == now + 60, "few results: all are there, each is known by its due time"
    for number in range(30, 33):
        assert runs.queue("a", [(now + 60 * number, Why.SCHEDULE)], None, task.move(now + 60 * number))
    task.mark = task.move(now + 3600)
    task.set_back(now + 60, runs)
    assert task.mark.at == now + 60 * 30, "what came before may have been run and dropped"
    task.mark = task.move(now + 1e8)
    task.set_back(now + 60, runs)
    assert task.mark.at == now + 60 and task.next is not None and task.next.at == now + 120


def test_a_schedule_that_was_changed_begins_anew_and_one_that_was_not_goes_on(store: Store) -> None:
    """Its mark and its anchor are those of the last psvd; another interval is counted from now, and so misses nothing."""
    runs = Runs(store)
    assert runs.queue("a", [], None, Mark(_task(runs).move(0.0).schedule, 100.0, 5000.0))
    kept = _task(runs, missed="all", keep=1)
    assert (kept.mark.anchor, kept.mark.at) == (100.0, 5000.0) and kept.next is not None and kept.next.at == 5020.0
    changed = _task(runs, tz="UTC")
    assert changed.mark.at == pytest.approx(time.time(), abs=5)


def test_a_task_that_was_taken_out_of_the_fleet_and_put_in_again_is_new(store: Store) -> None:
    """What was due meanwhile was not missed, and what waited is left out; the others keep their time."""
    runs = Runs(store)
    assert runs.queue("a", [(10.0, Why.SCHEDULE)], None, MARK) and runs.queue("b", [(10.0, Why.SCHEDULE)], None, MARK)
    runs.forget_others({"b": None})
    assert (runs.mark("a"), runs.mark("b")) == (None, MARK)
    assert [(bot, run.state, run.message) for bot in "ab" for run in runs.newest(bot, 9)] == [
        ("a", "skipped", "the task was taken out of the fleet"), ("b", "queued", ""),
    ]  # fmt: skip
    assert _task(runs).mark.at == pytest.approx(time.time(), abs=5)


def test_a_run_whose_process_was_born_after_all_is_running_again(store: Store) -> None:
    """Noted as failed to start, then found alive: the same run goes on, and ends a second time with what really happened."""
    runs = Runs(store)
    assert runs.queue("a", [(10.0, Why.SCHEDULE)], None, MARK)
    run = runs.open("a")[0]
    assert runs.begin(run, 4)
    runs.end(run, ExitRecord(Reason.START_FAILED, None, None, 20.0, 4, message="no answer"))
    assert runs.reopen("a", 3) is None
    found = runs.reopen("a", 4)
    assert found is not None and [open_run.id for open_run in runs.open("a")] == [found.id]
    runs.end(found, ExitRecord(Reason.CLEAN, 0, None, 30.0, 4))
    assert [(r.reason, r.exit_code, r.message) for r in runs.newest("a", 9)] == [("clean", 0, "")]
