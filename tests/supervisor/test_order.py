"""depends_on with real processes: who waits, says for whom, is started by itself, can be commanded meanwhile, and is stopped in reverse."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError

_STAMP = """
import os, signal, sys, time
from pathlib import Path
here = Path(__file__).parent
def note(word):
    with open(here / "notes", "a") as file:
        file.write(f"{os.environ['PSV_BOT']} {word} {time.monotonic():.6f}\\n")
note("began")
gate = here / f"{os.environ['PSV_BOT']}.gate"
while gate.exists():
    time.sleep(0.01)
linger = float(os.environ.get("LINGER", "0"))
def stop(*_):
    note("asked")
    time.sleep(linger)
    note("ended")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
code = os.environ.get("CODE")
if code is not None:
    note("ended")
    os._exit(int(code))
note("ready")
print("ready", flush=True)
while True:
    time.sleep(1)
"""
_PROGRAM = 'command = ["python", "stamp.py"]\nready = { log = "^ready" }\n'


@pytest.fixture
def stamps(fleet: LiveFleet) -> LiveFleet:
    """A fleet whose programs note when they began, were ready, were asked to stop and ended; NAME.gate keeps one from being ready."""
    fleet.write("stamp.py", _STAMP)
    return fleet


def notes(fleet: LiveFleet) -> list[tuple[str, str]]:
    path = fleet.folder / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def events(fleet: LiveFleet) -> list[dict[str, Any]]:
    """Return all events of the fleet so far."""
    with ControlClient(fleet.paths, timeout_s=30) as client:
        return list(client.stream("fleet.events", {}))


def _close(fleet: LiveFleet, bot: str) -> None:
    (fleet.folder / f"{bot}.gate").touch()


def _open(fleet: LiveFleet, bot: str) -> None:
    (fleet.folder / f"{bot}.gate").unlink()


def _results(found: Any) -> dict[str, Any]:
    return {row["name"]: row for row in found}


def test_a_bot_is_started_when_those_it_needs_are_ready(stamps: LiveFleet) -> None:
    """It waits as INITIALIZING, names whom it waits for, needs no command, and comes although psvd was killed meanwhile."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\ndepends_on = ["db"]\n[bots.web]\ndepends_on = ["app"]\n[bots.db]\n')
    _close(stamps, "db")
    stamps.up(wait=False)
    stamps.until("app", state="INITIALIZING", reason="dependency")
    stamps.until("db", state="STARTING")
    assert stamps.detail("app")["waits_for"] == "waits for db to be ready"
    assert "waits for app to be ready" in stamps.detail("web")["what_to_do"]
    stamps.kill_role("psvd")
    stamps.until("app", state="INITIALIZING", reason="dependency")
    _open(stamps, "db")
    for name in ("db", "app", "web"):
        stamps.until(name, state="RUNNING", reason=None)
    assert [pair for pair in notes(stamps) if pair[1] in ("began", "ready")] == [
        (name, word) for name in ("db", "app", "web") for word in ("began", "ready")
    ]
    # a restart of all goes the same way, and a crash of the dependency leaves its dependents alone
    (stamps.folder / "notes").unlink()
    assert all(r["ok"] for r in stamps.call("bot.restart", names=["*"]))
    assert [name for name, word in notes(stamps) if word == "ready"] == ["db", "app", "web"]
    os.kill(stamps.bot("db")["pid"], signal.SIGKILL)
    stamps.until("db", state="RUNNING", restarts=1)
    assert stamps.bot("app")["generation"] == stamps.bot("web")["generation"] == 2


def test_who_waits_can_be_stopped_and_started_without_waiting(stamps: LiveFleet) -> None:
    """A dependency that has failed keeps it FAILED `dependency`, which settles the fleet; commands work, and it comes by itself in the end."""
    stamps.configure(
        f'[global]\n{_PROGRAM}[bots.db]\nenv = {{ CODE = "78" }}\n'
        '[bots.a]\ndepends_on = ["db"]\n[bots.b]\ndepends_on = [{ bot = "db", until = "started" }]\n[bots.c]\ndepends_on = ["a"]\n'
    )
    stamps.up()
    failed = stamps.until("a", state="FAILED", reason="dependency")
    assert failed["wanted"] == "up" and "db, which is FAILED (config)" in stamps.detail("a")["what_to_do"]
    stamps.until("c", state="FAILED", reason="dependency")
    stopped = _results(stamps.call("bot.stop", names=["b"]))["b"]
    assert stopped["ok"] and stopped["state"] == "STOPPED"
    forced = _results(stamps.call("bot.start", names=["a"], no_deps=True))["a"]
    assert forced["ok"] and forced["state"] == "RUNNING"
    stamps.until("c", state="RUNNING")  # it waited for a, and a is there
    assert stamps.bot("b")["state"] == "STOPPED", "what was stopped stays stopped"


def test_a_command_on_a_bot_whose_dependency_is_stopped_says_what_to_do(stamps: LiveFleet) -> None:
    """Waiting for what a person has stopped would be waiting for that person; both in one command work in either order."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\ndepends_on = ["db"]\n[bots.db]\n')
    stamps.up()
    stamps.call("bot.stop", names=["db", "app"])
    refused = _results(stamps.call("bot.start", names=["app"]))["app"]
    assert (refused["ok"], refused["code"], refused["state"]) == (False, "refused", "STOPPED")
    assert "db, which is stopped" in refused["message"]
    assert stamps.bot("app")["wanted"] == "down", "a refused command changes nothing"
    assert all(r["ok"] for r in stamps.call("bot.start", names=["app", "db"]))
    assert [word for name, word in notes(stamps) if name == "app"].count("began") == 2
    stamps.call("bot.stop", names=["db"])
    assert stamps.bot("app")["state"] == "RUNNING", "who is stopped alone is stopped alone"
    again = _results(stamps.call("bot.restart", names=["app"]))["app"]
    assert again["ok"] and stamps.bot("app")["generation"] == 3, "who ran without it goes on without it"


def test_who_crashes_while_its_dependency_rests_comes_back_without_it(stamps: LiveFleet) -> None:
    """Stopped, failed, psvd killed while it waits: none of it takes a bot down that went on; one that is on its way is waited for."""
    stamps.write("db.env", "")
    stamps.configure(
        f'[global]\n{_PROGRAM}[bots.app]\ndepends_on = ["db"]\nrestart = {{ initial = "0s", base = "0.1s", max = "0.1s" }}\n[bots.db]\nenv_file = "db.env"\n'
    )
    stamps.up()
    stamps.call("bot.stop", names=["db"])
    os.kill(stamps.bot("app")["pid"], signal.SIGKILL)
    found = stamps.until("app", state="RUNNING", generation=2)
    stamps.write("db.env", "CODE=77\n")
    stamps.call("bot.start", names=["db"])
    stamps.until("db", state="FAILED", reason="auth")
    os.kill(found["pid"], signal.SIGKILL)
    found = stamps.until("app", state="RUNNING", generation=3)
    stamps.write("db.env", "")
    _close(stamps, "db")
    stamps.call("bot.restart", names=["db"], wait=False)
    os.kill(found["pid"], signal.SIGKILL)
    stamps.until("app", state="RECOVERING", reason="dependency")
    assert stamps.detail("app")["waits_for"] == "waits for db to be ready"
    stamps.kill_role("psvd")
    stamps.until("app", state="INITIALIZING", reason="dependency")
    stamps.call("bot.stop", names=["db"])
    stamps.until("app", state="RUNNING", generation=4)


def test_a_restart_by_command_asks_for_nobody_who_is_stopped(stamps: LiveFleet) -> None:
    """Whether the bot runs or has failed; a start does ask."""
    stamps.write("app.env", "")
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\ndepends_on = ["db"]\nenv_file = "app.env"\n[bots.db]\n')
    stamps.up()
    stamps.call("bot.stop", names=["db"])
    stamps.write("app.env", "CODE=77\n")
    os.kill(stamps.bot("app")["pid"], signal.SIGKILL)
    stamps.until("app", state="FAILED", reason="auth")
    stamps.write("app.env", "")
    assert _results(stamps.call("bot.start", names=["app"]))["app"]["code"] == "refused"
    again = _results(stamps.call("bot.restart", names=["app"]))["app"]
    assert again["ok"] and again["state"] == "RUNNING"
    rows = [row for row in stamps.call("bot.history", names=["app"]) if row.get("reason") == "anew"]
    assert len(rows) == 1 and rows[0]["by"], "who asked for it is known"


def test_a_job_that_has_completed_opens_the_way(stamps: LiveFleet) -> None:
    """`completed` is met by an end for good with code 0 only."""
    stamps.configure(
        f'[global]\n{_PROGRAM}[bots.app]\ndepends_on = [{{ bot = "migrate", until = "completed" }}]\n'
        '[bots.migrate]\nenv = { CODE = "0" }\nrestart = { policy = "on-failure" }\n'
    )
    _close(stamps, "migrate")
    stamps.up(wait=False)
    stamps.until("migrate", state="STARTING")
    assert stamps.detail("app")["waits_for"] == "waits for migrate to complete"
    _open(stamps, "migrate")
    stamps.until("app", state="RUNNING")
    found = stamps.call("fleet.wait", timeout_s=10.0)
    assert (found["ready"], found["not_ready"]) == (["app"], []), "a job that is done does not fail the fleet"
    assert notes(stamps)[:3] == [("migrate", "began"), ("migrate", "ended"), ("app", "began")]


def test_who_waits_for_a_task_is_told_so_and_started_after_a_run(stamps: LiveFleet) -> None:
    """Before its first run a task has not failed: it only was not run yet."""
    stamps.configure(f'[bots.app]\n{_PROGRAM}depends_on = [{{ bot = "job", until = "completed" }}]\n[bots.job]\ncommand = ["true"]\nschedule = {{ every = "1h" }}\n')
    stamps.up()
    stamps.until("app", state="FAILED", reason="dependency")
    assert stamps.detail("app")["waits_for"] == "waits for job, a task that has not run yet"
    assert stamps.call("task.run", names=["job"], wait=True, timeout_s=20.0)[0]["ok"]
    stamps.until("app", state="RUNNING")


def test_the_fleet_is_stopped_in_reverse(stamps: LiveFleet) -> None:
    """Each is asked when those that need it have ended; who needs nobody and is needed by nobody is asked at once."""
    stamps.configure(
        f'[global]\n{_PROGRAM}[bots.db]\n[bots.app]\ndepends_on = ["db"]\nenv = {{ LINGER = "0.3" }}\n'
        '[bots.web]\ndepends_on = ["app", "db"]\nenv = { LINGER = "0.3" }\n[bots.other]\n'
    )
    stamps.up()
    began = len(notes(stamps))
    stamps.down()
    ways = [pair for pair in notes(stamps)[began:] if pair[0] != "other"]
    assert ways == [(name, word) for name in ("web", "app", "db") for word in ("asked", "ended")]
    assert notes(stamps)[began][0] in ("web", "other") and notes(stamps)[began + 1][0] in ("web", "other")


def test_a_stop_of_several_goes_in_reverse_too_and_a_hung_one_costs_its_own_time(stamps: LiveFleet) -> None:
    """The dependent that does not end is killed after its own timeout; then the dependency is asked, and has all its time."""
    stamps.configure(
        f'[global]\n{_PROGRAM}[bots.db]\nenv = {{ LINGER = "0.5" }}\n'
        '[bots.app]\ndepends_on = ["db"]\nenv = { LINGER = "60" }\nstop = { timeout = "300ms" }\n'
    )
    stamps.up()
    began = len(notes(stamps))
    assert all(r["ok"] for r in stamps.call("bot.stop", names=["*"]))
    assert notes(stamps)[began:] == [("app", "asked"), ("db", "asked"), ("db", "ended")]


def test_a_newer_command_wins_over_a_stop_that_waits(stamps: LiveFleet) -> None:
    """db is to be stopped when app is gone; told to stay before that, it stays, with the same process."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.db]\n[bots.app]\ndepends_on = ["db"]\nenv = {{ LINGER = "1" }}\n')
    stamps.up()
    pid = stamps.bot("db")["pid"]
    stamps.call("bot.stop", names=["*"], wait=False)
    stamps.until("app", state="STOPPING")
    stamps.call("bot.start", names=["db"])
    stamps.until("app", state="STOPPED")
    assert stamps.bot("db")["pid"] == pid and stamps.bot("db")["state"] == "RUNNING"


def test_who_hangs_on_the_way_down_leaves_its_dependency_a_share(stamps: LiveFleet) -> None:
    """With half of the time gone db is asked, although app is still there; the end comes within the time given."""
    stamps.configure(
        f'[global]\n{_PROGRAM}stop = {{ timeout = "60s" }}\n[bots.db]\n[bots.app]\ndepends_on = ["db"]\nenv = {{ LINGER = "60" }}\n'
    )
    stamps.up()
    began = time.monotonic()
    stamps.call("fleet.down", timeout_s=4.0)
    assert 2.0 <= time.monotonic() - began < 12.0
    assert notes(stamps)[-3:] == [("app", "asked"), ("db", "asked"), ("db", "ended")]


def test_a_follower_is_restarted_once_after_each_end_of_its_companion(stamps: LiveFleet) -> None:
    """By crash and by command, when the companion is ready again, also if psvd is killed in between; it counts as no crash."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\nrestart_with = ["db"]\n[bots.db]\n[bots.other]\n')
    stamps.up()
    assert stamps.bot("app")["generation"] == 1, "the first start of a fleet restarts nobody"
    os.kill(stamps.bot("db")["pid"], signal.SIGKILL)
    stamps.until("app", state="RUNNING", generation=2)
    stamps.call("bot.restart", names=["db"])
    stamps.until("app", state="RUNNING", generation=3)
    _close(stamps, "db")
    os.kill(stamps.bot("db")["pid"], signal.SIGKILL)
    stamps.until("db", state="STARTING", generation=4)
    stamps.kill_role("psvd")
    _open(stamps, "db")
    found = stamps.until("app", state="RUNNING", generation=4)
    assert found["restarts"] == 0 and stamps.bot("other")["generation"] == 1
    ready = [name for name, word in notes(stamps) if word == "ready" and name != "other"]
    assert ready[-2:] == ["db", "app"]


def test_a_restart_with_a_companion_names_it_and_nobody_else(stamps: LiveFleet) -> None:
    """The event, the transition and the exit say why; who commanded the companion did not command the follower."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\nrestart_with = ["db"]\n[bots.db]\n')
    stamps.up()
    stamps.call("bot.stop", names=["db"])
    stamps.call("bot.start", names=["db"])
    stamps.until("app", state="RUNNING", generation=2)
    rows = [row for row in stamps.call("bot.history", names=["app"]) if row["kind"] != "uptime" and row["generation"] == 1][-3:]
    assert [(r["kind"], r["to"], r["reason"]) for r in rows[:2]] == [("transition", "RESTARTING", "dependency"), ("exit", None, "dependency")]
    assert not any(row["by"] for row in rows) and "restarted with db" in rows[1]["message"]
    told = [event for event in events(stamps) if event["kind"] == "restart"]
    assert [(e["bot"], e["by"]) for e in told] == [("app", "policy")] and "with db" in told[0]["message"]


def test_who_was_started_while_its_companion_was_away_is_restarted_too(stamps: LiveFleet) -> None:
    """It lacks the companion as well as one that lived through the end; a fleet that comes up again restarts nobody."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\nrestart_with = ["db"]\n[bots.db]\n')
    stamps.up()
    stamps.call("bot.stop", names=["db"])
    stamps.call("bot.restart", names=["app"])
    stamps.call("bot.start", names=["db"])
    stamps.until("app", state="RUNNING", generation=3)
    stamps.down()
    _close(stamps, "db")
    stamps.up(wait=False)
    stamps.until("app", state="RUNNING", generation=4)
    _open(stamps, "db")
    stamps.until("db", state="RUNNING")
    assert stamps.bot("app")["state"] == "RUNNING" and stamps.bot("app")["generation"] == 4


def test_a_restart_with_a_companion_that_the_budget_forbids_is_told(stamps: LiveFleet) -> None:
    """It stays as it is, and psv status says so."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.app]\nrestart_with = ["db"]\nlogin_budget = {{ count = 1, within = "1h" }}\n[bots.db]\n')
    stamps.up()
    stamps.call("bot.restart", names=["db"])
    stamps.until("db", state="RUNNING", generation=2)
    assert (stamps.bot("app")["state"], stamps.bot("app")["generation"]) == ("RUNNING", 1)
    assert [n["subject"] for n in stamps.call("fleet.status")["notes"] if "not restarted with db" in n["message"]] == ["app"]
    told = [event for event in events(stamps) if event["kind"] == "alert"]
    assert [(e["bot"], e["what"]) for e in told] == [("app", "budget")]


def test_a_waiting_bot_without_its_dependency_in_the_fleet_is_refused(stamps: LiveFleet) -> None:
    """What check refuses is FAILED config, and nobody else is touched."""
    stamps.configure(f'[global]\n{_PROGRAM}[bots.a]\ndepends_on = ["b"]\n[bots.b]\ndepends_on = ["a"]\n[bots.c]\n')
    stamps.up()
    assert {stamps.bot(n)["reason"] for n in "ab"} == {"config"} and stamps.bot("c")["state"] == "RUNNING"
    assert "a -> b -> a" in stamps.detail("a")["last_exit"]["message"]
    with pytest.raises(PsvError):
        stamps.call("bot.start", names=["nobody"])
    eventually(lambda: stamps.bot("c")["state"] == "RUNNING", "the others run")


def test_who_waits_for_a_healthy_bot_is_started_when_its_checks_pass(fleet: LiveFleet) -> None:
    """Ready is not enough; no transition tells of it."""
    fleet.configure("""
        [bots.web]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
        [bots.db]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
        health = { exec = ["test", "-e", "well"], every = "1s", timeout = "0.9s", fail_after = 1, action = "none", settle = "0.1s" }
        [bots.app]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
        depends_on = ["web", { bot = "db", until = "healthy" }]
    """)
    fleet.up(wait=False)
    fleet.until("db", state="RUNNING")
    waiting = eventually(lambda: (found := fleet.detail("app"))["waits_for"] and found, "app waits")
    assert "db" in waiting["waits_for"] and waiting["pid"] is None
    waiting = eventually(lambda: "unhealthy" in (found := fleet.detail("app"))["waits_for"] and found, "it says how db is")
    assert "waits for db to be healthy (unhealthy now: " in waiting["waits_for"] and "exit code 1" in waiting["waits_for"]
    assert waiting["waits_on"] == fleet.bot("app")["waits_on"] == ["db"]
    fleet.write("well", "")
    fleet.until("app", state="RUNNING", generation=1)
    assert fleet.bot("db")["health"] == "healthy"
