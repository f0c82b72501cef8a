"""Stopping: the ladder has an end, the whole tree goes, and the end of the fleet is the end of everything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.supervisor.live import LiveFleet, eventually

FAMILY = """
    import os, subprocess, sys, time
    session = subprocess.Popen(["sleep", "1111"], start_new_session=True)
    plain = subprocess.Popen(["sleep", "1112"])
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        open("daemon.pid", "w").write(str(os.getpid()))
        time.sleep(1113)
    print("up", session.pid, plain.pid, flush=True)
    time.sleep(1000)
"""


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _family(fleet: LiveFleet, kind: str) -> list[int]:
    fleet.write("family.py", FAMILY)
    run = 'script = "family.py"' if kind == "script" else 'command = ["python", "family.py"]'
    fleet.configure(f'[bots.x]\n{run}\nready = {{ log = "^up" }}\nstop = {{ timeout = "2s" }}\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    daemon = fleet.folder / "daemon.pid"
    eventually(lambda: daemon.exists() and daemon.read_text(), "the daemon wrote its pid")
    line = next(line for line in fleet.output("x").splitlines() if line.startswith("up"))
    return [int(daemon.read_text()), *map(int, line.split()[1:])]


def test_the_whole_tree_of_a_forked_script_dies_with_it(fleet: LiveFleet) -> None:
    """Child, child in a session of its own, double-forked daemon: none outlives a stop."""
    family = _family(fleet, "script")
    assert fleet.call("bot.stop", names=["x"])[0]["ok"]
    for pid in family:
        eventually(lambda pid=pid: _is_gone(pid), f"{pid} is gone", 5)


def test_the_whole_tree_of_a_program_dies_when_it_is_killed(fleet: LiveFleet) -> None:
    """After SIGKILL of the first process nothing of its generation is left beside the next one."""
    family = _family(fleet, "command")
    bot = fleet.bot("x")
    subprocess.run(["kill", "-9", str(bot["pid"])], check=True)
    fleet.until("x", state="RUNNING", generation=2)
    for pid in family:
        assert _is_gone(pid), pid


def test_a_program_that_ignores_sigterm_is_killed_at_its_timeout(fleet: LiveFleet) -> None:
    """The last rung needs nobody's consent."""
    fleet.configure("""
        [bots.x]
        command = ["sh", "-c", "trap '' TERM INT; echo up; while :; do sleep 0.05; done"]
        ready = { log = "up" }
        stop = { timeout = "0.5s" }
    """)
    fleet.up()
    fleet.until("x", state="RUNNING")
    began = time.monotonic()
    assert fleet.call("bot.stop", names=["x"])[0]["state"] == "STOPPED"
    assert time.monotonic() - began >= 0.5
    last = fleet.detail("x")["last_exit"]
    assert (last["signal"], last["reason"]) == ("SIGKILL", "admin")


def test_a_stopped_process_cannot_hold_up_its_stop(fleet: LiveFleet) -> None:
    """SIGSTOP defers SIGTERM for ever, but not SIGKILL."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\nstop = { timeout = "0.5s" }\n')
    fleet.up()
    subprocess.run(["kill", "-STOP", str(fleet.until("x", state="RUNNING")["pid"])], check=True)
    assert fleet.call("bot.stop", names=["x"])[0]["state"] == "STOPPED"


def test_down_counts_what_it_stopped_and_leaves_what_is_wanted(fleet: LiveFleet) -> None:
    """The next up starts what ran, and not what was stopped by hand."""
    fleet.configure('[global]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n[bots.a]\n[bots.b]\n[bots.c]\n')
    fleet.up()
    fleet.call("bot.stop", names=["c"])
    assert fleet.down() == {"stopped": 2}
    assert fleet.processes() == []
    fleet.up()
    assert {b["name"]: b["state"] for b in fleet.call("bot.list")} == {"a": "RUNNING", "b": "RUNNING", "c": "STOPPED"}


def test_one_signal_ends_the_fleet_in_order_and_a_second_one_at_once(fleet: LiveFleet) -> None:
    """Ctrl-C twice does not wait for a stubborn bot."""
    fleet.configure("""
        [bots.x]
        command = ["sh", "-c", "trap '' TERM INT; echo up; while :; do sleep 0.05; done"]
        ready = { log = "up" }
        stop = { timeout = "600s" }
    """)
    fleet.up()
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGINT)
    fleet.until("x", state="STOPPING")
    fleet.keeper.send_signal(signal.SIGINT)
    fleet.keeper.wait(5)
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_a_stubborn_bot_cannot_hold_up_the_fleet_beyond_down_timeout(fleet: LiveFleet) -> None:
    """At the deadline of the fleet whatever is left is killed, and counted as stopped."""
    fleet.configure("""
        [bots.x]
        command = ["sh", "-c", "trap '' TERM INT; echo up; while :; do sleep 0.05; done"]
        ready = { log = "up" }
        stop = { timeout = "600s" }
    """)
    fleet.up()
    assert fleet.call("fleet.down", timeout_s=1.0) == {"stopped": 1}
    assert fleet.keeper is not None
    assert fleet.keeper.wait(10) == 0
    assert fleet.processes() == []


def test_the_end_of_an_essential_bot_is_the_end_of_the_fleet(fleet: LiveFleet) -> None:
    """psv ends with the bot's own exit code, as a container's first process must."""
    fleet.configure("""
        [bots.main]
        command = ["sh", "-c", "sleep 0.5; exit 42"]
        essential = true
        restart = { policy = "never" }
        ready = { after = "0s" }
        [bots.other]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
    """)
    fleet.up(wait=False)
    assert fleet.keeper is not None
    assert fleet.keeper.wait(20) == 42
    assert fleet.processes() == []


def test_a_second_keeper_on_one_folder_is_refused_and_harms_nothing(fleet: LiveFleet) -> None:
    """The lock is the truth, and the message says where to look."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    argv = [sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(fleet.folder)]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode == 5
    assert "already runs" in second.stderr
    assert "Traceback" not in second.stderr
    assert fleet.bot("x")["state"] == "RUNNING"
