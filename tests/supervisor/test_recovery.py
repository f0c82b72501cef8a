"""recovery with a clock that the test turns: how often what always dies is started, and what follows each exit code."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from processsupervisor import EXIT_AUTH, EXIT_CONFIG, EXIT_CONFLICT, EXIT_RATE_LIMITED, EXIT_RETRYABLE
from processsupervisor.config.spec import RestartSpec
from processsupervisor.kernel.reasons import Reason, reason_of_code
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.recovery import Next, Past, decide, is_too_large

_DAY_S = 86400.0
_POLICY: RestartSpec = {
    "policy": "always", "initial_s": 0.0, "base_s": 1.0, "factor": 2.0, "max_s": 60.0, "stable_after_s": 30.0,
    "window": [{"count": 10, "within_s": 600.0}, {"count": 100, "within_s": _DAY_S}], "retry_failed_s": 600.0,
}  # fmt: skip


def _record(code: int) -> ExitRecord:
    return ExitRecord(reason_of_code(code), code, None, 0.0, 1)


def _starts(life_s: Callable[[float], float], days: int, is_up: Callable[[float], bool] = lambda _: False) -> list[float]:
    """Return when a bot is started that lives for `life_s(now)` each time, as the aftermath keeps the counts; ends when it is up for good."""
    now, quick, is_looping = 0.0, 0, False
    exits: list[float] = []
    starts: list[float] = []
    while now < days * _DAY_S:
        starts.append(now)
        if is_up(now):
            break
        lived_s = life_s(now)
        now += lived_s
        if lived_s >= _POLICY["stable_after_s"]:
            quick, is_looping = 0, False
        decision = decide(_POLICY, _record(EXIT_RETRYABLE), Past(list(exits), quick, is_looping), now, 0.0)
        exits.append(now)
        is_looping = is_looping or decision.reason == Reason.CRASH_LOOP
        quick += decision.what is Next.START
        assert decision.delay_s is not None
        now += decision.delay_s
    return starts


def test_what_dies_after_each_stable_moment_does_not_burn_a_days_logins() -> None:
    """31 s after each start it is stable each time; the windows do not forget."""
    assert len(_starts(lambda _: 31.0, 1)) < 250


def test_a_crash_loop_has_one_try_each_retry_failed() -> None:
    """After the window is full, tries that are not stable are ten minutes apart, and no quicker ones come between them."""
    starts = _starts(lambda _: 1.0, 3)
    full = next(n for n, (a, b) in enumerate(pairwise(starts)) if b - a > 500)
    gaps = [b - a for a, b in pairwise(starts[full:])]
    assert full <= 11 and min(gaps) >= 600.0


def test_an_outage_ends_without_a_command() -> None:
    """A network that is away for an hour: the bot runs within retry_failed and 30 s of its return."""
    for _ in range(50):
        starts = _starts(lambda _: 2.0, 1, is_up=lambda now: now >= 3600.0)
        assert 3600.0 <= starts[-1] <= 3600.0 + 600.0 + 30.0


@pytest.mark.parametrize(
    ("code", "what", "reason", "is_tried"),
    [
        (0, Next.START, Reason.CLEAN, True),
        (1, Next.START, Reason.CODE, True),
        (EXIT_RETRYABLE, Next.START, Reason.CODE, True),
        (EXIT_AUTH, Next.GIVE_UP, Reason.AUTH, False),
        (EXIT_CONFIG, Next.GIVE_UP, Reason.CONFIG, False),
        (EXIT_CONFLICT, Next.GIVE_UP, Reason.CONFLICT, False),
        (EXIT_RATE_LIMITED, Next.START, Reason.RATE_LIMITED, True),
    ],
)
def test_each_code_is_followed_as_it_says(code: int, what: Next, reason: Reason, is_tried: bool) -> None:
    """Design section 3, with the names that authors use."""
    decision = decide(_POLICY, _record(code), Past([], 0), 0.0, 0.0)
    assert (decision.what, decision.reason, decision.delay_s is not None) == (what, reason, is_tried)


def test_a_rate_limit_is_waited_for_as_long_as_it_says() -> None:
    """Until T, also where the usual delay would be shorter."""
    assert decide(_POLICY, _record(EXIT_RATE_LIMITED), Past([], 3), 0.0, 1234.0).delay_s == 1234.0


def test_a_rate_limit_that_is_always_over_at_once_is_a_crash_loop_all_the_same() -> None:
    """A bot that is limited again and again, each time for a second only, does not log in each second."""
    now, starts, past = 0.0, 0, list[float]()
    while now < _DAY_S:
        starts += 1
        now += 1.0
        decision = decide(_POLICY, _record(EXIT_RATE_LIMITED), Past(list(past), starts), now, 1.0)
        past.append(now)
        assert decision.delay_s is not None and decision.delay_s >= 1.0
        now += decision.delay_s
    assert starts < 250
    assert decide(_POLICY, _record(EXIT_RATE_LIMITED), Past([now] * 10, 10), now, 5000.0).delay_s == 5000.0


def test_what_is_above_its_limit_of_memory_soon_after_each_start_is_given_up_as_a_crash_loop() -> None:
    """Delays grow and windows fill; neither a policy of never nor how the process took its end makes it stay away before."""
    record = ExitRecord(Reason.MEMORY_POLICY, EXIT_CONFIG, None, 0.0, 1, uptime_s=6.0)
    policy = _POLICY | {"policy": "never"}
    assert decide(policy, record, Past([], 0), 0.0, 0.0).delay_s == 0.0
    assert decide(policy, record, Past([0.0] * 9, 9), 0.0, 0.0).what is Next.START
    held = decide(policy, record, Past([0.0] * 10, 10), 0.0, 0.0)
    assert (held.what, held.reason, held.delay_s) == (Next.GIVE_UP, Reason.CRASH_LOOP, 600.0)


@pytest.mark.parametrize(
    ("reason", "uptime_s", "stable_s", "is_soon"),
    [
        (Reason.MEMORY_POLICY, 179.0, 30.0, True),
        (Reason.MEMORY_POLICY, 181.0, 30.0, False),
        (Reason.MEMORY_POLICY, 181.0, 600.0, True),
        (Reason.ADMIN, 1.0, 30.0, False),
        (Reason.MEMORY_POLICY, None, 30.0, False),
    ],
)
def test_only_memory_soon_after_the_start_counts(reason: Reason, uptime_s: float | None, stable_s: float, is_soon: bool) -> None:
    """Age and messages are the operator's own figures; a bot that grew for a while is recycled as it was meant to be."""
    record = ExitRecord(reason, None, "SIGTERM", 0.0, 1, uptime_s=uptime_s)
    assert is_too_large(_POLICY | {"stable_after_s": stable_s}, record) is is_soon
