"""A kill a second under 1 MB/s of logs: what the own processes cost must not grow. `python -m tests.chaos soak`.

Only bots are killed: a slope means something over a long life. What makes an own process grow with its replacements is the
chaos run's to show. A warm-up is left out of every life: psvd's database fills its page cache (2 MB) in that time. Judged is the
growth over the watched time, by least squares, so that a short run is not failed by noise that an hour would level; the slope
an hour is stated beside it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.checks import Ledger
from tests.chaos.crowd import Crowd, Load
from tests.chaos.fleet import ChaosFleet, Shape, splits
from tests.chaos.killer import Act, Killer
from tests.chaos.sampler import Sampler
from tests.chaos.slopes import Costs, Slope

_LINES_A_TURN, _TURN_S = 10, 0.1
_BYTES_PER_S = 1_000_000
_MB = float(1 << 20)
GROWN = {"pss_bytes": 1.5 * _MB, "rss_bytes": 1.5 * _MB, "descriptors": 3.0, "threads": 0.5}
"""So much may be grown at the end of the watched time by chance: a bot between two lives, a page shared by one process fewer."""
PER_HOUR = {"pss_bytes": 2.0 * _MB, "rss_bytes": 2.0 * _MB, "descriptors": 2.0, "threads": 0.5}
"""And so much more for each hour of it."""


def limit(slope: Slope) -> float:
    """Return how much a cost may have grown over the time it was watched."""
    return GROWN[slope.unit] + PER_HOUR[slope.unit] * slope.watched_s / 3600


class Soak:
    """One run over one fleet; `warm_up_s` is left out of every life."""

    def __init__(self, folder: Path, bots: int, seed: int, *, warm_up_s: float, say: Callable[[str], None] = print) -> None:
        native, script, command = splits(bots)
        width = _BYTES_PER_S * _TURN_S / (script + command) / _LINES_A_TURN
        shape = Shape(native, script, command, _LINES_A_TURN, _TURN_S, min(round(width), 400), log_max="2MB", log_keep=4)
        self._fleet = ChaosFleet(folder, shape)
        self._seed = seed
        self._say = say
        self._costs = Costs(warm_up_s, least_watched_s=warm_up_s)
        self._kills = 0

    def run(self, minutes: float) -> tuple[dict[str, Any], bool]:
        """Return the result and whether nothing grew; nothing is left running."""
        fleet, sampler = self._fleet, Sampler(self._fleet.folder)
        crowd: Crowd | None = None
        try:
            fleet.prepare()
            fleet.bring_keeper()
            ledger = Ledger(fleet, sampler)
            wrong = ledger.settle(60.0)
            assert not wrong, wrong
            crowd = Crowd(fleet.folder, Load(fleet.shape.natives, [], per_s=1.0))
            sampler.start()
            self._kill_for(60 * minutes)
            wrong = ledger.settle(30.0)
            answer = crowd.pause_until_quiet(30.0)
        finally:
            fleet.stop()
            sampler.end()
            if crowd is not None:
                crowd.close()
        return self._judge(minutes, answer, wrong + sampler.doubled)

    def _kill_for(self, seconds: float) -> None:
        killer, rng, began = Killer(self._fleet), random.Random(f"psv soak {self._seed}"), time.monotonic()
        every_s = max(2.0, seconds / 180)
        next_sample_s = 0.0
        for number in range(int(seconds)):
            time.sleep(max(0.0, began + number + 1 - time.monotonic()))
            [hit] = killer.carry_out([Act(0.0, "bot", rng.randrange(1 << 30), "kill", 0.0)])
            self._kills += hit.identity is not None
            if number >= next_sample_s:
                next_sample_s = number + every_s
                self._costs.sample(time.monotonic() - began, self._fleet.processes_named())

    def _judge(self, minutes: float, answer: dict[str, Any], wrong: list[str]) -> tuple[dict[str, Any], bool]:
        slopes = self._costs.slopes()
        wrong = wrong + answer["faults"] + [f"{name} waits for {found}" for name, found in answer["waiting"].items()]
        wrong += [f"{s.role}: {s.unit} grew by {s.grown:,.1f} in {s.watched_s:.0f} s, limit {limit(s):,.1f}" for s in slopes if s.grown > limit(s)]
        watched = {s.role.partition("-")[0] for s in slopes}
        wrong += [f"{role} had no life long enough to be judged" for role in ("keeper", "psvd", "logd", "web", "zygote") if role not in watched]
        for slope in slopes:
            self._say(f"{slope.role:<10} {slope.unit:<12} {slope.first:>14,.0f} -> {slope.last:>14,.0f}   {slope.per_hour:>+14,.1f} an hour")
        result = {
            "bots": len(self._fleet.shape.bots), "minutes": minutes, "seed": self._seed, "kills": self._kills,
            "sent": answer["sent"], "answered": answer["answered"], "log_bytes_per_s": self._bytes_per_s(),
            "slopes": [asdict(s) | {"limit": limit(s)} for s in slopes], "violations": wrong,
        }  # fmt: skip
        return result, not wrong

    def _bytes_per_s(self) -> float:
        shape = self._fleet.shape
        return len(shape.writers) * shape.lines_a_turn * shape.width / shape.turn_s
