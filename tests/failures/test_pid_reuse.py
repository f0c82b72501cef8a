"""A number on disk whose process is somebody else by now: nobody is signalled, and the bot counts as gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.files import RecordFile, read_record
from processsupervisor.kernel.identity import Identity


@pytest.mark.parametrize("psvd_was", ["killed", "down"])
def test_a_pid_that_was_given_to_somebody_else_is_left_alone(fleet: LiveFleet, psvd_was: str) -> None:
    """Record and lock note name the pid of a stranger with another start time: the bot is started anew, the stranger lives."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\nstop = { timeout = "0.5s" }\n')
    fleet.up()
    bot = fleet.until("x", state="RUNNING")
    eventually(lambda: (fleet.paths.bot_run("x") / "lock").read_text().strip(), "its child has signed the lock")
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        if psvd_was == "killed":
            psvd = fleet.kill_role("psvd", signal.SIGSTOP)
            os.kill(bot["pid"], signal.SIGKILL)
            eventually(lambda: not os.path.exists(f"/proc/{bot['pid']}"), "the keeper reaped it")
        else:
            fleet.down()
        _give_away(fleet, bot["pid"], stranger.pid)
        if psvd_was == "killed":
            os.kill(psvd, signal.SIGKILL)
            eventually(fleet.answers, "a new psvd answers")
        else:
            fleet.up()
        found = fleet.until("x", state="RUNNING", generation=2)
        assert found["pid"] != stranger.pid
        assert fleet.call("bot.stop", names=["x"])[0]["ok"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _give_away(fleet: LiveFleet, before: int, pid: int) -> None:
    """Write `pid` over the dead bot's in its record and its lock, as if the kernel had given the number away."""
    folder = fleet.paths.bot_run("x")
    lock = folder / "lock"
    note = json.loads(lock.read_bytes())
    identity = Identity.of(pid)
    assert note["pid"] == before and identity is not None
    note |= {"pid": pid, "start_ticks": identity.start_ticks - 100}
    lock.write_bytes(json.dumps(note).encode().ljust(1024))
    facts = read_record(folder / "record")
    assert facts is not None
    facts["identity"] = {name: note[name] for name in ("pid", "start_ticks", "boot_id", "pid_namespace")}
    record = RecordFile(folder / "record")
    record.write(facts | {"has_process": True, "state": "RUNNING"})
    record.close()
