"""psvd dies at every one of its crash points, in the middle of every act that reaches it; the next psvd makes it good."""

from __future__ import annotations

import pytest
from tests.crash.conftest import Ground
from tests.crash.ground import Case

from processsupervisor.kernel.crashpoints import CrashPoint as P

# Intent by intent: how often a bot's record is written during an act is how often the act can be cut in two there.
RECORDS = {"kill": 5, "stop": 2, "start": 3, "restart": 5}
CASES = [
    *(Case(point, act, passes=n) for point in (P.PSVD_BEFORE_RECORD, P.PSVD_AFTER_RECORD) for act, times in RECORDS.items() for n in range(times)),
    *(Case(point, "psvd") for point in (P.PSVD_LOCKED, P.PSVD_CONNECTED, P.PSVD_HELLO_SAID, P.PSVD_WELCOMED, P.PSVD_ADOPTED_ALL, P.PSVD_BEFORE_LISTEN)),
    *(Case(point, "psvd", passes=n) for point in (P.PSVD_EXAMINED, P.PSVD_TAKEN) for n in range(4)),
    *(Case(point, "psvd") for point in (P.PSVD_LISTENS, P.PSVD_WANTED_STARTED, P.PSVD_SETTLED_TOLD)),
    *(Case(point, "unseen") for point in (P.PSVD_LEFTOVERS_FOUND, P.PSVD_LEFTOVERS_KILLED, P.PSVD_WANTED_STARTED)),
    *(Case(point, "unseen", bot) for point in (P.PSVD_BEFORE_UNSEEN, P.PSVD_UNSEEN_NOTED) for bot in ("script", "native")),
    *(Case(point, act) for point in (P.PSVD_BEFORE_WANTED, P.PSVD_AFTER_WANTED) for act in ("stop", "start", "restart")),
    *(Case(point, act) for point in (P.PSVD_BEFORE_FLUSH, P.PSVD_AFTER_FLUSH) for act in ("kill", "stop", "start")),
    *(
        Case(point, act, bot)
        for point in (P.PSVD_BEFORE_FIFOS, P.PSVD_AFTER_FIFOS, P.PSVD_AFTER_CGROUP, P.PSVD_AFTER_SPEC, P.PSVD_BEFORE_FORK, P.PSVD_FORK_ANSWERED)
        for act, bot in (("start", "program"), ("kill", "native"))
    ),
    *(Case(P.PSVD_REQUEST_SENT, "start", passes=n) for n in range(2)),
    Case(P.PSVD_REQUEST_SENT, "crash", "script"),
    *(Case(point, "restart", bot) for point in (P.PSVD_SECRET_MADE, P.PSVD_FORK_SENT) for bot in ("script", "native")),
    *(Case(point, act, bot) for point in (P.PSVD_BEFORE_RUNG, P.PSVD_AFTER_RUNG) for act, bot in (("stop", "program"), ("restart", "native"))),
    *(
        Case(point, act, bot)
        for point in (P.PSVD_STATUS_TAKEN, P.PSVD_TREE_CLEARED, P.PSVD_BEFORE_EXIT, P.PSVD_EXIT_NOTED, P.PSVD_BEFORE_TAIL, P.PSVD_TAIL_NOTED)
        for act, bot in (("crash", "script"), ("stop", "program"), ("restart", "native"))
    ),
    *(Case(point, "zygote", "script") for point in (P.PSVD_BEFORE_ZYGOTE, P.PSVD_ZYGOTE_WRITTEN, P.PSVD_ZYGOTE_SPAWNED)),
    *(Case(point, "web") for point in (P.PSVD_BEFORE_WEB, P.PSVD_WEB_SPAWNED)),
    *(Case(point, "keeper") for point in (P.PSVD_KEEPER_BACK, P.PSVD_ROLES_REPLACED)),
    *(Case(point, "keeper", "script") for point in (P.PSVD_BEFORE_RETIRE, P.PSVD_AFTER_RETIRE)),
    *(Case(point, "down") for point in (P.PSVD_BEFORE_DOWN, P.PSVD_DOWN_BEGUN, P.PSVD_ALL_STOPPED, P.PSVD_DOWN_TOLD)),
    *(Case(point, "term") for point in (P.PSVD_DOWN_BEGUN, P.PSVD_ALL_STOPPED)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_psvd_makes_it_good(ground: Ground, case: Case) -> None:
    """No bot doubled, none lost, none touched that is not concerned; what was acknowledged holds; one honest exit each."""
    ground.walk(case)
