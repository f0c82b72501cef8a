"""psvd dies around a run of a task: each due time is run exactly once, and its row says how it ended."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.fleet import CrashFleet
from tests.crash.ground import Case
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.crashing import VARIABLE
from processsupervisor.kernel.crashpoints import CrashPoint as P
from processsupervisor.kernel.errors import PsvError

POINTS = (
    P.PSVD_BEFORE_RUN_QUEUED, P.PSVD_RUN_QUEUED, P.PSVD_RUN_BEGUN, P.PSVD_BEFORE_RECORD, P.PSVD_AFTER_RECORD, P.PSVD_BEFORE_FIFOS,
    P.PSVD_REQUEST_SENT, P.PSVD_AFTER_SPEC, P.PSVD_BEFORE_FORK, P.PSVD_STATUS_TAKEN, P.PSVD_TREE_CLEARED, P.PSVD_BEFORE_EXIT,
    P.PSVD_EXIT_NOTED,
)  # fmt: skip
CASES = [*(Case(point, "due", "job") for point in POINTS), Case(P.PSVD_REQUEST_SENT, "due", "job", 1), Case(P.PSVD_AFTER_RECORD, "due", "job", 1),
         Case(P.PSVD_BEFORE_RECORD, "due", "job", 2)]  # fmt: skip


class TaskFleet(CrashFleet):
    """A fleet of one task that is due once, soon."""

    def __init__(self, folder: Path, points: Path) -> None:
        LiveFleet.__init__(self, folder)
        self.points, self.web = points, False

    def come_up_armed(self, case: Case) -> None:
        """Configure the task, start, and arm the point before the task is due; on a busy machine at a later try."""
        for due_in_s in (2.5, 10.0, 40.0):
            due = time.time() + due_in_s
            at = datetime.datetime.fromtimestamp(due, datetime.UTC).isoformat()
            self.configure(f'[bots.job]\ncommand = ["sh", "-c", "echo ran >> runs.txt; sleep 0.3"]\nschedule = {{ at = "{at}" }}')
            self.spawn_keeper()
            eventually(lambda: self.answers() and self.bot("job")["state"] == "TERMINATED", "the task waits")
            self.arm(case.point, case.passes)
            if time.time() < due:
                return
            self.stop()
            shutil.rmtree(self.folder)
            self.folder.mkdir()
        raise AssertionError("a fleet of one task needs more than 40 s to come up")

    def stop(self) -> None:
        """See LiveFleet; nobody dies at a point any more."""
        for armed in self.points.iterdir():
            armed.unlink()
        LiveFleet.stop(self)


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskFleet]:
    """A fleet of its own for each death."""
    for name in ("runtime", "fleet", "points"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "points"))
    fleet = TaskFleet(tmp_path / "fleet", tmp_path / "points")
    try:
        yield fleet
    finally:
        fleet.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_due_time_is_run_exactly_once(tasks: TaskFleet, case: Case) -> None:
    """Killed before the run is noted, before it is launched, in the middle of its birth, while it ends: once, clean, known."""
    tasks.come_up_armed(case)
    eventually(lambda: tasks.struck(case.point), f"something dies at {case.point}")

    def is_over() -> bool:
        try:
            rows = tasks.call("task.history", names=["job"])
            return bool(rows) and rows[0]["state"] == "ended" and tasks.bot("job")["state"] == "TERMINATED"
        except PsvError:
            return False

    eventually(is_over, "the run has ended")
    (row,) = tasks.call("task.history", names=["job"])
    assert (row["reason"], row["exit_code"], row["why"]) == ("clean", 0, "schedule")
    assert (tasks.folder / "runs.txt").read_text() == "ran\n"
    assert tasks.bot("job")["generation"] == row["generation"]
