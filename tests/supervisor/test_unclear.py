"""What a new psvd cannot decide at once: leftovers that hold a lock, holders that cannot be verified. Others do not wait for them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State
from processsupervisor.launch.locks import read_holder
from processsupervisor.supervisor.adoption import Finding, Outcome
from processsupervisor.supervisor.reconcile import Reconcile

TWO = """
    [global]
    ready = { after = "0s" }
    [bots.unclear]
    command = ["python", "main.py"]
    [bots.other]
    command = ["sleep", "1000"]
"""
LEAVES_A_CHILD = """
    import os, subprocess, sys, time
    kept = [int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) >= 100]
    child = subprocess.Popen(["sleep", "1000"], pass_fds=kept if sys.argv[1:] != ["closed"] else (), start_new_session=True)
    print("child", child.pid, flush=True)
    time.sleep(1000)
"""


def _up(fleet: LiveFleet, text: str = TWO) -> dict[str, int]:
    fleet.configure(text)
    fleet.up()
    pids = {name: fleet.until(name, state="RUNNING")["pid"] for name in ("unclear", "other")}
    # Ready after 0 s is ready when forked: the child may not have come to its lock yet, whose note is blank until then.
    eventually(lambda: (read_holder(_lock(fleet)) or {}).get("pid") == pids["unclear"], "the bot has signed its lock")
    return pids


def _swap(fleet: LiveFleet, change: bytes | None = None, *, kill: int | None = None) -> None:
    """Stop psvd, change the note in the lock or kill a process behind its back, and let a new psvd look."""
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    if change is not None:
        _lock(fleet).write_bytes(change)
        (fleet.paths.bot_run("unclear") / "record").write_bytes(b"torn")
    if kill is not None:
        os.kill(kill, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{kill}").exists(), "the keeper reaped it")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")


def _lock(fleet: LiveFleet) -> Path:
    return fleet.paths.bot_run("unclear") / "lock"


def _child_said(fleet: LiveFleet) -> int:
    """Wait for the whole line; it is written in pieces."""
    return int(eventually(lambda: (said := fleet.output("unclear")).endswith("\n") and said, "it says its child").split()[1])


def test_a_holder_that_cannot_be_verified_is_left_alone_until_it_can_be(fleet: LiveFleet) -> None:
    """Neither signalled nor doubled; the others run, commands are answered, an operator is told what to do."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    pids = _up(fleet)
    note = _lock(fleet).read_bytes()
    _swap(fleet, note.replace(b'"pid_namespace": ', b'"pid_namespace": 1')[:1024])
    unclear = fleet.bot("unclear")
    assert (unclear["state"], unclear["reason"], unclear["pid"]) == ("UNKNOWN", "unknown", None)
    assert "see who holds .psv/run/bots/unclear/lock" in fleet.detail("unclear")["what_to_do"]
    assert fleet.until("other", state="RUNNING")["pid"] == pids["other"]
    assert fleet.call("bot.restart", names=["other"])[0]["ok"]
    assert fleet.call("fleet.status")["adoption"]["outcomes"] == {"adopted": 1, "cannot-tell": 1}
    assert fleet.copies("unclear") == [pids["unclear"]]
    with _lock(fleet).open("r+b") as file:  # as a bot signs it: never empty in between
        file.write(note)
    assert fleet.until("unclear", state="RUNNING")["pid"] == pids["unclear"]


def test_a_torn_note_and_record_do_not_double_the_bot_and_its_end_frees_it(fleet: LiveFleet) -> None:
    """Nothing says who holds the lock; when it is let go the bot is started."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    pids = _up(fleet)
    _swap(fleet, b'{"pid": 12')
    assert fleet.bot("unclear")["state"] == "UNKNOWN"
    assert fleet.copies("unclear") == [pids["unclear"]]
    os.kill(pids["unclear"], signal.SIGKILL)
    pid = fleet.until("unclear", state="RUNNING")["pid"]
    assert pid != pids["unclear"]
    eventually(lambda: fleet.copies("unclear") == [pid], "one copy, which has its name by now")


def test_what_a_dead_bot_left_behind_is_killed_before_the_next_one_starts(fleet: LiveFleet) -> None:
    """The lock is held below it: LEFTOVERS, a moment later RECOVERING with the journaled reason, then generation 2."""
    fleet.write("main.py", LEAVES_A_CHILD)
    pids = _up(fleet)
    child = _child_said(fleet)
    _swap(fleet, kill=pids["unclear"])
    bot = fleet.until("unclear", state="RUNNING", generation=2)
    assert (bot["reason"], bot["restarts"]) == ("signal", 1)
    eventually(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")
    outcomes = fleet.call("fleet.status")["adoption"]["outcomes"]
    assert outcomes == {"adopted": 1, "leftovers": 1}
    assert fleet.bot("other")["pid"] == pids["other"]


def test_a_child_that_closed_the_lock_dies_with_its_bot_too(fleet: LiveFleet) -> None:
    """subprocess closes descriptors; the mark in the environment is enough."""
    fleet.write("main.py", LEAVES_A_CHILD)
    pids = _up(fleet, TWO.replace('"main.py"', '"main.py", "closed"'))
    child = _child_said(fleet)
    _swap(fleet, kill=pids["unclear"])
    fleet.until("unclear", state="RUNNING", generation=2)
    eventually(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")


def test_a_stop_of_an_unclear_bot_is_kept_and_done_when_it_is_clear(fleet: LiveFleet) -> None:
    """What is wanted is durable at once; nothing is signalled for it before somebody is proven to be the bot."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    pids = _up(fleet)
    note = _lock(fleet).read_bytes()
    _swap(fleet, b"")
    fleet.call("bot.stop", names=["unclear"], wait=False)
    assert (fleet.bot("unclear")["state"], fleet.bot("unclear")["wanted"]) == (State.UNKNOWN, "down")
    assert fleet.copies("unclear") == [pids["unclear"]]
    assert json.loads(note.rstrip(b"\0 "))["pid"] == pids["unclear"]
    _lock(fleet).write_bytes(note)
    assert fleet.until("unclear", state="STOPPED")["reason"] == Reason.ADMIN
    assert fleet.copies("unclear") == []


def test_a_bot_born_of_a_dead_psvds_request_is_taken_and_not_fought(fleet: LiveFleet) -> None:
    """The zygote is stopped while psvd asks and dies; later it serves both psvds. One child gets the lock, and that one is the bot."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure("""
        [global]
        script = "main.py"
        ready = { after = "0s" }
        [bots.first]
        [bots.late]
        autostart = false
    """)
    fleet.up()
    zygote = fleet.kill_role("zygote", signal.SIGSTOP)
    fleet.call("bot.start", names=["late"], wait=False)
    eventually((fleet.paths.bot_run("late") / "spec.json").exists, "the launch is under way")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.bot("late")["state"] == "STARTING"
    os.kill(zygote, signal.SIGCONT)
    pid = fleet.until("late", state="RUNNING")["pid"]
    eventually(lambda: fleet.copies("late") == [pid], "one copy", 5)
    assert fleet.until("late", state="RUNNING")["pid"] == pid


def test_a_bot_that_a_change_let_go_is_looked_for_no_more() -> None:
    """psvd would end over a bot that it has not any more."""
    finding = Finding(Outcome.CANNOT_TELL)
    fleet: Any = SimpleNamespace(handles={}, is_going_down=False, paths=None)
    reconcile = Reconcile.__new__(Reconcile)
    reconcile._fleet, reconcile._waiting = fleet, {"gone": finding}
    asyncio.run(asyncio.wait_for(reconcile.settle(), 5))
    assert not reconcile._waiting
