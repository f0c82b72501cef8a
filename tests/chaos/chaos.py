"""Rounds of chaos: kill and stop under load, let everything settle, check everything; the seed tells the whole sequence.

`python -m tests.chaos chaos --rounds 300 --seed 1`; tests/chaos/test_chaos.py runs a few rounds of the same.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.checks import Ledger, bounded, check_clients, most_kills
from tests.chaos.crowd import Crowd, CrowdFailed, Load
from tests.chaos.fleet import ChaosFleet, Shape
from tests.chaos.killer import Hit, Killer, plan, written
from tests.chaos.sampler import Sampler
from tests.supervisor.live import eventually

from processsupervisor.kernel.errors import PsvError

SETTLE_S = 40.0
MOST_VIOLATIONS = 25
_HTTP_CLIENTS = 2


@dataclass
class Outcome:
    """What a run was and what it showed."""

    seed: int
    rounds: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    violations: list[dict[str, Any]] = field(default_factory=list)
    round_s: list[float] = field(default_factory=list)

    def count(self, hits: list[Hit]) -> None:
        """Add the hits of one round, by role and kind."""
        for hit in hits:
            if hit.identity is None:
                self.missed += 1
            else:
                self.hits[f"{hit.act.kind} {hit.act.role}"] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for a result file."""
        ordered = sorted(self.round_s) or [0.0]
        times = {"round_p50_s": ordered[len(ordered) // 2], "round_max_s": ordered[-1]}
        return {
            "seed": self.seed, "rounds": self.rounds, "hits": dict(sorted(self.hits.items())), "missed": self.missed,
            **self.counts, **times, "violations": self.violations,
        }  # fmt: skip


class Chaos:
    """One run over one fleet, from its start to its end."""

    def __init__(self, folder: Path, shape: Shape, seed: int, *, say: Callable[[str], None] = print) -> None:
        self.fleet = ChaosFleet(folder, shape)
        self.outcome = Outcome(seed)
        self._say = say
        self._sampler = Sampler(folder)
        self._ledger = Ledger(self.fleet, self._sampler)
        self._killer = Killer(self.fleet)

    def run(self, rounds: int) -> Outcome:
        """Start the fleet, do the rounds, go down; stops early after MOST_VIOLATIONS. Whatever happens, nothing is left running."""
        self._say(f"chaos: seed {self.outcome.seed}, {rounds} rounds, {len(self.fleet.shape.bots)} bots in {self.fleet.folder}")
        crowd: Crowd | None = None
        try:
            self.fleet.prepare()
            self.fleet.bring_keeper()
            self._note(0, [], self._ledger.settle(60.0))
            self._ledger.take_down()
            natives = self.fleet.shape.natives
            crowd = Crowd(self.fleet.folder, Load(natives, natives[:_HTTP_CLIENTS], per_s=4.0, slow_every=9))
            self._sampler.start()
            for number in range(1, rounds + 1):
                if len(self.outcome.violations) >= MOST_VIOLATIONS:
                    break
                self._round(number, crowd)
            self._end(crowd)
        finally:
            self.fleet.stop()
            self._sampler.end()
            if crowd is not None:
                crowd.close()
        return self.outcome

    def _round(self, number: int, crowd: Crowd) -> None:
        began = time.monotonic()
        crowd.ask("go", 10.0)
        hits = self._killer.carry_out(plan(self.outcome.seed, number))
        wrong = self._ledger.settle(SETTLE_S)
        answer = crowd.pause_until_quiet(SETTLE_S)
        if not wrong:  # what did not settle is said once; comparing it with what was before would only repeat it
            wrong += bounded(lambda: self._ledger.check(hits))
            self._ledger.take_down()
        wrong += bounded(lambda: check_clients(answer, most_kills(hits)))
        self.outcome.rounds = number
        self.outcome.count(hits)
        self.outcome.round_s.append(round(time.monotonic() - began, 2))
        self._say(f"round {number} {self.outcome.round_s[-1]:5.2f} s  {'; '.join(str(h) for h in hits)}")
        self._note(number, hits, wrong)

    def _note(self, number: int, hits: list[Hit], wrong: list[str]) -> None:
        for text in wrong:
            self._say(f"  VIOLATION in round {number}: {text}")
        if wrong:
            self.outcome.violations.append({"round": number, "wrong": wrong, "hits": written(hits)})

    def _end(self, crowd: Crowd) -> None:
        """Read every conversation once more from its beginning, end the clients, go down by command, see that nothing is left."""
        try:
            answer = crowd.pause_until_quiet(SETTLE_S)
            self._note(-1, [], crowd.ask("audit", 60.0 + 2.0 * len(self.fleet.shape.natives))["faults"])
        except CrowdFailed as err:
            answer = {}
            self._note(-1, [], [str(err)])
        ledger = self._ledger
        self.outcome.counts = {key: answer.get(key, 0) for key in ("sent", "accepted", "answered", "apologies")} | {
            "lines": ledger.lines, "lines_lost_within_the_stated_limit": ledger.lines_forgiven, "starts_aborted": ledger.aborted_starts,
            "exits_unknown_while_keeper_was_away": ledger.unknown_exits, "samples": self._sampler.samples,
        }  # fmt: skip
        crowd.close()
        try:
            self.fleet.down()
            eventually(lambda: not self.fleet.processes(), "the end of every process", 5.0)
        except AssertionError:
            self._note(-1, [], [f"after down there are still: {self.fleet.processes()}"])
        except (PsvError, subprocess.TimeoutExpired) as err:
            self._note(-1, [], [f"it did not go down: {err}"])
