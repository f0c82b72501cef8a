"""Not one byte of disk is left: every bot can be stopped, restarted and adopted, nothing loops, and all goes on when there is room."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import ECHO, Visitor

from processsupervisor.process import logview

pytestmark = pytest.mark.mounts

THREE = """
    [global]
    stop = { timeout = "2s" }
    [bots.native]
    run = "bots:bot"
    [bots.script]
    script = "main.py"
    ready = { after = "0s" }
    [bots.command]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
NAMES = ("native", "script", "command")


def _mount(folder: Path, options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,bind,{how}", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    """Leave no block free on the file system of `folder`; returns the file whose removal makes room again."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                size = size if file.write(b"x" * size) == size else size // 2
            except OSError:
                size //= 2
    return filler


def _configure(fleet: LiveFleet) -> None:
    fleet.write("bots.py", ECHO)
    fleet.write("main.py", """
        import os, time
        progress = os.open("progress", os.O_WRONLY | os.O_CREAT)
        for n in range(10**6):
            print("tick", n, "x" * 500, flush=True)
            os.pwrite(progress, b"%08d" % n, 0)
            time.sleep(0.01)
    """)
    fleet.configure(THREE)


def _new_psvd(fleet: LiveFleet) -> None:
    before = fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and fleet.role_pid("psvd") != before, "a new psvd answers")


def _deaths(fleet: LiveFleet) -> dict[str, int]:
    return {p["role"]: p["generation"] for p in fleet.call("fleet.status")["processes"]}


def test_with_no_byte_free_every_bot_is_stopped_restarted_and_adopted(fleet: LiveFleet) -> None:
    """All of .psv on one full disk: run, data and logs."""
    _mount(fleet.paths.psv, "size=24m")
    _configure(fleet)
    fleet.up()
    pids = {name: fleet.until(name, state="RUNNING")["pid"] for name in NAMES}
    filler = _fill(fleet.paths.psv)
    lives = _deaths(fleet)
    for name in NAMES:
        assert fleet.call("bot.restart", names=[name])[0]["ok"], name
        assert fleet.bot(name)["pid"] != pids[name]
    assert fleet.call("bot.stop", names=["command"])[0]["state"] == "STOPPED"
    pids = {name: fleet.bot(name)["pid"] for name in ("native", "script")}
    _new_psvd(fleet)
    for name, pid in pids.items():
        assert fleet.until(name, state="RUNNING")["pid"] == pid
    assert fleet.bot("command")["state"] == "STOPPED", "what was said on the full disk is known to the next psvd"
    assert fleet.call("bot.start", names=["command"])[0]["ok"]
    os.kill(pids["script"], signal.SIGKILL)
    fleet.until("script", state="RUNNING", restarts=1)
    fleet.call("bot.stop", names=["native"])
    assert any(n["subject"] == "psv.db" for n in fleet.call("fleet.status")["notes"]), "status says that the database waits"
    after = _deaths(fleet)
    assert {role: life for role, life in after.items() if role != "psvd"} == {role: life for role, life in lives.items() if role != "psvd"}
    filler.unlink()
    eventually(lambda: not any(n["subject"] == "psv.db" for n in fleet.call("fleet.status")["notes"]), "the database goes on")
    with contextlib.closing(sqlite3.connect(fleet.paths.database)) as db:
        assert dict(db.execute("SELECT bot, wanted FROM wanted"))["native"] == "down"
    assert fleet.down() == {"stopped": 2}


def test_a_full_log_disk_stops_no_bot_and_the_gap_is_counted(fleet: LiveFleet) -> None:
    """The bots write on, what could not be stored is said in the log, and lines are stored again when there is room."""
    _mount(fleet.paths.logs, "size=2m")
    _configure(fleet)
    fleet.up()
    filler = _fill(fleet.paths.logs)
    pid = fleet.until("script", state="RUNNING")["pid"]
    logd = fleet.role_pid("logd")
    os.kill(pid, signal.SIGKILL)
    second = fleet.until("script", state="RUNNING", generation=2)
    progress = fleet.folder / "progress"
    progress.write_text("0")
    eventually(lambda: int(progress.read_text() or 0) > 100, "it writes on")
    assert fleet.role_pid("logd") == logd
    filler.unlink()
    _until_ticks(fleet)
    lines = eventually(lambda: [x for x in _shown(fleet, "script") if "dropped" in x], "the gap is shown")
    assert "disk full" in lines[0]
    assert fleet.bot("script")["pid"] == second["pid"]


def _shown(fleet: LiveFleet, bot: str) -> list[str]:
    return [line.text for line in logview.read(fleet.paths, [bot])]


def _until_ticks(fleet: LiveFleet) -> None:
    before = len(_shown(fleet, "script"))
    eventually(lambda: len(_shown(fleet, "script")) > before + 20, "lines are stored again")


def _is_refused(visitor: Visitor, number: int) -> bool:
    return bool(visitor.post(f"n{number}", "x" * 20_000)["op"] == "refused")


def test_a_bot_on_a_full_disk_refuses_messages_and_accepts_them_again(fleet: LiveFleet) -> None:
    """A message that could not be committed is not acknowledged; the bot lives on and takes the next one when it can."""
    _mount(fleet.paths.data, "size=8m")
    _configure(fleet)
    fleet.up()
    native = fleet.until("native", state="RUNNING")
    visitor = Visitor(fleet, "native")
    assert visitor.post("m1", "one")["op"] == "accepted"
    eventually(lambda: "m1" in visitor.replies(), "it answers")
    filler = _fill(fleet.paths.data)
    numbers = itertools.count()
    eventually(lambda: _is_refused(visitor, next(numbers)), "a message is refused")
    assert fleet.call("bot.restart", names=["command"])[0]["ok"]
    assert fleet.bot("native")["pid"] == native["pid"]
    filler.unlink()
    eventually(lambda: visitor.post("m2", "two")["op"] == "accepted", "it accepts again")
    assert eventually(lambda: visitor.replies().get("m2"), "and answers") == ["nobody heard two"]


def test_a_bot_on_a_read_only_disk_refuses_messages_and_accepts_them_again(fleet: LiveFleet) -> None:
    """EROFS takes the same way."""
    _mount(fleet.paths.bot_data("native"), "size=8m")
    _configure(fleet)
    fleet.up()
    fleet.until("native", state="RUNNING")
    _remount(fleet.paths.bot_data("native"), "ro")
    visitor = Visitor(fleet, "native")
    assert _is_refused(visitor, 0)
    _remount(fleet.paths.bot_data("native"), "rw")
    eventually(lambda: visitor.post("m2", "two")["op"] == "accepted", "it accepts again")
    assert eventually(lambda: visitor.replies().get("m2"), "and answers") == ["nobody heard two"]


def test_a_full_run_folder_makes_starts_wait(fleet: LiveFleet) -> None:
    """No inode for a FIFO is like no process: the breaker holds all starts, nothing is burnt, and the fleet goes on by itself."""
    _mount(fleet.paths.run, "size=8m,nr_inodes=300")
    _configure(fleet)
    fleet.up()
    fleet.call("bot.stop", names=["script", "command"])
    eventually(lambda: len(list(fleet.paths.run.glob("bots/*/out-*"))) == 1, "their FIFOs are gone")
    taken = []
    while True:
        try:
            (path := fleet.paths.run / f"taken-{len(taken)}").touch()
        except OSError:
            break
        taken.append(path)
    fleet.call("bot.start", names=["script", "command"], wait=False)

    def note() -> str:
        return next((n["message"] for n in fleet.call("fleet.status")["notes"] if n["subject"] == "starts"), "")

    assert "No space left" in eventually(note, "status says so")
    assert fleet.bot("native")["state"] == "RUNNING"
    for path in taken:
        path.unlink()
    for name in ("script", "command"):
        fleet.until(name, state="RUNNING", restarts=0)
