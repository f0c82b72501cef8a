"""What is killed or stopped, and when: a pure function of seed and round, and the hand that carries it out.

`plan` never looks at the fleet: targets are named by role and a number that is taken modulo what lives when the time comes.
The same seed gives the same sequence on every machine; what an act meets there may differ and is written down as a Hit.
"""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from tests.chaos.fleet import ChaosFleet, is_alive

from processsupervisor.kernel.identity import Identity, read_stat, send_signal

Kind = Literal["kill", "stop"]
OWN = ("keeper", "psvd", "logd", "web", "zygote")
WEDGED_AFTER_S = 10.0
"""A stopped own process is treated as dead after this long (design section 1)."""
_WITHIN_S = 1.2
_STAGGERED_S = 0.05


@dataclass(frozen=True, slots=True)
class Act:
    """`role` with the number `index` gets SIGKILL, or SIGSTOP and SIGCONT `for_s` later; a killed keeper is followed by a new one after `for_s`."""

    at_s: float
    role: str
    index: int
    kind: Kind
    for_s: float


@dataclass(frozen=True, slots=True)
class Hit:
    """An act as it was done: `target` is a role or a bot's name; `identity` None when nobody was there to be hit.

    Of a bot: `generation`, and whether it `is_orphan`, no child of the present keeper: born under an earlier one.
    """

    act: Act
    target: str
    identity: Identity | None
    generation: int = 0
    is_orphan: bool = False

    def __str__(self) -> str:
        words = [self.act.kind, self.target, f"for {self.act.for_s:g} s" if self.act.for_s else "", "" if self.identity else "(not there)"]
        return " ".join(filter(None, words))


def plan(seed: int, number: int) -> list[Act]:
    """Return the acts of one round, by time."""
    rng = random.Random(f"psv chaos {seed} {number}")
    is_burst = rng.random() < 0.15
    count = rng.randint(4, 10) if is_burst else rng.choice((1, 1, 2, 2, 3, 4))
    first_s = rng.uniform(0.0, _WITHIN_S)
    times = [first_s + rng.uniform(0.0, _STAGGERED_S) if is_burst else rng.uniform(0.0, _WITHIN_S) for _ in range(count)]
    return [_act(rng, round(at_s, 3)) for at_s in sorted(times)]


def _act(rng: random.Random, at_s: float) -> Act:
    role = "bot" if rng.random() < 0.5 else rng.choice(OWN)
    index = rng.randrange(1 << 30)
    if rng.random() < 0.25:
        return Act(at_s, role, index, "stop", round(_stopped_s(rng), 3))
    return Act(at_s, role, index, "kill", round(_away_s(rng), 3) if role == "keeper" else 0.0)


def _stopped_s(rng: random.Random) -> float:
    """Most stops are short, some reach seconds, few pass the ten seconds after which an own process counts as dead."""
    kind = rng.random()
    if kind < 0.86:
        return rng.uniform(0.02, 1.5)
    return rng.uniform(2.0, 5.0) if kind < 0.95 else rng.uniform(WEDGED_AFTER_S + 1.0, WEDGED_AFTER_S + 4.0)


def _away_s(rng: random.Random) -> float:
    """A service manager brings the next keeper at once; a person, after some seconds."""
    kind = rng.random()
    if kind < 0.7:
        return 0.0
    return rng.uniform(0.2, 2.0) if kind < 0.95 else rng.uniform(3.0, 6.0)


def await_deaths(killed: Sequence[Identity], within_s: float = 10.0) -> None:
    """Wait until the killed have ended: on a busy machine one that has not been on a core since still looks as if nothing had happened."""
    deadline = time.monotonic() + within_s
    while any(is_alive(identity) for identity in killed) and time.monotonic() < deadline:
        time.sleep(0.005)


class Killer:
    """Carries out the acts of one round after the other on a fleet."""

    def __init__(self, fleet: ChaosFleet) -> None:
        self._fleet = fleet
        self._bots = fleet.shape.bots

    def carry_out(self, acts: list[Act]) -> list[Hit]:
        """Do all acts at their times, the continuing of the stopped and the new keepers included; returns what was met."""
        began = time.monotonic()
        hits: list[Hit] = []
        # Equal times are done in the order they were entered: the number keeps the heap from comparing functions.
        order = itertools.count()
        due: list[tuple[float, int, Callable[[], None]]] = []

        def enter(at_s: float, what: Callable[[], None]) -> None:
            heapq.heappush(due, (at_s, next(order), what))

        for act in acts:
            enter(act.at_s, lambda act=act: self._do(act, hits, enter))
        while due:
            at_s, _, what = heapq.heappop(due)
            time.sleep(max(0.0, began + at_s - time.monotonic()))
            what()
        await_deaths([h.identity for h in hits if h.act.kind == "kill" and h.identity is not None])
        return hits

    def _do(self, act: Act, hits: list[Hit], enter: Callable[[float, Callable[[], None]], None]) -> None:
        target, identity, generation = self.find(act)
        number = signal.SIGKILL if act.kind == "kill" else signal.SIGSTOP
        is_orphan = act.role == "bot" and identity is not None and self._is_orphan(identity)
        is_hit = send_signal(identity, number)
        hits.append(Hit(act, target, identity if is_hit else None, generation, is_orphan))
        if is_hit and act.kind == "stop":
            enter(act.at_s + act.for_s, lambda: self._let_go(identity))
        elif is_hit and act.role == "keeper":
            assert self._fleet.keeper is not None
            self._fleet.keeper.wait(5)
            enter(act.at_s + act.for_s, self._fleet.bring_keeper)

    def _is_orphan(self, identity: Identity) -> bool:
        facts = read_stat(identity.pid)
        return facts is not None and (self._fleet.keeper is None or facts[1] != self._fleet.keeper.pid)

    @staticmethod
    def _let_go(identity: Identity | None) -> None:
        send_signal(identity, signal.SIGCONT)

    def find(self, act: Act) -> tuple[str, Identity | None, int]:
        """Return whom an act means at this moment: name, process, generation of a bot."""
        if act.role == "bot":
            name = self._bots[act.index % len(self._bots)]
            found = self._fleet.bot_process(name)
            return (name, *found) if found else (name, None, 0)
        if act.role == "keeper":
            keeper = self._fleet.keeper
            # The child itself, not the lock's holder: a keeper killed before it has its lock must be seen to end, too.
            return act.role, Identity.of(keeper.pid) if keeper is not None and keeper.poll() is None else None, 0
        return act.role, self._fleet.role_process(act.role, act.index), 0


def written(hits: list[Hit]) -> list[dict[str, object]]:
    """Return hits as JSON objects."""
    return [{**asdict(h.act), "target": h.target, "pid": h.identity.pid if h.identity else None} for h in hits]
