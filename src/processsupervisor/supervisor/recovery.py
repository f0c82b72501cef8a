"""What to do after a bot has ended: rest, start again after a delay, or give up. Pure decisions over facts.

The arithmetic is kernel/backoff.py's; the table of exit codes is design section 3: 77, 78 and 79 are not tried again by
themselves, every exit that psv did not ask for counts, code 0 included. So does an end for its memory soon after the start.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum

from processsupervisor.config.spec import RestartSpec
from processsupervisor.kernel import backoff
from processsupervisor.kernel.reasons import NOT_RETRIED, Reason
from processsupervisor.process.exits import ExitRecord

LOCK_RETRY_S = 10.0
_SOON_S = 180.0
"""A bot that is above its recycle limit of memory within this time (or `stable_after`, if that is longer) needs more than the limit."""


class Next(StrEnum):
    """What follows an exit."""

    START = "start"
    COMPLETE = "complete"
    GIVE_UP = "give-up"


@dataclass(frozen=True, slots=True)
class Decision:
    """`delay_s` is the wait before the next start; with GIVE_UP it is the wait before one more try, None = never by itself."""

    what: Next
    reason: str
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What a bot has behind it.

    `recent_mono` are the monotonic times of earlier unasked exits, `quick` the restarts since the bot was last stable. `is_looping`:
    it was given up as a crash loop and has not been stable since: what ended was the one try of this retry_failed.
    """

    recent_mono: list[float]
    quick: int
    is_looping: bool = False


def decide(policy: RestartSpec, record: ExitRecord, past: Past, now_mono: float, rate_until_s: float) -> Decision:
    """Return what follows `record` under the `restart` table of a spec.

    `rate_until_s` is what an exit with code 80 asked for: never less is waited, but a time that comes at once opens no way round the rest.
    """
    retry_failed_s = float(policy["retry_failed_s"])
    if record.reason is not Reason.MEMORY_POLICY and (rest := _rest(policy, record)) is not None:
        return rest
    windows = [backoff.Window(int(w["count"]), float(w["within_s"])) for w in policy["window"]]
    if past.is_looping or backoff.full_window(past.recent_mono, now_mono, windows) is not None:
        return Decision(Next.GIVE_UP, Reason.CRASH_LOOP, max(retry_failed_s, rate_until_s))
    limits_s = float(policy["base_s"]), float(policy["factor"]), float(policy["max_s"])
    delay_s = backoff.delay_s(past.quick, float(policy["initial_s"]), *limits_s)
    return Decision(Next.START, record.reason, max(delay_s, rate_until_s))


def _rest(policy: RestartSpec, record: ExitRecord) -> Decision | None:
    """Return why a bot that ended by itself is not simply started again, None when it is."""
    if record.reason is Reason.LOCK_HELD:
        return Decision(Next.GIVE_UP, Reason.LOCK_HELD, LOCK_RETRY_S)
    if record.reason is Reason.EXEC_FAILED:
        return Decision(Next.GIVE_UP, record.reason, float(policy["retry_failed_s"]))
    if record.exit_code in NOT_RETRIED or record.reason in (Reason.CONFIG, Reason.CONFLICT):
        return Decision(Next.GIVE_UP, record.reason)
    is_clean = record.exit_code == 0
    if policy["policy"] == "never" or (policy["policy"] == "on-failure" and is_clean):
        return Decision(Next.COMPLETE if is_clean else Next.GIVE_UP, record.reason)
    return None


def is_too_large(policy: RestartSpec, record: ExitRecord) -> bool:
    """Tell whether a recycled bot was above its limit of memory so soon that its next life will be too: that counts as a failure."""
    soon_s = max(_SOON_S, float(policy["stable_after_s"]))
    return record.reason is Reason.MEMORY_POLICY and record.uptime_s is not None and record.uptime_s < soon_s


def read_rate_until(first_line: str, now_s: float) -> float:
    """Return how many seconds from now `first_line` of an exit note asks for: epoch seconds or an ISO 8601 time; 0 if neither."""
    text = first_line.strip()
    try:
        until = float(text)
    except ValueError:
        try:
            until = datetime.datetime.fromisoformat(text).timestamp()
        except ValueError:
            return 0.0
    return min(max(0.0, until - now_s), 7 * 86400.0)
