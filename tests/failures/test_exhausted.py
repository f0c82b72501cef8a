"""The machine has no process, descriptor or memory left: starts wait together, nothing spins, nothing is burnt, all goes on by itself."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import ECHO

BOTS = 8


def _note(fleet: LiveFleet) -> str:
    return next((n["message"] for n in fleet.call("fleet.status")["notes"] if n["subject"] == "starts"), "")


def _limit(pid: int, which: int, soft: int) -> int:
    """Set a soft limit of a running process and return the one before; what it holds already stays."""
    before, hard = resource.prlimit(pid, which)
    resource.prlimit(pid, which, (soft, hard))
    return before


def _configure(fleet: LiveFleet, kind: str) -> None:
    fleet.write("bots.py", ECHO)
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    what = {"native": 'run = "bots:bot"', "script": 'script = "main.py"', "command": 'command = ["sleep", "1000"]'}[kind]
    ready = "" if kind == "native" else 'ready = { after = "0s" }\n'
    bots = "".join(f"[bots.b{n}]\nautostart = false\n" for n in range(BOTS))
    fleet.configure(f'[global]\n{what}\n{ready}[bots.first]\n{bots}')


@pytest.mark.parametrize(("kind", "who"), [("command", "keeper"), ("script", "zygote"), ("native", "zygote")])
def test_without_descriptors_starts_wait_together_and_go_on_by_themselves(fleet: LiveFleet, kind: str, who: str) -> None:
    """EMFILE in the keeper or in the zygote: few attempts, no exit, no restart counted; what runs is untouched."""
    _configure(fleet, kind)
    fleet.up()
    pid = fleet.role_pid(who)
    first = fleet.until("first", state="RUNNING")["pid"]
    before = _limit(pid, resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{pid}/fd")))
    try:
        fleet.call("bot.start", names=["b*"], wait=False)
        eventually(lambda: f"wait: {BOTS}" in _note(fleet) and "refused so far: 3" in _note(fleet), "three tries")
        found = {b["name"]: b for b in fleet.call("bot.list", names=["b*"])}
        assert {b["state"] for b in found.values()} <= {"RECOVERING", "INITIALIZING"}
        assert {(b["restarts"], b["exit_code"]) for b in found.values()} == {(0, None)}
        assert sum(b["generation"] for b in found.values()) <= BOTS + 3, "all at once, then one at a time"
        assert fleet.bot("first")["pid"] == first
        fleet.call("bot.stop", names=["b0"])
    finally:
        _limit(pid, resource.RLIMIT_NOFILE, before)
    for number in range(1, BOTS):
        fleet.until(f"b{number}", state="RUNNING", restarts=0)
    assert fleet.bot("b0")["state"] == "STOPPED", "who was stopped meanwhile is not started"
    eventually(lambda: _note(fleet) == "", "the note goes")


@pytest.mark.skipif(os.geteuid() == 0, reason="RLIMIT_NPROC does not bind root")
@pytest.mark.parametrize(("kind", "who"), [("command", "keeper"), ("script", "zygote")])
def test_without_processes_starts_wait_too(fleet: LiveFleet, kind: str, who: str) -> None:
    """EAGAIN of fork is the same to the breaker."""
    _configure(fleet, kind)
    fleet.up()
    pid = fleet.role_pid(who)
    before = _limit(pid, resource.RLIMIT_NPROC, 1)
    try:
        fleet.call("bot.start", names=["b*"], wait=False)
        eventually(lambda: "refused so far: 3" in _note(fleet), "three tries")
        assert "fork" in _note(fleet)
    finally:
        _limit(pid, resource.RLIMIT_NPROC, before)
    for number in range(BOTS):
        fleet.until(f"b{number}", state="RUNNING", restarts=0)


def test_psvd_without_descriptors_starts_nothing_and_loses_nobody(fleet: LiveFleet) -> None:
    """The brain itself is at its limit: no bot is stuck, and an exit is still known by the keeper's word."""
    _configure(fleet, "native")
    fleet.up()
    pid = fleet.role_pid("psvd")
    first = fleet.until("first", state="RUNNING")["pid"]
    fleet.call("bot.start", names=["b0"], wait=False)
    before = _limit(pid, resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{pid}/fd")))
    try:
        os.kill(first, 9)
        eventually(lambda: not Path(f"/proc/{first}").exists(), "the keeper reaped it")
    finally:
        _limit(pid, resource.RLIMIT_NOFILE, before)
    fleet.until("first", state="RUNNING", restarts=1)
    fleet.until("b0", state="RUNNING")
