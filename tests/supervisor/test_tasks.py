"""Tasks in a real fleet: they run when their time comes, once for each time, whatever happens to psvd."""

from __future__ import annotations

import datetime
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import AnswerLost, PsvError

NOTE = 'command = ["sh", "-c", "echo ran $$ >> runs.txt; echo said $$"]'


def at(*seconds: float) -> str:
    """Return the times so many seconds from now, as the value of `at`."""
    moments = [datetime.datetime.fromtimestamp(time.time() + s, datetime.UTC).isoformat() for s in seconds]
    return "[" + ", ".join(f'"{moment}"' for moment in moments) + "]"


def runs(fleet: LiveFleet) -> list[str]:
    """Return what the programs noted."""
    path = fleet.folder / "runs.txt"
    return path.read_text().splitlines() if path.exists() else []


def task(fleet: LiveFleet, name: str) -> dict[str, Any]:
    """Return the task object."""
    return dict(fleet.call("task.list", names=[name])[0])


def history(fleet: LiveFleet, name: str) -> list[dict[str, Any]]:
    """Return the runs of a task."""
    return list(fleet.call("task.history", names=[name]))


def ended(fleet: LiveFleet, name: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait until so many runs have ended, and return them."""

    def look() -> list[dict[str, Any]] | None:
        try:
            found = [run for run in history(fleet, name) if run["state"] == "ended"]
        except PsvError:
            return None
        return found if len(found) >= count else None

    return list(eventually(look, f"{count} runs of {name} ended"))


def test_a_task_runs_when_its_time_comes_and_rests_between(fleet: LiveFleet) -> None:
    """It waits in TERMINATED with its next run shown, runs as a generation of its own, and its output is that generation's."""
    fleet.configure(f"[bots.job]\n{NOTE}\nschedule = {{ at = {at(4, 4000)} }}")
    fleet.up()
    before = fleet.bot("job")
    assert (before["state"], before["generation"], before["pid"]) == ("TERMINATED", 0, None)
    assert 0 < before["next_run_at"] - time.time() < 4
    assert fleet.call("fleet.wait", timeout_s=1.0)["ready"] == ["job"]

    run = ended(fleet, "job")[0]

    assert (run["why"], run["reason"], run["exit_code"], run["generation"]) == ("schedule", "clean", 0, 1)
    assert run["due_at"] <= run["started_at"] <= run["due_at"] + 5 and run["duration_s"] is not None
    after = fleet.until("job", state="TERMINATED")
    assert after["next_run_at"] - time.time() > 3000 and len(runs(fleet)) == 1 and after["restarts"] == 0
    eventually(lambda: "said" in fleet.output("job"), "its output is in its log")


def test_a_run_that_fails_is_shown_and_not_repeated(fleet: LiveFleet) -> None:
    """FAILED with its code until the next run; no restart, no window filled."""
    fleet.configure('[bots.job]\ncommand = ["sh", "-c", "echo ran >> runs.txt; exit 3"]\nschedule = { every = "1h" }')
    fleet.up()
    answer = fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]
    assert (answer["ok"], answer["state"], answer["message"]) == (False, "FAILED", "exited with 3")
    bot = fleet.bot("job")
    assert (bot["state"], bot["reason"], bot["exit_code"], bot["restarts"]) == ("FAILED", "code", 3, 0)
    assert bot["next_run_at"] is not None and bot["next_start_in_s"] is None
    assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"] is False, "FAILED is no hindrance"
    assert fleet.call("bot.restart", names=["job"])[0]["ok"] and fleet.bot("job")["generation"] == 2, "a restart runs no task"
    assert len(runs(fleet)) == 2
    with closing(sqlite3.connect(fleet.paths.database)) as db, db:
        assert db.execute("SELECT sum(counted) FROM exits").fetchone() == (0,)


@pytest.mark.parametrize(("overlap", "gone_on"), [("skip", True), ("kill", False)])
def test_what_comes_while_a_run_goes_on_follows_overlap(fleet: LiveFleet, overlap: str, gone_on: bool) -> None:
    """skip refuses a run by command; kill ends the one that runs, in order, and takes its place."""
    fleet.configure(f'[bots.job]\ncommand = ["sleep", "1000"]\nschedule = {{ every = "1h", overlap = "{overlap}" }}')
    fleet.up()
    assert fleet.call("task.run", names=["job"])[0]["ok"]
    first = fleet.until("job", state="RUNNING", generation=1)["pid"]
    answer = fleet.call("task.run", names=["job"])[0]
    assert answer["ok"] is not gone_on
    if gone_on:
        assert answer["code"] == "refused" and fleet.bot("job")["pid"] == first
        return
    fleet.until("job", state="RUNNING", generation=2)
    ended_run = ended(fleet, "job")[0]
    assert (ended_run["generation"], ended_run["reason"]) == (1, "admin") and "its next run was due" in ended_run["message"]


def test_queued_runs_follow_one_another(fleet: LiveFleet) -> None:
    """Three calls at once: three runs, never two at a time."""
    fleet.configure('[bots.job]\ncommand = ["sh", "-c", "mkdir busy && sleep 0.2 && rmdir busy"]\nschedule = { every = "1h", overlap = "queue" }')
    fleet.up()
    for _ in range(3):
        assert fleet.call("task.run", names=["job"])[0]["ok"]
    assert [run["reason"] for run in ended(fleet, "job", 3)] == ["clean"] * 3


@pytest.mark.parametrize(("schedule", "words"), [('every = "1h"', "the next one begins when its time comes"), ('at = "2020-01-01"', "no other is to come")])
def test_a_restart_leaves_a_run_alone_and_says_so(fleet: LiveFleet, schedule: str, words: str) -> None:
    """Each run takes the code on disk by itself; the one that goes on is not cut off."""
    fleet.configure(f'[bots.job]\ncommand = ["sleep", "1000"]\nschedule = {{ {schedule} }}')
    fleet.up()
    fleet.call("task.run", names=["job"])
    pid = fleet.until("job", state="RUNNING")["pid"]
    for verb in ("restart", "start"):
        assert fleet.call(f"bot.{verb}", names=["job"])[0]["message"] == f"its run goes on; {words}"
    assert fleet.bot("job")["pid"] == pid


def test_a_run_that_takes_too_long_is_ended(fleet: LiveFleet) -> None:
    """Reason timeout, FAILED; a psvd that is replaced meanwhile does not begin the time anew."""
    fleet.configure('[bots.job]\ncommand = ["sleep", "1000"]\nschedule = { every = "1h", timeout = "2s" }')
    fleet.up()
    began = time.monotonic()
    fleet.call("task.run", names=["job"])
    fleet.until("job", state="RUNNING")
    fleet.kill_role("psvd")
    run = ended(fleet, "job")[0]
    assert run["reason"] == "timeout" and "timeout of 2 s" in run["message"]
    assert 2 <= time.monotonic() - began < 6
    assert fleet.until("job", state="FAILED")["reason"] == "timeout"


def test_a_stopped_task_is_not_scheduled_until_it_is_started(fleet: LiveFleet) -> None:
    """What would have been due meanwhile is nobody's concern; a start does not run it at once, a command does."""
    fleet.configure(f"[bots.job]\n{NOTE}\nschedule = {{ at = {at(3, 4000)}, missed = 'all' }}")
    fleet.up()
    assert fleet.call("bot.stop", names=["job"])[0]["ok"]
    assert fleet.bot("job")["next_run_at"] is None
    fleet.kill_role("psvd")
    eventually(fleet.answers, "the next psvd")
    assert (fleet.bot("job")["wanted"], fleet.bot("job")["next_run_at"]) == ("down", None)
    its_time = time.time() + 3
    eventually(lambda: time.time() > its_time, "its time goes by")
    assert fleet.call("bot.start", names=["job"])[0]["ok"]
    bot = fleet.bot("job")
    assert bot["state"] == "TERMINATED" and bot["next_run_at"] - time.time() > 3000
    assert runs(fleet) == []
    assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"] and len(runs(fleet)) == 1


@pytest.mark.parametrize(("missed", "expected"), [("skip", 0), ("once", 1), ("all", 3)])
def test_missed_times_follow_the_policy(fleet: LiveFleet, missed: str, expected: int) -> None:
    """The fleet was down while three times came and went by more than what counts as in time."""
    fleet.configure(f"[bots.job]\n{NOTE}\nschedule = {{ at = {at(-400, -300, -200, 4000)}, missed = '{missed}' }}")
    fleet.up()
    assert history(fleet, "job") == [], "what was past when the task was first seen is not missed"
    fleet.down()
    with closing(sqlite3.connect(fleet.paths.database)) as db, db:  # as if the fleet had been up last a quarter of an hour ago
        db.execute("UPDATE tasks SET mark = mark - 900")
    fleet.up()
    if expected:
        assert [run["why"] for run in ended(fleet, "job", expected)] == ["missed"] * expected
    fleet.until("job", state="TERMINATED")
    eventually(lambda: not task(fleet, "job")["queued"] and task(fleet, "job")["running"] is None, "nothing waits")
    assert len(runs(fleet)) == expected
    skipped = [run for run in history(fleet, "job") if run["state"] == "skipped"]
    assert bool(skipped) is (missed != "all")


def test_psvd_is_killed_while_a_task_runs(fleet: LiveFleet) -> None:
    """The run goes on with its pid, ends once, and its end is known whether psvd sees it or not."""
    fleet.configure(f'[bots.job]\ncommand = ["sh", "-c", "echo ran >> runs.txt; while [ ! -e go ]; do sleep 0.05; done; exit 4"]\nschedule = {{ at = {at(2, 4000)} }}')
    fleet.up()
    pid = fleet.until("job", state="RUNNING")["pid"]
    fleet.kill_role("psvd")
    assert fleet.until("job", state="RUNNING")["pid"] == pid
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    fleet.write("go", "")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the run ends unseen")
    os.kill(psvd, signal.SIGKILL)
    run = ended(fleet, "job")[0]
    assert (run["exit_code"], run["generation"]) == (4, 1)
    fleet.until("job", state="FAILED", generation=1)
    assert runs(fleet) == ["ran"] and len(history(fleet, "job")) == 1


def test_a_run_of_another_boot_is_not_begun_again(fleet: LiveFleet) -> None:
    """What was open when the machine went down is noted as such: it may have done its work."""
    fleet.configure(f"[bots.job]\n{NOTE}\nschedule = {{ at = {at(-9, 4000)} }}")
    fleet.up()
    fleet.down()
    with closing(sqlite3.connect(fleet.paths.database)) as db, db:
        db.execute("INSERT INTO runs (bot, due_at, why, state, boot_id, generation, started_at, message) VALUES ('job', 5.0, 'schedule', 'running', 'other', 9, 5.0, '')")
    fleet.up()
    run = ended(fleet, "job")[0]
    assert (run["reason"], run["exit_code"]) == ("unknown-while-unsupervised", None)
    assert runs(fleet) == [] and fleet.bot("job")["state"] == "TERMINATED"


def test_no_more_results_than_asked_for_are_kept(fleet: LiveFleet) -> None:
    """`keep` bounds what is stored of a task."""
    fleet.configure(f'[bots.job]\n{NOTE}\nschedule = {{ every = "1h", keep = 2 }}')
    fleet.up()
    for _ in range(4):
        assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"]
    assert [run["generation"] for run in history(fleet, "job")] == [3, 4]


def test_what_is_no_task_is_said_so(fleet: LiveFleet) -> None:
    """A bot that lives on is neither listed nor run as a task, and its object has no next run."""
    fleet.configure('[bots.plain]\ncommand = ["sleep", "1000"]')
    fleet.up()
    assert fleet.call("task.list") == [] and fleet.bot("plain")["next_run_at"] is None
    assert fleet.call("task.run", names=["plain"])[0]["code"] == "refused"
    with pytest.raises(PsvError, match="plain is no task"):
        fleet.call("task.history", names=["plain"])


def test_a_schedule_that_cannot_be_used_any_more_costs_nobody_else(fleet: LiveFleet) -> None:
    """Its time zone went from the machine after check had accepted it: that task alone is FAILED config."""
    fleet.configure(f'[bots.job]\n{NOTE}\nschedule = {{ cron = "@daily", tz = "UTC" }}\n[bots.plain]\ncommand = ["sleep", "1000"]')
    applied = json.loads(fleet.paths.applied.read_text())
    applied["bots"][0]["schedule"]["tz"] = "Atlantis/Lost"
    fleet.paths.applied.write_text(json.dumps(applied))
    fleet.up()
    assert fleet.until("plain", state="RUNNING")["reason"] is None
    assert fleet.until("job", state="FAILED")["reason"] == "config"
    assert "its schedule cannot be used" in fleet.detail("job")["last_exit"]["message"]


def test_a_run_by_command_needs_no_schedule_and_outlives_psvd(fleet: LiveFleet) -> None:
    """A task that nobody wants scheduled runs when somebody says so, and the next psvd lets it run; a stop ends it."""
    fleet.configure('[bots.job]\ncommand = ["sleep", "1000"]\nautostart = false\nschedule = { every = "1s" }')
    fleet.up()
    assert fleet.call("task.run", names=["job"])[0]["ok"]
    pid = fleet.until("job", state="RUNNING", generation=1)["pid"]
    fleet.kill_role("psvd")
    bot = fleet.until("job", state="RUNNING")
    assert (bot["pid"], bot["wanted"], bot["next_run_at"]) == (pid, "down", None)
    assert fleet.call("bot.stop", names=["job"])[0]["state"] == "STOPPED"
    (run,) = history(fleet, "job")
    assert (run["why"], run["state"], run["reason"]) == ("command", "ended", "admin")


def test_a_run_that_cannot_be_launched_is_a_result_and_the_next_one_may_be(fleet: LiveFleet) -> None:
    """Its program is missing, then it is there."""
    fleet.configure('[bots.job]\ncommand = ["./later.sh"]\nschedule = { every = "1h" }')
    fleet.up()
    assert fleet.bot("job")["state"] == "FAILED"
    assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"] is False
    fleet.write("later.sh", "#!/bin/sh\necho there\n").chmod(0o755)
    assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"]
    assert [(run["reason"], run["state"]) for run in history(fleet, "job")] == [("config", "ended"), ("clean", "ended")]


def test_a_run_that_is_held_back_begins_when_nothing_holds_it_and_has_no_result_before(fleet: LiveFleet) -> None:
    """Its login budget is used up: the run stays open, over a kill of psvd, and begins by itself; it is not noted with the end of the last one."""
    fleet.configure(f'[bots.job]\n{NOTE}\nautostart = false\nschedule = {{ every = "1h" }}\nlogin_budget = {{ count = 1, within = "6s" }}')
    fleet.up()
    assert fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"]
    assert fleet.call("task.run", names=["job"])[0]["state"] == "FAILED"
    assert fleet.until("job", state="FAILED")["reason"] == "budget"
    assert [run["state"] for run in history(fleet, "job")] == ["ended", "running"]
    fleet.kill_role("psvd")
    assert [run["generation"] for run in ended(fleet, "job", 2)] == [1, 2]
    assert len(runs(fleet)) == 2


def test_a_run_by_command_waits_for_what_it_depends_on_and_a_stop_ends_the_wait(fleet: LiveFleet) -> None:
    """Nobody wants the task scheduled; the run begins when the other bot is there, and is over, with the reason, when it is stopped before."""
    fleet.configure(f"""
        [bots.db]
        command = ["sh", "-c", "until test -e go; do sleep 0.05; done; echo ready; exec sleep 1000"]
        ready = {{ log = "^ready" }}
        autostart = false
        [bots.job]
        {NOTE}
        autostart = false
        schedule = {{ every = "1h" }}
        depends_on = ["db"]
    """)
    fleet.up()
    fleet.call("task.run", names=["job"])
    assert fleet.until("job", state="FAILED")["reason"] == "dependency"
    assert fleet.call("bot.stop", names=["job"])[0]["ok"]
    (stopped,) = ended(fleet, "job")
    assert (stopped["reason"], stopped["message"]) == ("admin", "stopped before it began")
    fleet.call("bot.start", names=["db"], wait=False)
    fleet.call("task.run", names=["job"])
    assert fleet.until("job", state="INITIALIZING")["reason"] == "dependency"
    fleet.write("go", "")
    assert ended(fleet, "job", 2)[1]["reason"] == "clean" and len(runs(fleet)) == 1


def test_who_waits_for_a_run_learns_its_end_though_psvd_is_killed(fleet: LiveFleet) -> None:
    """`psv task run --wait` goes on with the next psvd, says how the run ended, and nothing runs twice."""
    fleet.configure('[bots.job]\ncommand = ["sh", "-c", "echo ran >> runs.txt; while [ ! -e go ]; do sleep 0.05; done; exit 4"]\nschedule = { every = "1h" }')
    fleet.up()
    argv = [sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), "task", "run", "job", "--wait"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        fleet.until("job", state="RUNNING")
        fleet.kill_role("psvd")
        assert waiting.stderr is not None and "waiting for the next one" in waiting.stderr.readline()
        fleet.write("go", "")
        _, said = waiting.communicate(timeout=30)
    assert (waiting.returncode, said) == (1, "psv: job: exited with 4 (FAILED)\n")
    assert runs(fleet) == ["ran"] and len(history(fleet, "job")) == 1


def test_an_answer_that_is_lost_is_not_the_absence_of_a_supervisor(fleet: LiveFleet) -> None:
    """It may have been done, so nobody is told to do it again."""
    fleet.configure('[bots.x]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]\nstop = { timeout = "20s" }')
    fleet.up()
    with ControlClient(fleet.paths, timeout_s=30.0) as client:
        answers = client.stream("bot.restart", {"names": ["x"]})
        waiting = threading.Timer(0.0, lambda: (fleet.until("x", state="RESTARTING"), fleet.kill_role("psvd")))
        waiting.start()
        with pytest.raises(AnswerLost) as caught:
            next(answers)
    waiting.join()
    assert caught.value.exit_status == 1 and "may have been done" in caught.value.hint


def test_a_task_with_a_mistake_in_its_schedule_is_a_task_all_the_same(fleet: LiveFleet) -> None:
    """It is listed with what is wrong, its results stay to be seen, and it runs when it is corrected; the mark of before is kept."""
    toml = f'[bots.job]\n{NOTE}\nschedule = {{ cron = "0 5 * * *" }}'
    fleet.configure(toml)
    fleet.up()
    fleet.call("task.run", names=["job"], wait=True, timeout_s=20.0)
    fleet.down()
    fleet.configure(toml.replace("0 5", "0 25"))
    fleet.up()
    found = task(fleet, "job")
    assert (found["state"], found["next_run_at"], found["last"]["reason"]) == ("FAILED", None, "clean") and "0 25" in found["error"]
    assert [run["generation"] for run in history(fleet, "job")] == [1]
    assert "cannot be started" in fleet.call("task.run", names=["job"])[0]["message"]
    fleet.down()
    fleet.configure(toml)
    fleet.up()
    assert task(fleet, "job")["error"] is None and task(fleet, "job")["next_run_at"]


def test_a_time_zone_that_does_not_exist_is_noted(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """psvd itself says that its tasks go by UTC."""
    monkeypatch.setenv("TZ", "Nowhere/City")
    fleet.configure(f'[bots.job]\n{NOTE}\nschedule = {{ cron = "0 5 * * *" }}')
    fleet.up()
    (note,) = [note["message"] for note in fleet.call("fleet.status")["notes"] if note["subject"] == "time zone"]
    assert "Nowhere/City" in note and "UTC" in note
