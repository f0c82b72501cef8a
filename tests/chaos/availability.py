"""How many probes are answered within a second while one process after the other is killed: `python -m tests.chaos availability`.

What counts: 50 native bots, one probe message a second to each over its web.sock, from a client that connects again every 20 ms
while it has no connection and sends an unaccepted message again under its id, as the client of a network does. A probe's clock
runs from the moment it was due, also while its bot, its connection or the client itself is down; one that is never answered counts
as late for ever. A kill comes every ten seconds: half of them hit a bot, the others one of the own processes. A killed keeper is
followed at once by a new one, as by systemd's Restart=.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import cpu_s
from tests.chaos.checks import Ledger
from tests.chaos.crowd import Crowd, Load
from tests.chaos.fleet import ChaosFleet, Shape
from tests.chaos.killer import OWN, Act, Hit, Killer
from tests.chaos.sampler import Sampler
from tests.chaos.tally import LATE_S

GOAL = 0.999
KILL_EVERY_S = 10.0
_LAST_ANSWERS_S = 30.0


def one_kill(seed: int, number: int) -> Act:
    """Return the n-th kill: a pure function of seed and number."""
    rng = random.Random(f"psv availability {seed} {number}")
    role = "bot" if rng.random() < 0.5 else rng.choice(OWN)
    return Act(0.0, role, rng.randrange(1 << 30), "kill", 0.0)


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Return the distribution in milliseconds."""
    ordered = sorted(latencies) or [0.0]
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) for name, share in shares.items()}


class Availability:
    """One run over one fleet of native bots."""

    def __init__(self, folder: Path, bots: int, seed: int, *, say: Callable[[str], None] = print) -> None:
        self._fleet = ChaosFleet(folder, Shape(bots, 0, 0))
        self._seed = seed
        self._say = say
        self._kills: list[tuple[float, Hit]] = []
        self._keepers_brought = 0

    def run(self, minutes: float) -> tuple[dict[str, Any], bool]:
        """Return the result and whether the goal was met; nothing is left running."""
        fleet, sampler = self._fleet, Sampler(self._fleet.folder)
        natives = fleet.shape.natives
        crowd: Crowd | None = None
        try:
            fleet.prepare()
            fleet.bring_keeper()
            wrong = Ledger(fleet, sampler).settle(60.0)
            assert not wrong, wrong
            crowd = Crowd(fleet.folder, Load(natives, [], per_s=1.0))
            sampler.start()
            began = time.monotonic()
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what was measured so far is told
                self._kill_until(began, began + 60 * minutes)
            minutes = round((time.monotonic() - began) / 60, 2)
            answer = crowd.pause_until_quiet(_LAST_ANSWERS_S)
            cost = cpu_s(crowd.pid) / (time.monotonic() - began)
            answer |= crowd.ask("counts", 60.0)
        finally:
            fleet.stop()
            sampler.end()
            if crowd is not None:
                crowd.close()
        return self._judge(minutes, answer, sampler, cost)

    def _kill_until(self, began: float, end: float) -> None:
        killer, number = Killer(self._fleet), 0
        while (due := began + (number + 1) * KILL_EVERY_S) < end:
            self._sleep_until(due)
            [hit] = killer.carry_out([one_kill(self._seed, number)])
            self._kills.append((time.monotonic(), hit))
            self._say(f"{time.monotonic() - began:6.0f} s  {hit}")
            number += 1
        self._sleep_until(end)

    def _sleep_until(self, due: float) -> None:
        """Wait, and be the service manager meanwhile: a keeper that ended for whatever reason is followed by another."""
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            if self._fleet.keeper is not None and self._fleet.keeper.poll() is not None:
                self._keepers_brought += 1
                self._fleet.bring_keeper()

    def _judge(self, minutes: float, answer: dict[str, Any], sampler: Sampler, cost: float) -> tuple[dict[str, Any], bool]:
        within = sum(1 for s in answer["latencies"] if s <= LATE_S)
        share = within / answer["sent"]
        result = {
            "bots": len(self._fleet.shape.bots), "minutes": minutes, "seed": self._seed, "kill_every_s": KILL_EVERY_S,
            "kills": dict(Counter(h.act.role for _, h in self._kills if h.identity is not None)),
            "kills_missed": sum(1 for _, h in self._kills if h.identity is None), "keepers_that_ended_by_themselves": self._keepers_brought,
            "probes": answer["sent"], "answered": answer["answered"], "within_1_s": within, "share": round(share, 6), "goal": GOAL,
            "latency_ms": percentiles(answer["latencies"]), "late_by_last_kill": self._blame(answer["late"]),
            "never_answered": answer["sent"] - answer["answered"], "faults": answer["faults"], "doubled": sampler.doubled,
            "client_share_of_a_core": round(cost, 3),
        }  # fmt: skip
        return result, share >= GOAL and not answer["faults"] and not sampler.doubled

    def _blame(self, late: list[tuple[float, float]]) -> dict[str, int]:
        """Return how many late probes were under way after which kill."""
        found: Counter[str] = Counter()
        for due, took_s in late:
            before = [h for at, h in self._kills if at <= due + took_s]
            found[before[-1].act.role if before else "none"] += 1
        return dict(found)
