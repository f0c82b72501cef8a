"""Rows 1 to 3: from nothing to ready, and what it weighs. The peers run the same main.py, byte for byte."""

from __future__ import annotations

import time

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import System
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.talk import talk_to_all

PRELOAD = ("openai", "aiogram")
_SETTLE_S = 3.0


def scripts(bench: Bench) -> Row:
    """Row 1: 20 copies of one unmodified main.py; ready = its first getUpdates, seen by the Bot API."""
    count = 4 if bench.quick else 20
    row = Row(1, f"{count} copies of one unmodified aiogram main.py, from nothing to all ready",
              [Goal("ready_s", 8), Goal("memory_mb", 450)])

    def one(kind: type[System]) -> dict[str, float]:
        programs = bench.programs("main.py", count)
        began = time.monotonic()
        with bench.running(kind, programs) as system:
            ready = bench.api.wait_for_tokens([p.env["BOT_TOKEN"] for p in programs], 300) - began
            time.sleep(_SETTLE_S)
            return {"ready_s": ready, "memory_mb": measure.pss_mb(measure.tree(*system.roots()))}

    return bench.each(row, one)


def natives(bench: Bench) -> Row:
    """Row 2: 20 native bots; ready = psvd was told so. The peers' numbers are those of row 1: they have no such kind."""
    count = 4 if bench.quick else 20
    row = Row(2, f"{count} native bots, {' + '.join(PRELOAD)} preloaded, from nothing to all ready",
              [Goal("ready_s", 5), Goal("memory_mb", 300)])
    programs = [native(f"b{n:04}", n) for n in range(count)]
    with bench.guarded(row, "psv"):
        began = time.time()
        with bench.running(lambda folder: Psv(folder, PRELOAD), programs) as system:
            assert isinstance(system, Psv)
            system.wait_until_ready(120)
            ready = max(bot["ready_at"] for bot in system.bots()) - began
            time.sleep(_SETTLE_S)
            row.measured["psv"] = {"ready_s": ready, "memory_mb": measure.pss_mb(measure.tree(*system.roots()))}
    return row


def thousand(bench: Bench) -> Row:
    """Row 3: 1,000 native bots, each answers a message, `psv bot list` works, all stop. The clock starts at the first fork."""
    count = 50 if bench.quick else 1000
    row = Row(3, f"{count} native bots", [Goal("ready_after_preload_s", 20), Goal("idle_pss_mb_each", 4)])
    programs = [native(f"b{n:04}", n) for n in range(count)]
    with bench.guarded(row, "psv"):
        began = time.time()
        with bench.running(lambda folder: Psv(folder, PRELOAD), programs) as system:
            assert isinstance(system, Psv)
            row.measured["psv"] = _life_of(system, count, began)
    return row


def _life_of(system: Psv, count: int, began: float) -> dict[str, float]:
    system.wait_until_ready(300)
    bots = system.bots()
    odd = [f"{bot['name']} {bot['state']} {bot['reason']}" for bot in bots if bot["state"] != "RUNNING"]
    assert len(bots) == count and not odd, f"{len(bots)} of {count}, not running: {odd[:5]}"
    ready = max(bot["ready_at"] for bot in bots)
    found = {"ready_s": ready - began, "ready_after_preload_s": ready - min(measure.started_at(bot["pid"]) for bot in bots)}
    time.sleep(_SETTLE_S)
    found["idle_pss_mb_each"] = measure.pss_mb(bot["pid"] for bot in bots) / count
    found["own_pss_mb"] = measure.pss_mb(system.own_pids())
    answers = talk_to_all(system.paths, [bot["name"] for bot in bots])
    found |= {"answered": answers.count, "all_answered_s": answers.seconds}
    found["bot_list_ms_p50"] = measure.time_command(system.list_command(), system.environment(), 5).p50
    after = {bot["name"]: bot["pid"] for bot in system.bots()}
    assert after == {bot["name"]: bot["pid"] for bot in bots}, "a bot was restarted while it should have lived on"
    stopping = time.monotonic()
    system.stop()
    found["all_stopped_s"] = time.monotonic() - stopping
    left = [pid for pid in after.values() if measure.pss_bytes(pid)]
    assert not left, f"{len(left)} bots outlived psv down"
    return found
