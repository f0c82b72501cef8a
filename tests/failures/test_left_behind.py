"""What a program starts beside itself: it ends with its bot, however it hid, and the reason says what the author did."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.resources.cgroups import Groups, own_group

# A program that ends with code 0 while a descendant in a session of its own lives on; `{hide}` decides what it keeps.
DAEMON = """
    import os, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        {leave}
        open("daemon.tmp", "w").write(str(os.getpid()))
        os.rename("daemon.tmp", "daemon.pid")
        {hide}
    while not os.path.exists("daemon.pid"):
        time.sleep(0.005)
    os._exit({code})
"""
KEEP_ENVIRONMENT = 'os.closerange(3, 4096); os.execv("/bin/sleep", ["sleep", "3000"])'
KEEP_LOCK = 'os.execve("/bin/sleep", ["sleep", "3000"], {})'
KEEP_NOTHING = 'os.closerange(3, 4096); os.execve("/bin/sleep", ["sleep", "3000"], {})'


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _run_daemon(fleet: LiveFleet, hide: str, code: int = 0, kind: str = "command", leave: str = "") -> int:
    fleet.write("daemon.py", DAEMON.format(hide=hide, code=code, leave=leave))
    what = 'script = "daemon.py"' if kind == "script" else 'command = ["python", "daemon.py"]'
    fleet.configure(f'[bots.x]\n{what}\nrestart = {{ policy = "never" }}\nready = {{ after = "60s" }}\n')
    fleet.up()
    return int((fleet.folder / "daemon.pid").read_text())


@pytest.mark.parametrize("by", ["environment", "lock", "script"])
def test_a_program_that_daemonises_is_told_so_and_its_daemon_ends(fleet: LiveFleet, by: str) -> None:
    """Found by PSV_BOT in its environment, or by the lock that it inherited; a forked script has only the lock."""
    daemon = _run_daemon(fleet, KEEP_ENVIRONMENT if by == "environment" else KEEP_LOCK, kind="script" if by == "script" else "command")
    assert fleet.until("x", state="TERMINATED")["exit_code"] == 0
    message = fleet.detail("x")["last_exit"]["message"]
    assert message.startswith("you daemonised") and str(daemon) in message and "in the foreground" in message
    eventually(lambda: _is_gone(daemon), "the daemon is gone", 5)


def test_a_program_that_goes_into_the_background_of_its_session_is_told_so(fleet: LiveFleet) -> None:
    """`server &` in a shell script: the session is enough to find it."""
    fleet.configure("""
        [bots.x]
        command = ["sh", "-c", "sleep 3000 & echo $! > child.pid"]
        restart = { policy = "never" }
        ready = { after = "60s" }
    """)
    fleet.up()
    fleet.until("x", state="TERMINATED")
    assert "into the background" in fleet.detail("x")["last_exit"]["message"]
    eventually(lambda: _is_gone(int((fleet.folder / "child.pid").read_text())), "the child is gone", 5)


@pytest.mark.root
def test_a_daemon_that_kept_nothing_is_found_by_its_cgroup(fleet: LiveFleet) -> None:
    """Neither session, environment nor lock: the group has it all the same."""
    if Groups(fleet.paths).root is None:
        pytest.skip("needs a writable cgroup2 mount")
    daemon = _run_daemon(fleet, KEEP_NOTHING)
    fleet.until("x", state="TERMINATED")
    assert fleet.detail("x")["last_exit"]["message"].startswith("you daemonised")
    eventually(lambda: _is_gone(daemon), "the daemon is gone", 5)


def test_a_crash_that_leaves_a_helper_behind_is_no_daemon(fleet: LiveFleet) -> None:
    """The helper ends with its bot, but the reason is the crash."""
    daemon = _run_daemon(fleet, KEEP_LOCK, code=3)
    assert fleet.until("x", state="FAILED")["exit_code"] == 3
    assert fleet.detail("x")["last_exit"]["message"] == "exited with 3"
    eventually(lambda: _is_gone(daemon), "the helper is gone", 5)


def test_who_kept_nothing_is_reported_and_not_guessed_at(fleet: LiveFleet) -> None:
    """Out of its cgroup too, nothing tells whose it is: status names it, nobody signals it, and the end of the fleet ends it."""
    here = own_group()
    procs = f"{here}/cgroup.procs"
    leave = f'os.access({procs!r}, os.W_OK) and open({procs!r}, "w").write("0")' if here else ""
    escapee = _run_daemon(fleet, KEEP_NOTHING, leave=leave)
    fleet.until("x", state="TERMINATED")

    def noted() -> str:
        return next((n["message"] for n in fleet.call("fleet.status")["notes"] if n["subject"] == f"process {escapee}"), "")

    assert "belongs to no bot" in eventually(noted, "status names it")
    assert not _is_gone(escapee)
    fleet.down()
    eventually(lambda: _is_gone(escapee), "the end of the fleet is its end", 5)


def test_a_grandchild_that_keeps_stdout_open_delays_no_exit(fleet: LiveFleet) -> None:
    """The exit is known at once and the last words are stored, whoever still has the pipe."""
    fleet.write("parent.py", """
        import subprocess, sys
        # Our marks are taken from it, so it lives on and writes until it is found by its cgroup or the fleet ends.
        code = "import time\\nwhile True: print('noise', flush=True); time.sleep(0.01)"
        subprocess.Popen([sys.executable, "-c", code], env={}, start_new_session=True)
        print("last words", flush=True)
        sys.exit(7)
    """)
    fleet.configure('[bots.x]\ncommand = ["python", "parent.py"]\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    began = time.monotonic()
    fleet.up()
    assert fleet.until("x", state="FAILED")["exit_code"] == 7
    assert time.monotonic() - began < 15
    eventually(lambda: "last words" in fleet.output("x"), "the last words")
    eventually(lambda: not list(fleet.paths.bot_run("x").glob("out-*")), "the FIFO is drained and gone")
    assert fleet.call("bot.start", names=["x"], wait=False)[0]["ok"], "and nothing is in the way of the next generation"


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_bot_that_closes_its_output_makes_nobody_busy(fleet: LiveFleet) -> None:
    """No loop polls an end of file: two seconds of keeper, psvd and logd cost next to nothing."""
    fleet.write("mute.py", "import os, time\nprint('bye', flush=True)\nos.close(1); os.close(2)\ntime.sleep(1000)\n")
    fleet.configure('[bots.x]\ncommand = ["python", "mute.py"]\nready = { log = "bye" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    own = {role: fleet.role_pid(role) for role in ("keeper", "psvd", "logd")}
    before = {role: _cpu_ticks(pid) for role, pid in own.items()}
    time.sleep(2.0)  # the measured stretch, not a wait for anything
    used = {role: (_cpu_ticks(pid) - before[role]) / os.sysconf("SC_CLK_TCK") for role, pid in own.items()}
    assert max(used.values()) < 0.5, used


def test_a_flood_of_output_costs_no_memory_and_hides_nobody(fleet: LiveFleet) -> None:
    """One bot writes as fast as it can: logd stays small, its files bounded, and another bot's line arrives meanwhile."""
    fleet.write("flood.py", "import os\nwhile True: os.write(1, b'noise ' * 2000 + b'\\n')\n")
    fleet.configure("""
        [bots.loud]
        command = ["python", "flood.py"]
        ready = { after = "0s" }
        logs = { max = "200KB", keep = 3 }
        [bots.quiet]
        command = ["sh", "-c", "while read x; do :; done < go; echo heard; sleep 1000"]
        ready = { after = "0s" }
    """)
    os.mkfifo(fleet.folder / "go")
    fleet.up()
    logs = fleet.paths.bot_logs("loud")
    eventually(lambda: len(list(logs.glob("stdout.0*"))) >= 2, "the flood has turned over its files")
    logd = fleet.role_pid("logd")
    resident = next(line for line in Path(f"/proc/{logd}/status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 60_000
    (fleet.folder / "go").write_text("now\n")
    eventually(lambda: "heard" in fleet.output("quiet"), "the quiet bot's line")
    assert sum(p.stat().st_size for p in logs.iterdir() if p.exists()) < 2_000_000
