"""Own processes killed with -9 while they are in the middle of it: many bots starting or stopping at once. Each ends up once, as wanted."""

from __future__ import annotations

import os
import signal

import pytest
from tests.supervisor.live import LiveFleet, eventually

COUNT = 12


def _many(fleet: LiveFleet) -> list[str]:
    fleet.write("main.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    bots = "".join(f"[bots.b{n}]\n{kind}\n" for n, kind in enumerate(['script = "main.py"', 'command = ["python", "main.py"]'] * (COUNT // 2)))
    fleet.configure('[global]\nready = { log = "up" }\n' + bots)
    fleet.up(wait=False)
    return [f"b{n}" for n in range(COUNT)]


def _kill(fleet: LiveFleet, role: str) -> None:
    for lock in fleet.paths.run.glob(f"{role}*.lock"):
        digits = "".join(c if c.isdigit() else " " for c in lock.read_text().partition("start_ticks")[0]).split()
        if digits:
            try:
                os.kill(int(digits[-1]), signal.SIGKILL)
            except ProcessLookupError:
                pass


def _each_runs_once(fleet: LiveFleet, names: list[str]) -> None:
    eventually(fleet.answers, "psvd answers")
    for name in names:
        fleet.until(name, state="RUNNING")
    for name in names:
        eventually(lambda name=name: fleet.copies(name) == [fleet.bot(name)["pid"]], f"{name} runs once")


@pytest.mark.parametrize("role", ["zygote", "psvd", "logd"])
def test_killed_while_bots_start(fleet: LiveFleet, role: str) -> None:
    """Again and again, until all bots have become ready: none twice, none forgotten, no start counted as a crash."""
    names = _many(fleet)
    for _ in range(5):
        eventually(lambda: any(fleet.paths.run.glob(f"{role}*.lock")), f"{role} has its lock")
        _kill(fleet, role)
        eventually(fleet.answers, "psvd answers")
        if all(bot["state"] == "RUNNING" for bot in fleet.call("bot.list")):
            break
    _each_runs_once(fleet, names)
    counted = {bot["name"]: fleet.detail(bot["name"])["last_exit"] for bot in fleet.call("bot.list") if bot["restarts"]}
    assert {n: (r["reason"], r["message"], r["exit_code"], r["signal"]) for n, r in counted.items()} == {}


@pytest.mark.parametrize("role", ["psvd", "logd", "zygote"])
def test_killed_while_bots_stop(fleet: LiveFleet, role: str) -> None:
    """What was to be stopped is stopped, what was to be restarted runs once."""
    names = _many(fleet)
    _each_runs_once(fleet, names)
    stopped, restarted = names[: COUNT // 2], names[COUNT // 2 :]
    fleet.call("bot.stop", names=stopped, wait=False)
    fleet.call("bot.restart", names=restarted, wait=False)
    _kill(fleet, role)
    eventually(fleet.answers, "psvd answers")
    for name in stopped:
        fleet.until(name, state="STOPPED")
        assert fleet.copies(name) == []
    _each_runs_once(fleet, restarted)
