"""The round over all bots: every check sees every bot that runs, and a check that fails harms nobody else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from processsupervisor.health.monitor import Monitor
from processsupervisor.health.verdict import Sweep, Verdict, Watched
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import State


def bot(name: str, state: State = State.RUNNING) -> Any:
    process = Identity.of(os.getpid())
    return SimpleNamespace(name=name, generation=1, process=process, via="", spec={}, life=SimpleNamespace(state=state))


@dataclass
class Check:
    """Finds fault with the bots named in `bad`, and fails at those in `breaks`."""

    bad: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)

    def look(self, bot: Watched, sweep: Sweep) -> Verdict | None:
        if bot.name in self.breaks:
            raise ValueError("a check of ours is wrong")
        return Verdict(bot.name, bot.generation, Reason.HANG, "bad") if bot.name in self.bad else None

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


async def test_verdicts_go_to_one_place_and_resting_bots_are_forgotten() -> None:
    """Each check looks at each bot that runs; a bot that stops or rests is not judged."""
    told: list[Verdict] = []
    first, second = Check(bad={"a"}), Check(bad={"b", "c", "d"})
    bots = [bot("a"), bot("b", State.STARTING), bot("c", State.STOPPING), bot("d", State.FAILED)]
    await Monitor(lambda: bots, [first, second], told.append).sweep(Sweep(0, is_late=False))
    assert [verdict.bot for verdict in told] == ["a", "b"]
    assert first.forgotten == second.forgotten == ["c", "d"]


async def test_a_check_that_fails_ends_neither_the_sweep_nor_psvd() -> None:
    """The bot is not judged by it; the next bot and the next check are looked at all the same."""
    told: list[Verdict] = []
    monitor = Monitor(lambda: [bot("a"), bot("b")], [Check(breaks={"a"}, bad={"b"}), Check(bad={"a"})], told.append)
    for number in range(2):
        await monitor.sweep(Sweep(number, is_late=False))
    assert [verdict.bot for verdict in told] == ["a", "b", "a", "b"]
