"""Row 4: SIGKILL of one bot to its successor ready, the first delay being 0.

Programs of all systems are heard by the Bot API double; a native bot is ready when psvd's watch says so. Kills are more than a
second apart, so that the throttles of young services (runit, s6) do not count against them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.measure import Spread
from benchmarks.peers.base import System
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.starts import PRELOAD
from processsupervisor.ipc.client import ControlClient

_APART_S = 1.4
_KILLS, _REAL_PEER_KILLS = 20, 5


def kills(bench: Bench) -> Row:
    """Peers: a light program (imports nothing) 20 times, the real main.py 5 times, since each takes seconds."""
    row = Row(4, "SIGKILL of a bot to its successor ready, p50", [Goal("native_ms", 40), Goal("script_ms", 100)])

    def one(kind: type[System]) -> dict[str, float]:
        count = 5 if bench.quick else _KILLS
        is_psv = kind is Psv
        light = _program_kills(bench, kind, "light.py", count)
        real = _program_kills(bench, kind, "main.py", count if is_psv else min(count, _REAL_PEER_KILLS))
        if not is_psv:
            return {"light_ms": light.p50, "script_ms": real.p50, "script_worst_ms": real.p99}
        own = _native_kills(bench, count)
        return {"native_ms": own.p50, "native_worst_ms": own.p99, "light_ms": light.p50, "script_ms": real.p50, "script_worst_ms": real.p99}

    return bench.each(row, one)


def _program_kills(bench: Bench, kind: Callable[[Path], System], script: str, count: int) -> Spread:
    [program] = bench.programs(script, 1)
    token = program.env["BOT_TOKEN"]
    samples = []
    with bench.running(kind, [program]) as system:
        bench.api.wait_for_tokens([token], 120)
        for number in range(count):
            time.sleep(_APART_S)
            victim = system.pid_of(program)
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            samples.append(1000 * (bench.api.wait_for_arrival(token, number + 2, 60) - killed))
    return Spread.of(samples)


class _Watch:
    """Follows psvd's transitions in a thread and tells when the bot became RUNNING."""

    def __init__(self, system: Psv) -> None:
        self._client: ControlClient = system.client()
        self._ready = threading.Event()
        self.at = 0.0
        threading.Thread(target=self._follow, name="watch", daemon=True).start()

    def _follow(self) -> None:
        for event in self._client.stream("fleet.watch", timeout_s=120):
            if event.get("kind") == "transition" and event.get("to") == "RUNNING":
                self.at = time.monotonic()
                self._ready.set()

    def arm(self) -> None:
        self._ready.clear()

    def wait(self) -> float:
        if not self._ready.wait(60):
            raise TimeoutError("no successor became RUNNING")
        return self.at


def _native_kills(bench: Bench, count: int) -> Spread:
    program = native("b0000", 0)
    samples = []
    with bench.running(lambda folder: Psv(folder, PRELOAD), [program]) as system:
        assert isinstance(system, Psv)
        system.wait_until_ready(60)
        watch = _Watch(system)
        for _number in range(count):
            time.sleep(_APART_S)
            victim = system.pid_of(program)
            watch.arm()
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            samples.append(1000 * (watch.wait() - killed))
    return Spread.of(samples)
