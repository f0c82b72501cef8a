"""The wall clock is set, the machine is suspended: no deadline, window or uptime moves.

The clocks of a real fleet are set by a sitecustomize.py on its PYTHONPATH, which adds what a file says to time.time() and
CLOCK_BOOTTIME in keeper, psvd, logd and zygotes alike.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.files import read_record

CLOCKS = """
import os, time
_time, _gettime = time.time, time.clock_gettime
_path = os.environ.get("PSV_TEST_CLOCKS")

def _offset(which):
    try:
        with open(_path) as file:
            return float(file.read().split()[which])
    except (OSError, ValueError, IndexError):
        return 0.0

if _path:
    time.time = lambda: _time() + _offset(0)
    time.clock_gettime = lambda clock: _gettime(clock) + (_offset(1) if clock == time.CLOCK_BOOTTIME else 0.0)
"""
DAY_S = 86400.0


class Clocks:
    """Sets the clocks of the fleet that is started next."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, wall_s: float, suspended_s: float = 0.0) -> None:
        """Move the wall clock by `wall_s` and let `suspended_s` of suspend pass, counted from the real clocks."""
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(f"{wall_s} {suspended_s}")
        temporary.replace(self._path)


@pytest.fixture
def clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks that the fleet of this test will have."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CLOCKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("PSV_TEST_CLOCKS", str(tmp_path / "clocks"))
    return Clocks(tmp_path / "clocks")


@pytest.mark.parametrize("step_s", [-10 * DAY_S, 10 * DAY_S])
def test_a_step_of_the_clock_does_not_change_how_long_a_bot_ran(fleet: LiveFleet, clocks: Clocks, step_s: float) -> None:
    """Uptime in status and in the exit record is true, seen by the psvd of that time or by the next one."""
    fleet.configure('[global]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n[bots.a]\n[bots.b]\n')
    fleet.up()
    pid = fleet.until("a", state="RUNNING")["pid"]
    clocks.set(step_s)
    assert 0 <= fleet.bot("a")["uptime_s"] < 60
    os.kill(pid, signal.SIGKILL)
    fleet.until("a", state="RUNNING", generation=2)
    last = fleet.detail("a")["last_exit"]
    assert 0 <= last["uptime_s"] < 60
    assert abs(last["at"] - time.time() - step_s) < 60, "the fleet saw the step"
    b = fleet.bot("b")["pid"]
    psvd = fleet.kill_role("psvd", signal.SIGSTOP)
    os.kill(b, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{b}").exists(), "the keeper reaped it")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("b", state="RUNNING", generation=2)
    assert 0 <= fleet.detail("b")["last_exit"]["uptime_s"] < 60
    assert 0 <= fleet.bot("a")["uptime_s"] < 60


def test_a_clock_that_jumps_forward_makes_no_crash_loop_stable(fleet: LiveFleet, clocks: Clocks) -> None:
    """Ready for a moment, then dead, while the clock gains an hour each time: delays go on growing, and the window fills."""
    fleet.configure("""
        [bots.x]
        command = ["sh", "-c", "sleep 0.2; exit 1"]
        ready = { after = "0s" }
        restart = { initial = "0s", base = "0.05s", max = "0.05s", stable_after = "30s", window = [{ count = 4, within = "10m" }] }
    """)
    fleet.up(wait=False)
    for hour in range(1, 5):
        clocks.set(hour * 3600.0)
        eventually(lambda hour=hour: fleet.bot("x")["generation"] > hour or fleet.bot("x")["state"] == "FAILED", "the next life")
    fleet.until("x", state="FAILED", reason="crash-loop", generation=5)
    assert fleet.detail("x")["last_exit"]["uptime_s"] < 30
    record = read_record(fleet.paths.bot_run("x") / "record")
    assert record is not None and record["quick"] == 4


def test_deadlines_hold_while_the_clock_is_set(fleet: LiveFleet, clocks: Clocks) -> None:
    """A stop ends at its timeout, a restart comes after its delay, nobody is taken for wedged."""
    fleet.configure("""
        [bots.stubborn]
        command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]
        ready = { log = "up" }
        stop = { timeout = "1s" }
    """)
    fleet.up()
    fleet.until("stubborn", state="RUNNING")
    own = [fleet.role_pid(role) for role in ("keeper", "psvd", "logd")]
    fleet.call("bot.stop", names=["stubborn"], wait=False)
    began = time.monotonic()
    clocks.set(-DAY_S)
    fleet.until("stubborn", state="STOPPED")
    assert 0.8 < time.monotonic() - began < 10
    assert fleet.call("bot.start", names=["stubborn"])[0]["ok"]
    clocks.set(DAY_S)
    time.sleep(4.0)  # longer than the keeper waits between pings
    assert [fleet.role_pid(role) for role in ("keeper", "psvd", "logd")] == own


def test_suspend_counts_for_windows_and_waits_but_ends_nobody(fleet: LiveFleet, clocks: Clocks) -> None:
    """Eight hours asleep: running bots go on, and a wait that would have been over is over for the next psvd."""
    fleet.write("limited.py", """
        import os, pathlib, sys, time
        if not pathlib.Path("once").exists():
            pathlib.Path("once").touch()
            open(os.environ["PSV_EXIT_NOTE"], "w").write(str(time.time() + 7200))
            sys.exit(80)
        time.sleep(1000)
    """)
    fleet.configure("""
        [global]
        ready = { after = "0s" }
        [bots.limited]
        command = ["python", "limited.py"]
        ready = { after = "1s" }
        [bots.steady]
        command = ["sleep", "1000"]
    """)
    fleet.up(wait=False)
    pid = fleet.until("steady", state="RUNNING")["pid"]
    assert fleet.until("limited", state="RECOVERING")["next_start_in_s"] > 7000
    clocks.set(8 * 3600.0, 8 * 3600.0)
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    fleet.until("limited", state="RUNNING", generation=2)
    steady = fleet.bot("steady")
    assert (steady["pid"], steady["restarts"]) == (pid, 0)
    assert 8 * 3600 <= steady["uptime_s"] < 9 * 3600
