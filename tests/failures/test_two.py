"""A second one of each own process on the same folder: it goes away, says why, and harms nothing."""

from __future__ import annotations

import signal
import subprocess

import pytest
from tests.supervisor.live import LiveFleet

from processsupervisor.launch.code import Code

ONE = '[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n'


def _second(fleet: LiveFleet, module: str) -> subprocess.CompletedProcess[str]:
    argv = Code.own().argv(module, str(fleet.folder))
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("module", ["processsupervisor.app.psvd", "processsupervisor.process.logd", "processsupervisor.process.keeper"])
@pytest.mark.parametrize("first", ["running", "stopped"])
def test_the_lock_decides_and_names_its_holder(fleet: LiveFleet, module: str, first: str) -> None:
    """Also while the first one is stopped (SIGSTOP): silence is no proof of death."""
    fleet.configure(ONE)
    fleet.up()
    pid, role = fleet.bot("x")["pid"], module.rpartition(".")[2]
    own = fleet.kill_role(role, signal.SIGSTOP if first == "stopped" else signal.SIGCONT)
    second = _second(fleet, module)
    assert str(own) in second.stderr and "Traceback" not in second.stderr
    subprocess.run(["kill", "-CONT", str(own)], check=True)
    assert fleet.until("x", state="RUNNING")["pid"] == pid
    assert fleet.role_pid(role) == own
    assert fleet.copies("x") == [pid]
