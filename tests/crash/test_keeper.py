"""The keeper dies at every one of its crash points, and a bot's process before its program begins; the next keeper goes on."""

from __future__ import annotations

import pytest
from tests.crash.conftest import Ground
from tests.crash.ground import Case

from processsupervisor.kernel.crashpoints import CrashPoint as P

CASES = [
    *(Case(point, "keeper") for point in (P.KEEPER_LOCKED, P.KEEPER_FIFOS_FOUND, P.KEEPER_LISTED, P.KEEPER_HELLO_TAKEN, P.KEEPER_WELCOMED)),
    *(Case(P.KEEPER_LISTENER_BOUND, "keeper", passes=n) for n in range(3)),
    *(Case(point, "first") for point in (P.KEEPER_RUN_EMPTIED, P.KEEPER_EPOCH_WRITTEN)),
    *(Case(point, act, bot) for point in (P.KEEPER_BEFORE_SPAWN, P.KEEPER_SPAWNED) for act, bot in (("psvd", "program"), ("logd", "program"), ("zygote", "script"), ("web", "program"))),
    *(
        Case(point, act, bot)
        for point in (P.KEEPER_EXIT_SEEN, P.KEEPER_EXIT_JOURNALED, P.KEEPER_REAPED, P.KEEPER_EXIT_TOLD)
        for act, bot in (("kill", "program"), ("crash", "script"), ("stop", "native"), ("restart", "native"), ("psvd", "program"))
    ),
    *(Case(point, act, bot) for point in (P.KEEPER_BEFORE_FIFOS, P.KEEPER_FIFOS_OPEN) for act, bot in (("start", "program"), ("kill", "script"))),
    *(Case(P.KEEPER_FIFO_MADE, "restart", "native", passes=n) for n in range(2)),
    *(Case(point, act) for point in (P.KEEPER_BEFORE_LAUNCH, P.KEEPER_LAUNCHED) for act in ("start", "kill", "restart")),
    *(
        Case(point, act, bot)
        for point in (P.KEEPER_RELEASE_ASKED, P.KEEPER_DRAINED, P.KEEPER_FIFO_CLOSED, P.KEEPER_FIFO_REMOVED)
        for act, bot in (("stop", "program"), ("kill", "script"))
    ),
    *(
        Case(point, "term")
        for point in (P.KEEPER_GOES_DOWN, P.KEEPER_BEFORE_ROLES_END, P.KEEPER_BEFORE_LOGD_ENDS, P.KEEPER_ROLES_ENDED, P.KEEPER_BEFORE_UNLIST, P.KEEPER_UNLISTED)
    ),
    Case(P.KEEPER_BEFORE_ROLES_END, "down"),
    *(Case(point, "kill") for point in (P.CHILD_FORKED, P.CHILD_OUTPUT_OPEN, P.CHILD_LOCKED, P.CHILD_PREPARED)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_keeper_goes_on(ground: Ground, case: Case) -> None:
    """As for psvd; and no pipe is left behind, and no role of the old keeper."""
    ground.walk(case)
