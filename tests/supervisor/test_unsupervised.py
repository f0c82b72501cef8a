"""What ends while nobody looks: exits without a keeper, without psvd, without both, and what the next ones make of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import LiveFleet, eventually, keeps_exit_status

from processsupervisor.kernel.files import read_record
from processsupervisor.supervisor.store import Store

WAITS = """
    import os, pathlib, signal, sys, time
    name = sys.argv[1]
    while not pathlib.Path(name + ".go").exists():
        time.sleep(0.02)
    {end}
"""


def _gone(pid: int) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _end(fleet: LiveFleet, name: str, pid: int) -> None:
    fleet.write(f"{name}.go", "")
    eventually(lambda: _gone(pid), f"{name} has ended")


def _kill_keeper(fleet: LiveFleet) -> None:
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGKILL)
    fleet.keeper.wait(5)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("sys.exit(3)", ("code", 3, None)),
        ("sys.exit(0)", ("clean", 0, None)),
        ("os.kill(os.getpid(), signal.SIGUSR2)", ("signal", None, "SIGUSR2")),
    ],
)
def test_the_reason_is_true_when_no_keeper_is_there_to_tell_it(fleet: LiveFleet, end: str, expected: tuple[str, int | None, str | None]) -> None:
    """The keeper is dead, somebody else reaps the bot: psvd reads the status from the zombie or from its own pidfd."""
    fleet.write("main.py", WAITS.format(end=end))
    fleet.configure("""
        [global]
        ready = { after = "0s" }
        [bots.forked]
        script = "main.py"
        args = ["forked"]
        [bots.executed]
        command = ["python", "main.py", "executed"]
    """)
    fleet.up()
    pids = {name: fleet.until(name, state="RUNNING")["pid"] for name in ("forked", "executed")}
    _kill_keeper(fleet)
    for name, pid in pids.items():
        _end(fleet, name, pid)
        fleet.until(name, state="RECOVERING", pid=None)
        last = fleet.detail(name)["last_exit"]
        found = last["reason"], last["exit_code"], last["signal"]
        # An older kernel has the status of a zombie only, and whoever reaped may have been faster.
        assert found == expected or (found == ("unknown", None, None) and not keeps_exit_status())


@pytest.mark.skipif(not keeps_exit_status(), reason="needs Linux 6.15: somebody else reaps, and may be faster")
def test_the_reason_is_true_when_the_keeper_is_not_the_one_that_reaps(fleet: LiveFleet) -> None:
    """A bot of an earlier keeper ends under a new one, which is not its parent and is not waited for."""
    fleet.write("main.py", WAITS.format(end="sys.exit(77)"))
    fleet.configure('[bots.x]\ncommand = ["python", "main.py", "x"]\nready = { after = "0s" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    _kill_keeper(fleet)
    fleet.up(wait=False)
    eventually(lambda: not any(n["subject"] == "keeper" for n in fleet.call("fleet.status")["notes"]), "psvd meets the new keeper")
    _end(fleet, "x", pid)
    bot = fleet.until("x", state="FAILED", reason="auth")
    assert (bot["exit_code"], bot["generation"]) == (77, 1), "told of the first one, not of a second that was started for nothing"


ALL_KINDS = """
    [global]
    ready = { after = "0s" }
    [bots.lives]
    command = ["sleep", "1000"]
    [bots.journaled]
    command = ["python", "main.py", "journaled"]
    restart = { policy = "never" }
    [bots.unseen]
    command = ["python", "main.py", "unseen"]
    restart = { policy = "never" }
    [bots.job]
    command = ["sh", "-c", "echo x >> runs"]
    restart = { policy = "never" }
    [bots.limited]
    command = ["sh", "-c", "echo y >> tries; exit 3"]
    restart = { window = [{ count = 1, within = "10m" }], initial = "0s", base = "0.01s", max = "0.02s" }
    [bots.refused]
    command = ["sh", "-c", "echo z >> refusals; exit 77"]
"""


def _all_kinds(fleet: LiveFleet) -> dict[str, int]:
    fleet.write("main.py", WAITS.format(end="sys.exit(9)"))
    fleet.configure(ALL_KINDS)
    fleet.up()
    fleet.until("job", state="TERMINATED")
    fleet.until("limited", state="FAILED", reason="crash-loop")
    fleet.until("refused", state="FAILED", reason="auth")
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("lives", "journaled", "unseen")}


def _counts(fleet: LiveFleet) -> dict[str, int]:
    return {name: len((fleet.folder / name).read_text().splitlines()) for name in ("runs", "tries", "refusals")}


def test_keeper_and_psvd_killed_together_is_no_cold_start(fleet: LiveFleet) -> None:
    """What rested goes on resting, what ran is adopted, what ended is told as far as it is known."""
    pids = _all_kinds(fleet)
    due = fleet.bot("limited")["next_start_in_s"]
    counts, psvd = _counts(fleet), fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    _end(fleet, "journaled", pids["journaled"])
    eventually(lambda: not Path(f"/proc/{pids['journaled']}").exists(), "the keeper reaped it")
    _kill_keeper(fleet)
    os.kill(psvd, signal.SIGKILL)
    _end(fleet, "unseen", pids["unseen"])
    fleet.up(wait=False)
    assert fleet.until("lives", state="RUNNING")["pid"] == pids["lives"]
    assert fleet.until("journaled", state="FAILED")["reason"] == "code"
    assert fleet.detail("journaled")["last_exit"]["exit_code"] == 9
    assert fleet.until("unseen", state="FAILED")["reason"] == "unknown-while-unsupervised"
    assert "nobody saw its end" in fleet.detail("unseen")["what_to_do"]
    assert fleet.bot("job")["state"] == "TERMINATED"
    assert (fleet.bot("refused")["state"], fleet.detail("refused")["last_exit"]["exit_code"]) == ("FAILED", 77)
    limited = fleet.bot("limited")
    assert (limited["state"], limited["reason"]) == ("FAILED", "crash-loop")
    assert due - 60 < limited["next_start_in_s"] <= due
    assert _counts(fleet) == counts


def test_a_start_after_down_tries_everything_again(fleet: LiveFleet) -> None:
    """An end in order is no accident: jobs run again, and what was given up is tried once more."""
    _all_kinds(fleet)
    before = _counts(fleet)
    fleet.down()
    assert not fleet.paths.running.exists()
    fleet.up()
    fleet.until("refused", state="FAILED")
    fleet.until("job", state="TERMINATED")
    after = eventually(lambda: (now := _counts(fleet))["runs"] > before["runs"] and now, "the job ran again")
    assert all(after[name] > before[name] for name in before)


def test_a_forced_end_is_an_end_too(fleet: LiveFleet) -> None:
    """Two signals kill everything at once; what was killed so is started by the next up, a job included, and not counted."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nrestart = { policy = "never" }\nready = { after = "0s" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGTERM)
    eventually(lambda: "going down" in (fleet.paths.own_logs / "keeper.log").read_text(), "the keeper heard it")
    fleet.keeper.send_signal(signal.SIGTERM)
    fleet.keeper.wait(20)
    fleet.up()
    bot = fleet.until("x", state="RUNNING")
    assert (bot["generation"], bot["restarts"]) == (2, 0)


def test_a_start_timeout_that_psvd_did_not_live_to_see_keeps_its_reason(fleet: LiveFleet) -> None:
    """Why psv ends a process is on disk before the signal."""
    fleet.configure("""
        [bots.x]
        command = ["sleep", "1000"]
        ready = { log = "never" }
        start_timeout = "1s"
        restart = { policy = "never" }
    """)
    fleet.up(wait=False)
    pid, psvd = eventually(lambda: fleet.bot("x")["pid"], "it was born"), fleet.role_pid("psvd")
    keeper = fleet.keeper
    assert keeper is not None
    keeper.send_signal(signal.SIGSTOP)  # it will not tell of the exit
    record = fleet.paths.bot_run("x") / "record"
    eventually(lambda: (read_record(record) or {}).get("override") == "start-timeout", "the intent is on disk")
    eventually(lambda: _gone(pid), "it is killed")
    os.kill(psvd, signal.SIGKILL)
    keeper.send_signal(signal.SIGCONT)
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("x", state="FAILED")["reason"] == "start-timeout"


def test_an_exit_that_is_noted_is_not_counted_twice(fleet: LiveFleet) -> None:
    """psvd may die between the row in psv.db and its record: the next one finds both the row and the journal."""
    fleet.write("main.py", WAITS.format(end="sys.exit(3)"))
    fleet.configure('[bots.x]\ncommand = ["python", "main.py", "x"]\nready = { after = "0s" }\nrestart = { policy = "never" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    record = fleet.paths.bot_run("x") / "record"
    running = record.read_bytes()
    _end(fleet, "x", pid)
    fleet.until("x", state="FAILED", reason="code")
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    record.write_bytes(running)
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("x", state="FAILED")["reason"] == "code"
    assert _exits(fleet, "x") == 1


def _exits(fleet: LiveFleet, bot: str) -> int:
    store = Store(fleet.paths.database)
    try:
        return len(store.counted_exits(bot, 600.0))
    finally:
        store.close()


def test_the_record_says_who_runs_since_when_under_which_lock_and_from_where_in_the_log(fleet: LiveFleet) -> None:
    """An operator without psv can read all of it; a second generation begins where the first one's output ended."""
    fleet.configure('[bots.x]\ncommand = ["sh", "-c", "echo hello; sleep 1000"]\nready = { log = "hello" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]

    def facts() -> dict[str, Any]:
        return dict(read_record(fleet.paths.bot_run("x") / "record") or {})

    first = facts()
    assert first["identity"]["pid"] == pid and first["identity"]["start_ticks"] and first["identity"]["boot_id"]
    assert (first["generation"], first["lock"]) == (1, "run/bots/x/lock")
    assert first["log"]["stdout"][1] == 0
    size = len((fleet.paths.bot_logs("x") / "stdout.log").read_bytes())
    fleet.call("bot.restart", names=["x"])
    second = facts()
    assert second["generation"] == 2 and second["started_at"] > first["started_at"]
    assert second["log"]["stdout"] == [1, size]
