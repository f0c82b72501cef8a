"""Somebody wrote over what psv keeps on disk: bots go on, status says what is wrong, nothing of it is overwritten."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.ipc.journal import RECORD_BYTES, read

TWO = """
    [global]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
    [bots.a]
    [bots.b]
"""


def _notes(fleet: LiveFleet) -> dict[str, str]:
    return {n["subject"]: n["message"] for n in fleet.call("fleet.status")["notes"]}


def _up(fleet: LiveFleet) -> dict[str, int]:
    fleet.configure(TWO)
    fleet.up()
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("a", "b")}


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("of somebody")


@pytest.mark.parametrize("kind", ["folder", "garbage", "other version"])
def test_a_record_that_is_none_hides_no_bot(fleet: LiveFleet, kind: str) -> None:
    """The lock says who runs; stop and start work with a folder in the record's place."""
    pids = _up(fleet)
    psvd = fleet.kill_role("psvd", signal.SIGSTOP)
    record = fleet.paths.bot_run("a") / "record"
    if kind == "folder":
        _as_folder(record)
    else:
        record.write_bytes(os.urandom(2048) if kind == "garbage" else b'{"version": 99}'.ljust(2048))
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("a", state="RUNNING")["pid"] == pids["a"]
    assert fleet.copies("a") == [pids["a"]]
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    eventually(lambda: fleet.copies("a") == [fleet.bot("a")["pid"]], "one copy")
    if kind == "folder":
        assert (record / "something").read_text() == "of somebody"


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"torn record")


def _spoil_the_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[:RECORD_BYTES] = os.urandom(RECORD_BYTES)
    path.write_bytes(bytes(raw))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_tear, _spoil_the_middle, _empty, _as_folder])
def test_a_damaged_journal_costs_no_bot_and_no_new_exit(fleet: LiveFleet, damage: Callable[[Path], None]) -> None:
    """What a new keeper writes is read again; with a folder in its place it goes without, says so, and reasons stay honest."""
    pids = _up(fleet)
    assert fleet.keeper is not None
    fleet.call("bot.restart", names=["b"])
    pids["b"] = fleet.bot("b")["pid"]
    fleet.keeper.kill()
    fleet.keeper.wait(5)
    eventually(lambda: "keeper" in _notes(fleet), "psvd knows that its keeper is gone")
    damage(fleet.paths.journal)
    fleet.up(wait=False)
    eventually(lambda: "keeper" not in _notes(fleet), "psvd meets the new keeper")
    assert {n: fleet.bot(n)["pid"] for n in pids} == pids
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    pid = fleet.bot("a")["pid"]
    psvd = fleet.kill_role("psvd", signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the keeper reaped it")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("a", state="RUNNING", restarts=1)
    last = fleet.detail("a")["last_exit"]
    if damage is _as_folder:
        assert last["reason"] == "unknown-while-unsupervised"
        assert "exits.journal" in _notes(fleet)
        assert (fleet.paths.journal / "something").read_text() == "of somebody"
    else:
        assert (last["reason"], last["signal"]) == ("signal", "SIGKILL")
        assert pid in [entry.pid for entry in read(fleet.paths.journal)]


def _newer(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version=999")


def _cut(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:5000])


def _garbage(database: Path) -> None:
    database.write_bytes(os.urandom(20_000))


@pytest.mark.parametrize("damage", [_newer, _cut, _garbage, _as_folder])
def test_a_database_that_cannot_be_used_is_left_as_it_is(fleet: LiveFleet, damage: Callable[[Path], None]) -> None:
    """psvd works from memory, says so for as long as it does, and a new psvd still knows what was said meanwhile."""
    _up(fleet)
    fleet.down()
    database = fleet.paths.database
    for path in database.parent.glob("psv.db-*"):
        path.unlink()
    damage(database)
    before = database.read_bytes() if database.is_file() else b""
    fleet.up()
    assert fleet.call("bot.stop", names=["a"])[0]["state"] == "STOPPED"
    pid = fleet.until("b", state="RUNNING")["pid"]
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("b", state="RUNNING")["pid"] == pid
    assert fleet.bot("a")["state"] == "STOPPED"
    assert "cannot be used" in _notes(fleet)["psv.db"]
    fleet.call("bot.restart", names=["b"])
    fleet.call("bot.history", names=["b"])
    assert "cannot be used" in _notes(fleet)["psv.db"], "a commit in memory is no commit"
    fleet.down()
    if damage is not _as_folder:
        assert database.read_bytes() == before


def test_a_database_that_was_moved_away_is_made_anew_with_what_is_wanted(fleet: LiveFleet) -> None:
    """The way out that status names works without a stop."""
    _up(fleet)
    fleet.down()
    _garbage(fleet.paths.database)
    fleet.up()
    fleet.call("bot.stop", names=["a"])
    fleet.paths.database.rename(fleet.paths.database.with_suffix(".damaged"))
    eventually(lambda: "psv.db" not in _notes(fleet), "a new database is used")

    def wanted() -> dict[str, str]:
        with contextlib.closing(sqlite3.connect(fleet.paths.database)) as db:
            return dict(db.execute("SELECT bot, wanted FROM wanted"))

    eventually(lambda: wanted().get("a") == "down", "what was said is in it")


def test_without_a_database_events_and_uptime_go_on_and_are_kept(fleet: LiveFleet) -> None:
    """Told and counted from memory, and on disk as soon as there is one."""
    _up(fleet)
    fleet.down()
    _garbage(fleet.paths.database)
    fleet.up()
    fleet.until("a", state="RUNNING")
    fleet.call("bot.restart", names=["b"])

    def events() -> list[dict[str, Any]]:
        with ControlClient(fleet.paths) as client:
            return list(client.stream("fleet.events", {"limit": 1000}))[1:]

    def up_s() -> float:
        rows = fleet.call("bot.history", names=["a"])
        return float(next(row for row in rows if row["kind"] == "uptime")["day"]["up_s"])

    told = [event["seq"] for event in events()]
    assert told == list(range(1, len(told) + 1))
    assert [event["bot"] for event in events() if event["kind"] == "restart"] == ["b"]
    eventually(lambda: up_s() > 0.5, "uptime is counted")
    fleet.paths.database.rename(fleet.paths.database.with_suffix(".damaged"))
    eventually(lambda: [event for event in events() if event.get("message") == "psv.db is used again"], "a new database is used")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    assert [event["seq"] for event in events()][: len(told)] == told
    assert up_s() > 0.5
    alerts = [str(event["message"]) for event in events() if event["kind"] == "alert"]
    assert "cannot be used" in alerts[0] and alerts[1] == "psv.db is used again"


def test_a_log_folder_that_somebody_replaced_does_not_stop_the_bot(fleet: LiveFleet) -> None:
    """A file where the bot's folder was: output is dropped, logd says so, and goes on when the way is free."""
    fleet.write("main.py", "import time\nfor n in range(10**6):\n    print('tick', n, flush=True)\n    time.sleep(0.01)\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nready = { log = "tick 1$" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    logd = fleet.role_pid("logd")
    folder = fleet.paths.bot_logs("x")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    own = fleet.paths.own_logs / "logd.log"
    eventually(lambda: "cannot be written" in own.read_text(), "logd says so")
    assert folder.read_text() == "in the way"
    folder.unlink()
    eventually(lambda: folder.is_dir() and "tick" in fleet.output("x"), "a new log")
    assert (fleet.bot("x")["pid"], fleet.role_pid("logd")) == (pid, logd)
