"""Rows 9 and 10: what hang detection costs with 200 bots, and what the others notice while one bot hangs.

`sweep_percent` is the check itself over the real pulses of 200 bots, run here and timed in CPU seconds; `bots_percent` is what all
200 bots use when nobody talks to them, which is their beats. The causes of row 10 follow each other in rounds, a quiet window before
each: p99 of the replies of 20 other bots from the moment one is told to hang until its successor is ready, beside that of the quiet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import PROGRAMS, Program
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.starts import PRELOAD
from benchmarks.rows.talk import Pollster, post
from processsupervisor.health.hangs import Hangs
from processsupervisor.health.verdict import SWEEP_S, Sweep
from processsupervisor.kernel.identity import Identity

CAUSES = ("block", "deadlock", "busy", "stop", "leak")
OUTSIDE = {"busy": "sum(range(10**15))", "leak": "import time\nx = []\nwhile True: x.append(bytearray(b'x' * 5_000_000)); time.sleep(0.02)"}
_OUTSIDE_S = 3.0  # about what a cause lasts: hang_after, the saving of stacks, the successor's start
_SWEEPS = 20
_SETTLE_S = 5.0
_QUIET_S = 6.0
_ROUNDS = 5
_OTHERS = 20
POLICY = 'hang_after = "2s"\nrecycle = { max_memory_hard = "150MB" }'


@dataclass
class Seen:
    """A bot as the check sees it."""

    name: str
    generation: int
    process: Identity | None
    via: str = "zygote"
    spec: Any = None
    life: Any = None


def detection(bench: Bench) -> Row:
    """Row 9."""
    count = 20 if bench.quick else 200
    row = Row(9, f"hang detection with {count} native bots, % of a core", [Goal("sweep_percent", 0.5)])
    programs = [native(f"b{n:04}", n) for n in range(count)]
    with bench.guarded(row, "psv"), bench.running(lambda folder: Psv(folder, PRELOAD), programs) as system:
        assert isinstance(system, Psv)
        system.wait_until_up(count)
        time.sleep(_SETTLE_S)
        pids = [int(bot["pid"]) for bot in system.bots()]
        row.measured["psv"] = _sweep(system) | {
            "psvd_percent": measure.cpu_percent([system.brain_pid()], 20),
            "bots_percent": measure.cpu_percent(pids, 20),
        }
    return row


def _sweep(system: Psv) -> dict[str, float]:
    """Return the CPU time of a sweep over all bots in ms, and what that is of a core at one sweep a second."""
    bots = [Seen(b["name"], b["generation"], Identity.of(b["pid"]), spec={"hang_after_s": 30.0}) for b in system.bots()]
    hangs = Hangs(system.paths)
    began = time.process_time()
    for number in range(_SWEEPS):
        time.sleep(SWEEP_S)  # as psvd does: caches are cold, and every bot has beaten since
        for bot in bots:
            assert hangs.look(bot, Sweep(number, is_late=False)) is None
    used_s = (time.process_time() - began) / _SWEEPS
    beating = sum(hangs.vitals(bot)["beat_age_s"] is not None for bot in bots)
    return {"bots_that_beat": beating, "sweep_ms": 1000 * used_s, "sweep_percent": 100 * used_s}


def others(bench: Bench) -> Row:
    """Row 10: in ms; `ratio` is the worst cause's p99 beside that of the quiet windows."""
    row = Row(10, f"reply latency of {_OTHERS} bots while another one hangs, p99", [Goal("worst_ratio", 1.2)])
    victim = Program("victim", PROGRAMS / "victim.py", {"BOT_TOKEN": "9:v"}, native=True)
    programs = [*(native(f"b{n:04}", n) for n in range(_OTHERS)), victim]
    with bench.guarded(row, "psv"), bench.running(lambda folder: Psv(folder, PRELOAD, policy=POLICY), programs) as system:
        assert isinstance(system, Psv)
        system.wait_until_ready(60)
        row.measured["psv"] = asyncio.run(_others(system, 1 if bench.quick else _ROUNDS))
    return row


async def _others(system: Psv, rounds: int) -> dict[str, float]:
    pollster = Pollster(system.paths, [f"b{n:04}" for n in range(_OTHERS)])
    await pollster.begin()
    samples: dict[str, list[float]] = {"quiet": []} | {cause: [] for cause in CAUSES} | {f"outside_{name}": [] for name in OUTSIDE}
    await asyncio.sleep(_SETTLE_S)
    for _ in range(rounds):
        for cause in CAUSES:
            pollster.take()
            await asyncio.sleep(_QUIET_S)
            samples["quiet"] += pollster.take()
            await hang(system, cause)
            samples[cause] += pollster.take()
        for name, program in OUTSIDE.items():
            await asyncio.sleep(_QUIET_S)
            pollster.take()
            await _burden(program, 0.7 if name == "leak" else _OUTSIDE_S)
            samples[f"outside_{name}"] += pollster.take()
    await pollster.end()
    p99 = {name: measure.Spread.of(found).p99 for name, found in samples.items()}
    found = {"quiet_p50_ms": measure.Spread.of(samples["quiet"]).p50} | {f"{name}_p99_ms": value for name, value in p99.items()}
    return found | {"worst_ratio": max(p99[cause] for cause in CAUSES) / p99["quiet"], "samples": sum(map(len, samples.values()))}


async def _burden(program: str, seconds: float) -> None:
    """Run a program that belongs to no fleet for some seconds and kill it."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await asyncio.sleep(seconds)
    process.kill()
    await process.wait()
    await asyncio.sleep(_OUTSIDE_S - seconds)


async def hang(system: Psv, cause: str) -> None:
    """Let the victim hang and wait until its successor is ready; AssertionError when it was replaced for another reason."""
    before = await asyncio.to_thread(_victim, system)
    if cause == "stop":
        os.kill(int(before["pid"]), signal.SIGSTOP)
    else:
        await post(system.paths, "victim", f"{cause}-{before['generation']}", cause)
    deadline = time.monotonic() + 60
    while (now := await asyncio.to_thread(_victim, system))["generation"] == before["generation"] or now["state"] != "RUNNING":
        assert time.monotonic() < deadline, f"the victim of {cause} was not replaced: {now['state']}"
        await asyncio.sleep(0.5)
    wanted = "memory-policy" if cause == "leak" else "hang"
    assert now["last_exit"]["reason"] == wanted, f"{cause} ended as {now['last_exit']['reason']}, expected {wanted}"


def _victim(system: Psv) -> dict[str, Any]:
    with system.client() as client:
        return dict(client.call("bot.status", {"names": ["victim"]})[0])
