"""Row 5: SIGKILL of the supervisor itself under 200 and 1,000 bots that go on: how many are found again, how many doubled.

Every bot is the same `sleep`. psvd is started again by the keeper; the peers' daemons are started again as their operator would.
runit and s6 are left out: they have a supervisor for each program.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import Program, System, kill_if_there
from benchmarks.peers.circus import Circus
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.psv import Psv
from benchmarks.peers.supervisord import Supervisord
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError

_SYSTEMS = (Psv, Supervisord, Circus, Pm2)
_SETTLE_S = 3.0
_PATIENCE_S = 300.0
_ROUNDS = 5


def adoption(bench: Bench) -> Row:
    """Measure psv `_ROUNDS` times a fleet and keep the worst time; a peer's fleet is doubled after one."""
    row = Row(5, "SIGKILL of the supervisor: until all bots are found again", [
        Goal("all_200_s", 1), Goal("doubled_200", 0), Goal("restarted_200", 0), Goal("doubled_1000", 0), Goal("restarted_1000", 0)])

    for kind in (kind for kind in bench.systems() if kind in _SYSTEMS):
        with bench.guarded(row, kind.name):
            for count in (20,) if bench.quick else (200, 1000):
                row.measured.setdefault(kind.name, {}).update(_measure(bench, kind, count))
            print(f"  {kind.name}: {row.measured[kind.name]}", flush=True)
    return row


def _measure(bench: Bench, kind: Callable[[Path], System], count: int) -> dict[str, float]:
    prefix = f"adopt-{secrets.token_hex(4)}-"
    programs = [Program(f"b{n:04}", Path("sleep"), {"BOT_TOKEN": f"{prefix}{n}"}, command=("sleep", "100000")) for n in range(count)]
    try:
        with bench.running(kind, programs) as system:
            _until(lambda: len(measure.pids_by_token(prefix)) == count, "all bots run")
            system.wait_until_up(count)
            before = measure.pids_by_token(prefix)
            assert all(len(pids) == 1 for pids in before.values()), "a bot was doubled before anything was killed"
            time.sleep(_SETTLE_S)
            times = [_kill_brain(system, count) for _ in range(_ROUNDS if isinstance(system, Psv) else 1)]
            time.sleep(_SETTLE_S)
            after = measure.pids_by_token(prefix)
            return {
                f"all_{count}_s": max(times),
                f"doubled_{count}": sum(len(pids) > 1 for pids in after.values()),
                f"restarted_{count}": sum(token in after and not set(pids) & set(after[token]) for token, pids in before.items()),
                f"lost_{count}": sum(token not in after for token in before),
            }
    finally:
        for pids in measure.pids_by_token(prefix).values():
            for pid in pids:
                kill_if_there(pid)


def _kill_brain(system: System, count: int) -> float:
    """Kill, bring back, and return the seconds until the supervisor has all its bots again (or has made them again)."""
    if isinstance(system, Psv):
        pids = {bot["name"]: bot["pid"] for bot in system.bots()}
        victim = system.brain_pid()
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        _until(lambda: _running(system) == pids, "psvd has every bot again", 0.002)
        return time.monotonic() - began
    victim = system.brain_pid()
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    system.bring_back()
    _until(lambda: system.roots() not in ([], [victim]) and len(measure.tree(*system.roots())) > count, "the daemon has its programs", 0.1)
    return time.monotonic() - began


def _running(system: Psv) -> dict[str, int]:
    try:
        with ControlClient(system.paths, 5) as client:
            return {bot["name"]: bot["pid"] for bot in client.call("bot.list") if bot["state"] == "RUNNING"}
    except (PsvError, OSError):
        return {}


def _until(is_so: Callable[[], bool], what: str, step_s: float = 0.2) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_PATIENCE_S:.0f} s: {what}")
        time.sleep(step_s)
