"""The fleet folder is moved while the fleet runs: bots and logs go on, nothing is doubled, nothing is written where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.supervisor.live import LiveFleet, eventually

TWO = """
    [bots.script]
    script = "main.py"
    ready = { log = "tick 1 *$" }
    stop = { timeout = "1s" }
    [bots.command]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
PROGRAM = """
    import os, time
    for n in range(10**6):
        print("tick", n, " " * 200, flush=True)
        time.sleep(0.005)
"""


def _move(fleet: LiveFleet) -> LiveFleet:
    """Move the folder of a running fleet, and return the fleet as seen from there."""
    there = LiveFleet(fleet.folder.with_name("moved"))
    os.rename(fleet.folder, there.folder)
    there.keeper = fleet.keeper
    return there


def _up(fleet: LiveFleet) -> dict[str, int]:
    fleet.write("main.py", PROGRAM)
    fleet.configure(TWO)
    fleet.up()
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("script", "command")}


def _psv(fleet: LiveFleet, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)


def _ticks(fleet: LiveFleet) -> list[int]:
    whole = fleet.output("script").rpartition("\n")[0]  # a line may be on its way
    return [int(line.split()[1]) for line in whole.splitlines() if line.startswith("tick ")]


def test_a_moved_fleet_goes_on_and_refuses_to_start_anything(fleet: LiveFleet) -> None:
    """Commands find it at the new place; a restart is refused before the bot is touched; back in its place all is well."""
    pids = _up(fleet)
    there = _move(fleet)
    try:
        assert {n: there.bot(n)["pid"] for n in pids} == pids
        note = next(n["message"] for n in there.call("fleet.status")["notes"] if n["subject"] == "fleet folder")
        assert str(there.folder) in note
        refused = there.call("bot.restart", names=["script"])[0]
        assert not refused["ok"] and str(there.folder) in refused["message"]
        assert there.bot("script")["pid"] == pids["script"]
        os.kill(pids["command"], signal.SIGKILL)
        there.until("command", state="RECOVERING", generation=1)
        second = _psv(there, "up")
        assert second.returncode == 5 and "already runs" in second.stderr
        assert _psv(there, "status").returncode == 0
        before = len(_ticks(there))
        eventually(lambda: len(_ticks(there)) > before + 100, "output goes into the moved log")
        ticks = _ticks(there)
        assert ticks == list(range(len(ticks)))
        assert not fleet.folder.exists(), "nothing was made where it was"
    finally:
        os.rename(there.folder, fleet.folder)
    fleet.until("command", state="RUNNING", generation=2)
    assert fleet.call("bot.restart", names=["script"])[0]["ok"]
    assert fleet.down() == {"stopped": 2}


def test_a_moved_fleet_is_stopped_and_started_at_its_new_place(fleet: LiveFleet) -> None:
    """The way out that status names; the bots have the new folder then."""
    _up(fleet)
    there = _move(fleet)
    try:
        assert _psv(there, "down").returncode == 0
        assert there.keeper is not None
        there.keeper.wait(15)
        there.configure(TWO)
        there.up()
        pid = there.until("command", state="RUNNING")["pid"]
        marks = Path(f"/proc/{pid}/environ")
        eventually(lambda: b"PSV_FLEET=" + os.fsencode(there.folder) in marks.read_bytes().split(b"\0"), "its environment")
        assert not fleet.folder.exists()
    finally:
        there.stop()


def test_a_new_keeper_at_the_new_place_takes_everything_over(fleet: LiveFleet) -> None:
    """The keeper was killed before the move: psvd makes place for one of the new folder, bots keep their pids, no line is lost."""
    pids = _up(fleet)
    assert fleet.keeper is not None
    fleet.keeper.kill()
    fleet.keeper.wait(5)
    there = _move(fleet)
    try:
        there.configure(TWO)
        there.up(wait=False)
        eventually(lambda: there.answers() and not there.call("fleet.status")["notes"], "a psvd that is at home here")
        assert {n: there.until(n, state="RUNNING")["pid"] for n in pids} == pids
        assert there.call("bot.restart", names=["command"])[0]["ok"]
        before = len(_ticks(there))
        eventually(lambda: len(_ticks(there)) > before + 100, "output goes on")
        ticks = _ticks(there)
        assert ticks == list(range(len(ticks)))
        assert there.down() == {"stopped": 2}
        assert not fleet.folder.exists()
    finally:
        there.stop()
