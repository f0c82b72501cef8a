"""`python -m benchmarks.bench_hangs [--bots N] [--seconds S]`: what hang detection costs, on a fleet of native bots that do nothing.

`sweep_*` is the check itself over the real pulses of these bots, run here and timed in CPU seconds; `psvd_percent` is all that the
fleet's psvd uses meanwhile, `bots_percent` what all bots together use, which is their beats. Percent of one core; goal 0.5 for the sweep.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.botapi import BotApi
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.starts import PRELOAD
from processsupervisor.health.hangs import Hangs
from processsupervisor.health.verdict import SWEEP_S, Sweep
from processsupervisor.kernel.identity import Identity

_SWEEPS = 20
_SETTLE_S = 5.0


@dataclass
class Seen:
    """A bot as the check sees it."""

    name: str
    generation: int
    process: Identity | None
    via: str = "zygote"
    spec: Any = None
    life: Any = None


def measure_sweep(system: Psv) -> dict[str, float]:
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
    return {"bots_that_beat": beating, "sweep_ms": round(1000 * used_s, 3), "sweep_percent": round(100 * used_s, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    programs = [native(f"b{n:04}", n) for n in range(chosen.bots)]
    with BotApi() as api, Bench(api).running(lambda folder: Psv(folder, PRELOAD), programs) as system:
        assert isinstance(system, Psv)
        system.wait_until_up(chosen.bots)
        time.sleep(_SETTLE_S)
        pids = [int(bot["pid"]) for bot in system.bots()]
        found = measure_sweep(system)
        psvd = measure.cpu_percent([system.brain_pid()], chosen.seconds)
        bots = measure.cpu_percent(pids, chosen.seconds)
        memory_mb = measure.pss_mb(pids) / len(pids)
        print(json.dumps(found | {"psvd_percent": round(psvd, 3), "bots_percent": round(bots, 3), "bot_pss_mb": round(memory_mb, 2),
                                  "psvd_mb": round(measure.pss_mb([system.brain_pid()]), 1)}))


if __name__ == "__main__":
    main()
