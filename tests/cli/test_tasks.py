"""Laws of the verbs on tasks: what psvd answers is what is printed."""

from __future__ import annotations

import json

from tests.cli.conftest import Psv
from tests.commands.fakefleet import FakeFleet

TASK_KEYS = ["name", "schedule", "state", "wanted", "next_run_at", "queued", "running", "last", "error"]
RUN_KEYS = "bot due_at why state generation started_at ended_at duration_s reason exit_code signal message tz".split()


def test_list_shows_tasks_only(psv: Psv, fleet: FakeFleet) -> None:
    """A line a task with its schedule, its next run and how the last one ended; as JSON the contract."""
    header, line = psv("task", "list").stdout.splitlines()
    assert header.split("  ")[0] == "NAME" and line.startswith("legacy  FAILED  0 4 * * * Europe/Berlin")
    assert line.endswith("2.0s  code 3")
    rows = json.loads(psv("task", "list", "--json").stdout)
    assert [list(row) for row in rows] == [TASK_KEYS]
    assert psv("task", "list", "alice").stdout == ""


def test_run_says_what_it_did(psv: Psv, fleet: FakeFleet) -> None:
    """One line a task; what is no task is refused with status 5, nothing named with status 2."""
    assert psv("task", "run", "legacy").stdout == "legacy STARTING: running\n"
    assert psv("task", "run", "legacy", "--wait").stdout == "legacy TERMINATED: run 7 is clean\n"
    done = psv("task", "run", "alice")
    assert (done.returncode, done.stdout) == (5, "") and "alice is no task" in done.stderr
    assert psv("task", "run").returncode == 2


def test_history_lists_runs(psv: Psv, fleet: FakeFleet) -> None:
    """Newest last, with why, how long and how; of what is no task refused."""
    header, line = psv("task", "history", "legacy").stdout.splitlines()
    assert header.split() == ["DUE", "TASK", "WHY", "STATE", "STARTED", "TOOK", "RESULT", "GEN"]
    assert "legacy  schedule  ended" in line and line.endswith("  code 3    1")
    assert list(json.loads(psv("task", "history", "legacy", "--json").stdout)[0]) == RUN_KEYS
    assert psv("task", "history", "alice").returncode == 5
    assert len(psv("task", "history").stdout.splitlines()) == 2


def test_times_are_by_the_clock_of_the_schedule(psv: Psv, fleet: FakeFleet) -> None:
    """With the name of the zone where the machine's clock shows another time, and without where it shows the same."""
    for machine, shown in (("UTC", "2023-11-14 23:15:00 CET"), ("Europe/Paris", "2023-11-14 23:15:00")):
        line = psv("task", "list", env={"TZ": machine}).stdout.splitlines()[1]
        assert f"Europe/Berlin  {shown}  2023-11-14 23:13:20{shown[19:]}  " in line
        run = psv("task", "history", env={"TZ": machine}).stdout.splitlines()[1]
        assert run.startswith(f"2023-11-14 23:13:20{shown[19:]}  legacy") and f"ended  2023-11-14 23:13:20{shown[19:]}  " in run
