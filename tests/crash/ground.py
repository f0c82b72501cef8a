"""One death: come to a crash point by an act, die there, and look at everything that must hold when all is quiet again.

The fleet is shared by many deaths, as a real one would be; a failed case takes it along and the next one gets a new one.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.crash.acts import ACTS, Outcome
from tests.crash.fleet import BOTS, CrashFleet
from tests.supervisor.live import eventually

from processsupervisor.kernel.crashpoints import CrashPoint
from processsupervisor.kernel.identity import read_stat

ENDS_FLEET = {"down", "term"}
RESTARTS_ALL = {"first", *ENDS_FLEET}
ENDS_BOT = {"kill", "crash", "restart", "unseen", "zygote"}


@dataclass(frozen=True, slots=True)
class Case:
    """Die at `point` after `passes`, reached by `act` on `bot`."""

    point: CrashPoint
    act: str
    bot: str = "program"
    passes: int = 0

    def __str__(self) -> str:
        return f"{self.point}-{self.act}-{self.bot}-{self.passes}"


def walk(fleet: CrashFleet, case: Case) -> None:
    """Die once, and look at everything that must hold afterwards."""
    if case.act == "start":
        assert fleet.call("bot.stop", names=[case.bot])[0]["ok"]
    if case.point.name.startswith(("KEEPER_EXIT", "KEEPER_REAPED")):
        _give_to_keeper(fleet, case)
    before = fleet.settle()
    fleet.arm(case.point, case.passes)
    with ThreadPoolExecutor(1) as hand:
        under_way = hand.submit(ACTS[case.act], fleet, case.bot)
        try:
            pid = int(eventually(lambda: _victim(fleet, case), f"something dies at {case.point}"))
        finally:
            (fleet.points / case.point).unlink(missing_ok=True)
            if case.act not in ENDS_FLEET and fleet.is_keeper_dead():
                fleet.spawn_keeper()
            outcome = under_way.result(60)
    if case.act in ENDS_FLEET:
        _see_it_down(fleet, case, pid)
    after = fleet.settle()
    assert fleet.doubles.found == []
    _check_bots(fleet, case, before, after, outcome)
    fleet.check_disk(after)
    for name, bot in after.items():
        if bot["wanted"] == "down":
            assert fleet.call("bot.start", names=[name])[0]["ok"]


def _give_to_keeper(fleet: CrashFleet, case: Case) -> None:
    """Make what the act will end a child of the present keeper: what an earlier one started is reaped by somebody else."""
    assert fleet.keeper is not None
    pid = fleet.psvd_pid() if case.act == "psvd" else int(fleet.settle()[case.bot]["pid"])
    facts = read_stat(pid)
    if facts is None or facts[1] != fleet.keeper.pid:
        if case.act == "psvd":
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: fleet.answers() and fleet.psvd_pid() != pid, "a psvd of the present keeper")
        else:
            fleet.call("bot.restart", names=[case.bot])


def _victim(fleet: CrashFleet, case: Case) -> int:
    """Return the pid that died at the point; a keeper that was killed by the act itself is replaced meanwhile."""
    pid = fleet.struck(case.point)
    if pid and ((facts := read_stat(pid)) is None or facts[0] in "ZX"):
        fleet.is_keeper_dead()
        return pid
    if not pid and case.act == "keeper" and fleet.is_keeper_dead():
        fleet.spawn_keeper()
    return 0


def _see_it_down(fleet: CrashFleet, case: Case, victim: int) -> None:
    """Without its psvd the fleet goes down all the same; without its keeper it is brought up and asked again. Then: up once more."""
    assert fleet.keeper is not None
    is_keeper = fleet.keeper.pid == victim
    if is_keeper:
        fleet.spawn_keeper()
    if is_keeper or case.point is CrashPoint.PSVD_BEFORE_DOWN:  # nothing was noted or said: it stays up
        fleet.settle()
        fleet.down()
    eventually(fleet.is_keeper_dead, "the keeper ends")
    eventually(lambda: fleet.processes() == [], "nothing is left")
    fleet.spawn_keeper()


def _check_bots(
    fleet: CrashFleet, case: Case, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]], outcome: Outcome
) -> None:
    is_ok = outcome.answer is not None and outcome.answer.get("ok", True)
    for name in BOTS:
        same = (before[name]["pid"], before[name]["generation"]) == (after[name]["pid"], after[name]["generation"])
        if case.act in RESTARTS_ALL:
            assert after[name]["state"] == "RUNNING"
        elif name != case.bot or (case.act not in ENDS_BOT | {"stop", "start"} and (case.act, name) != ("keeper", "script")):
            assert same, f"{name} is not concerned: {before[name]} {after[name]}"
    bot, was = after[case.bot], before[case.bot]
    if is_ok and case.act in ("stop", "start"):
        assert bot["wanted"] == {"stop": "down", "start": "up"}[case.act], "what was acknowledged is kept"
    if case.act in ENDS_BOT and (is_ok or (outcome.answer is None and case.act not in ("restart", "zygote"))):
        assert bot["generation"] > was["generation"]
    if (bot["generation"] > was["generation"] and case.act in ENDS_BOT) or bot["wanted"] == "down":
        reason = fleet.exit_of(case.bot, was["generation"])["reason"]
        # A keeper that lives through it knows every exit; without one the kernel may tell, or nobody can.
        is_keeper_there = case.point.startswith("psvd") and case.act != "keeper"
        assert reason in outcome.ended | (set() if is_keeper_there else {"unknown-while-unsupervised", "unknown"}), reason
