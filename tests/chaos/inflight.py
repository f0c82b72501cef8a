"""Rounds with messages in flight: 50 arrive at each bot at once, something dies while they are on their way, and their end is counted.

`python -m tests.chaos inflight --rounds 100` does so many rounds of each kind of death on all lanes side by side; the seed tells every
moment. A moment lies anywhere between the arrival and when the last answer would have been shown, as the quiet rounds before took it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.chaos.fleet import ChaosFleet
from tests.chaos.lanes import Lane, Promise
from tests.chaos.verdict import judge, written

from processsupervisor.kernel.identity import send_signal

SETTLE_S = 90.0
QUIET_ROUNDS = 2
MOST_VIOLATIONS = 25
_SHOWN = 5
_BEFORE_S = 0.1


class Death(StrEnum):
    """What dies in a round."""

    NOTHING = "nothing"
    TERM = "SIGTERM of the bot"
    KILL = "SIGKILL of the bot"
    POINT = "SIGKILL at a named point"
    """Of the native bots: one of the points of chat/points.py, passed so many times before."""
    PSVD = "SIGKILL of psvd"
    DOWN = "SIGTERM of everything"
    ALL = "SIGKILL of everything"


Owed = dict[str, set[tuple[str, int]]]
"""{lane: messages of earlier rounds that were never answered}."""
OF_THE_BOT = (Death.TERM, Death.KILL)
DEATHS = (*OF_THE_BOT, Death.POINT, Death.PSVD, Death.DOWN, Death.ALL)


@dataclass
class Watch:
    """How many rounds a lane had, what they took, and how many messages were in flight when it was struck."""

    span_s: float = 0.2
    first_s: float = 0.0
    """When the first answer was shown."""
    in_flight: dict[str, list[int]] = field(default_factory=dict)
    rounds: Counter[str] = field(default_factory=Counter)

    def moment(self, rng: random.Random) -> float:
        """Return when to strike: every other time while answers are being shown, where what is on its way is in the most states."""
        return rng.uniform(0.0 if rng.random() < 0.5 else max(0.0, self.first_s - _BEFORE_S), self.span_s)


class Inflight:
    """One run over some lanes; those under psv share one fleet."""

    def __init__(self, fleet: ChaosFleet, lanes: Sequence[Lane], seed: int, *, head: str = "", say: Callable[[str], None] = print) -> None:
        self._fleet = fleet
        self._lanes = list(lanes)
        self._watches = {lane.name: Watch() for lane in lanes}
        self._seed = seed
        self._head = head
        self._say = say
        self._violations: list[str] = []
        self._rounds = 0

    def run(self, rounds: int, deaths: Sequence[Death] = DEATHS, *, peer_rounds: int | None = None) -> tuple[dict[str, Any], bool]:
        """Start everything, do `rounds` of each death, end everything; returns what was seen, and whether everything held.

        Peers, which may take long, are there in the first `peer_rounds` alone.
        """
        try:
            self._start()
            for _ in range(QUIET_ROUNDS):
                self._round(0, Death.NOTHING)
            for number in range(1, rounds + 1):
                for death in deaths:
                    if len(self._violations) < MOST_VIOLATIONS:
                        self._round(number, death, with_peers=peer_rounds is None or number <= peer_rounds)
        finally:
            for lane in self._lanes:
                lane.close()
            self._fleet.stop()
        lanes = {lane.name: written(lane, self._watches[lane.name]) for lane in self._lanes}
        return {"seed": self._seed, "rounds": self._rounds, "lanes": lanes, "violations": self._violations}, not self._violations

    def _start(self) -> None:
        tables = [lane.table() for lane in self._lanes if not lane.is_bare]
        if tables:
            self._fleet.configure(self._head + "".join(tables), web=True)
            self._fleet.bring_keeper()
            self._fleet.call_when_up()

    def _round(self, number: int, death: Death, *, with_peers: bool = True) -> None:
        lanes = [lane for lane in self._lanes if with_peers or lane.promise is not Promise.NOTHING]
        lanes = [lane for lane in lanes if death in (Death.NOTHING, *OF_THE_BOT) or not lane.is_bare]
        rng = random.Random(f"psv inflight {self._seed} {number} {death}")
        if death is Death.POINT:
            lanes = [lane for lane in lanes if lane.arm(rng)]
        for lane in lanes:
            lane.tend()
        owed = {lane.name: lane.unanswered() for lane in lanes}
        for lane in lanes:
            for person in lane.people:
                person.kind = str(death)
            lane.say()
        began = time.monotonic()
        self._strike(lanes, death, rng, began, owed)
        wrong = self._settle(lanes, death, began, owed)
        for lane in lanes:
            lane.disarm()
        wrong += [text for lane in lanes for text in judge(lane)]
        fresh = [text for text in wrong if text not in self._violations]
        self._violations += fresh
        self._rounds += 1
        self._say(f"{number:4} {death:<25} {time.monotonic() - began:6.2f} s  {self._line(lanes, death)}")
        for text in fresh[:_SHOWN]:
            self._say(f"     VIOLATION: {text}" + (f" and {len(fresh) - _SHOWN} more" if len(fresh) > _SHOWN and text == fresh[_SHOWN - 1] else ""))

    def _line(self, lanes: Sequence[Lane], death: Death) -> str:
        watches = [(lane, self._watches[lane.name]) for lane in lanes]
        return "  ".join(f"{lane.name} {watch.in_flight[death][-1] if death in watch.in_flight else '-'}" for lane, watch in watches)

    # --- what dies

    def _strike(self, lanes: Sequence[Lane], death: Death, rng: random.Random, began: float, owed: Owed) -> None:
        """Let each bot die at a moment of its own, or what is common at a moment of one of them."""
        if death in (Death.NOTHING, Death.POINT):
            return
        moments = {lane.name: self._watches[lane.name].moment(rng) for lane in lanes}
        if death not in OF_THE_BOT:
            moment = rng.choice(sorted(moments.values()))
            self._await(lanes, began + moment)
            self._note(lanes, death, owed)
            self._strike_all(death)
            return
        for lane in sorted(lanes, key=lambda lane: moments[lane.name]):
            self._await(lanes, began + moments[lane.name])
            self._note([lane], death, owed)
            send_signal(lane.victim(), signal.SIGTERM if death is Death.TERM else signal.SIGKILL)

    @staticmethod
    def _await(lanes: Sequence[Lane], moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.02))
            for lane in lanes:
                lane.tend()

    def _note(self, lanes: Sequence[Lane], death: Death, owed: Owed) -> None:
        for lane in lanes:
            lane.collect()
            self._watches[lane.name].in_flight.setdefault(death, []).append(len(lane.unanswered() - owed[lane.name]))

    def _strike_all(self, death: Death) -> None:
        keeper = self._fleet.keeper
        assert keeper is not None
        match death:
            case Death.PSVD:
                send_signal(self._fleet.role_process("psvd"), signal.SIGKILL)
            case Death.DOWN:
                keeper.send_signal(signal.SIGTERM)
                keeper.wait(60)
                self._fleet.bring_keeper()
            case _:
                keeper.kill()
                keeper.wait(10)
                while pids := self._everybody():  # until they are gone: one that was killed may not have been on a core since
                    for pid in pids:
                        _kill(pid)
                self._fleet.bring_keeper()

    def _everybody(self) -> set[int]:
        """Return all of the fleet: some show by their locks alone whose they are, some by their environment."""
        own = self._fleet.processes_named().values()
        return {identity.pid for identity in own} | set(self._fleet.processes())

    # --- how it ends

    def _settle(self, lanes: Sequence[Lane], death: Death, began: float, owed: Owed) -> list[str]:
        """Wait until every lane has answered everything or has nothing more to do; returns what did not end."""
        waiting, quiet_since = list(lanes), {lane.name: 0.0 for lane in lanes}
        while waiting and time.monotonic() - began < SETTLE_S:
            for lane in list(waiting):
                lane.tend()
                is_quiet = lane.is_quiet()
                lane.collect()  # behind the look: what a quiet bot has shown is all there
                now = time.monotonic()
                if not is_quiet:
                    quiet_since[lane.name] = 0.0
                    continue
                quiet_since[lane.name] = quiet_since[lane.name] or now
                left = lane.unanswered() - owed[lane.name]
                if now - quiet_since[lane.name] > lane.patience_s or not left - lane.marked():
                    waiting.remove(lane)
                    self._settled(lane, death, began)
            time.sleep(0.03)
        return [f"{lane.name}: did not come to rest within {SETTLE_S:g} s of {death}" for lane in waiting]

    def _settled(self, lane: Lane, death: Death, began: float) -> None:
        watch = self._watches[lane.name]
        watch.rounds[death] += 1
        if death is Death.NOTHING:
            shown = [person.shown_mono - began for person in lane.people]
            watch.first_s, watch.span_s = max(0.0, min(shown)), max(0.2, *shown)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
