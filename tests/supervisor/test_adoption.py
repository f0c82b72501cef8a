"""psvd, zygote and logd are killed with -9: bots go on, pid unchanged, never doubled, and exits are known afterwards."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import ECHO

from processsupervisor.kernel.files import read_record
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import LaunchContext
from processsupervisor.launch.locks import lock_bot
from processsupervisor.supervisor.adoption import Outcome, examine

THREE = """
    [global]
    ready = { after = "0s" }
    [bots.forked]
    script = "main.py"
    [bots.executed]
    command = ["sleep", "1000"]
    [bots.resting]
    command = ["sleep", "1000"]
"""


def _three(fleet: LiveFleet) -> dict[str, int]:
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure(THREE)
    fleet.up()
    fleet.call("bot.stop", names=["resting"])
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("forked", "executed")}


def test_a_new_psvd_adopts_every_bot_again_and_again(fleet: LiveFleet) -> None:
    """Ten kills of psvd: same pids, same generation, no second copy, and what was stopped stays stopped."""
    pids = _three(fleet)
    for _ in range(10):
        killed = fleet.kill_role("psvd")
        eventually(lambda: fleet.answers() and fleet.role_pid("psvd") != killed, "a new psvd answers")
        for name, pid in pids.items():
            bot = fleet.until(name, state="RUNNING")
            assert (bot["pid"], bot["generation"], bot["restarts"]) == (pid, 1, 0)
            assert fleet.copies(name) == [pid]
        assert fleet.bot("resting")["state"] == "STOPPED"


def test_an_exit_that_psvd_did_not_see_is_in_the_journal(fleet: LiveFleet) -> None:
    """The keeper reaped it; the next psvd names the signal, counts it, and starts the bot again."""
    pids = _three(fleet)
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    os.kill(pids["executed"], signal.SIGUSR1)
    eventually(lambda: not Path(f"/proc/{pids['executed']}").exists(), "the keeper reaped the bot")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    bot = fleet.until("executed", state="RUNNING", generation=2, restarts=1)
    assert bot["reason"] == "signal"
    assert fleet.detail("executed")["last_exit"]["signal"] == "SIGUSR1"
    assert fleet.bot("forked")["pid"] == pids["forked"]


def test_a_killed_zygote_costs_no_bot_and_a_new_one_is_made(fleet: LiveFleet) -> None:
    """Its bots are the keeper's children; the next start makes another zygote."""
    pids = _three(fleet)
    zygote = fleet.kill_role("zygote")
    assert fleet.call("bot.restart", names=["forked"])[0]["ok"]
    assert fleet.role_pid("zygote") != zygote
    assert fleet.bot("executed")["pid"] == pids["executed"]
    title = Path(f"/proc/{fleet.bot('forked')['pid']}/cmdline")
    eventually(lambda: title.read_bytes().startswith(b"psv: bot forked"), "the bot is forked again")


def test_killing_logd_loses_and_repeats_no_line(fleet: LiveFleet) -> None:
    """The keeper holds the FIFOs; the new logd goes on at the byte where the last one ended."""
    fleet.write("loud.py", """
        import time
        for n in range(20000):
            print(f"line {n:06d}")
            if n % 200 == 0:
                time.sleep(0.005)
        print("done", flush=True)
        time.sleep(1000)
    """)
    fleet.configure('[bots.x]\nscript = "loud.py"\nready = { after = "0s" }\n')
    fleet.up()
    for _ in range(4):
        before = fleet.role_pid("logd")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: any(p["role"] == "logd" and p["pid"] != before for p in fleet.call("fleet.status")["processes"]), "a new logd")
    eventually(lambda: "done" in fleet.output("x"), "everything was written")
    assert [line for line in fleet.output("x").splitlines() if line.startswith("line")] == [f"line {n:06d}" for n in range(20000)]


def test_a_stop_that_was_interrupted_is_finished_by_the_next_psvd(fleet: LiveFleet) -> None:
    """What is wanted was durable before the signal was sent."""
    fleet.configure("""
        [bots.stubborn]
        command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
        ready = { log = "up" }
        stop = { timeout = "1s" }
    """)
    fleet.up()
    fleet.until("stubborn", state="RUNNING")
    fleet.call("bot.stop", names=["stubborn"], wait=False)
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("stubborn", state="STOPPED", wanted="down")
    assert fleet.copies("stubborn") == []


def _locked_child(paths: FleetPaths, bot: str, generation: int) -> int:
    """Fork a process that holds the bot's lock as a real child does; returns its pid."""
    paths.bot_run(bot).mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock_bot(LaunchContext(spec={"name": bot}, generation=generation, secret_fd=-1, paths=paths))
        os.write(writing, b"x")
        signal.pause()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    return pid


def test_the_lock_alone_is_enough_to_adopt(tmp_path: Path) -> None:
    """psvd may die between the fork and its record: the child's own note says who runs."""
    paths = FleetPaths(tmp_path)
    pid = _locked_child(paths, "b", 7)
    try:
        finding = examine(paths, "b", {})
        assert (finding.outcome, finding.generation) == (Outcome.ADOPT, 7)
        assert finding.identity == Identity.of(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert examine(paths, "b", {}).outcome is Outcome.FRESH


def test_a_held_lock_of_a_dead_process_is_leftovers(tmp_path: Path) -> None:
    """A descendant that inherited the lock keeps the bot from being doubled."""
    paths = FleetPaths(tmp_path)
    paths.bot_run("b").mkdir(parents=True)
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        lock_bot(LaunchContext(spec={"name": "b"}, generation=1, secret_fd=-1, paths=paths))
        below = os.fork()
        if below == 0:
            signal.pause()
            os._exit(0)
        os.write(writing, str(below).encode())
        os._exit(0)
    os.waitpid(first, 0)
    below = int(os.read(reading, 20))
    try:
        assert examine(paths, "b", {}).outcome is Outcome.LEFTOVERS
    finally:
        os.kill(below, signal.SIGKILL)
    eventually(lambda: examine(paths, "b", {}).outcome is Outcome.FRESH, "the lock is free")


def test_a_live_identity_of_another_pid_namespace_is_not_judged(tmp_path: Path) -> None:
    """Held there, it can be neither verified nor doubled."""
    paths = FleetPaths(tmp_path)
    pid = _locked_child(paths, "b", 1)
    try:
        lock = paths.bot_run("b") / "lock"
        note = lock.read_bytes().replace(b'"pid_namespace": ', b'"pid_namespace": 1')
        lock.write_bytes(note[:1024])
        assert examine(paths, "b", {}).outcome is Outcome.CANNOT_TELL
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("damage", [b"", b"\0" * 2048, b"x" * 100])
def test_a_damaged_record_does_not_hide_a_running_bot(fleet: LiveFleet, damage: bytes) -> None:
    """Without its record a bot is adopted by its lock all the same."""
    pids = _three(fleet)
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    record = fleet.paths.bot_run("executed") / "record"
    record.write_bytes(damage)
    assert read_record(record) is None
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("executed", state="RUNNING", pid=pids["executed"])
    assert fleet.copies("executed") == [pids["executed"]]


def test_a_native_bot_without_its_record_keeps_its_process_and_its_link(fleet: LiveFleet) -> None:
    """The secret's digest is lost with the record; the proven process itself asks, and is let in."""
    fleet.write("bots.py", ECHO)
    fleet.configure('[bots.a]\nrun = "bots:bot"\n')
    fleet.up()
    pid = fleet.until("a", state="RUNNING")["pid"]
    for _ in range(2):  # what was learned is on disk again
        psvd = fleet.role_pid("psvd")
        os.kill(psvd, signal.SIGSTOP)
        (fleet.paths.bot_run("a") / "record").write_bytes(b"torn")
        os.kill(psvd, signal.SIGKILL)
        eventually(fleet.answers, "a new psvd answers")
        assert fleet.until("a", state="RUNNING")["pid"] == pid
    assert fleet.call("bot.pause", names=["a"])[0]["ok"]


def test_a_start_that_meets_an_own_generation_takes_it_at_once(fleet: LiveFleet) -> None:
    """It was born while no psvd was told; the start that finds the lock held adopts it instead of waiting for it."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    fleet.call("bot.stop", names=["x"])
    pid = _locked_child(fleet.paths, "x", 9)
    try:
        fleet.call("bot.start", names=["x"], wait=False)
        assert fleet.until("x", state="RUNNING", pid=pid)["generation"] == 9
        changes = fleet.call("bot.history", names=["x"])
        adopted = next(n for n, change in enumerate(changes) if change["trigger"] == "adopt")
        assert changes[adopted]["at"] - changes[adopted - 1]["at"] < 5, "not at the next try"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_time_until_ready_goes_on_over_a_kill_of_psvd(fleet: LiveFleet) -> None:
    """`ready = { after = … }` counts from the start of the process, not from the psvd that looks."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "6s" }\n')
    fleet.up(wait=False)
    pid = eventually(lambda: fleet.bot("x")["pid"], "it runs")
    began_at = Path(f"/proc/{pid}").stat().st_ctime
    eventually(lambda: time.time() - began_at > 3, "half of the time has passed")
    fleet.kill_role("psvd")
    bot = fleet.until("x", state="RUNNING")
    assert bot["pid"] == pid and bot["ready_at"] - began_at < 8.8, "6 s from its start, not from the kill"
