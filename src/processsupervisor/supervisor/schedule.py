"""When a task is due: cron, interval or fixed times, with jitter and what was missed. Pure: no clock is asked.

An instant is epoch seconds; how local times become instants stands in config/occurrences.py.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from processsupervisor.config.occurrences import cron_after, instant_of, interval_after, zone_named
from processsupervisor.config.spec import ScheduleSpec
from processsupervisor.kernel.zone import goes_by_local_time, local_zone_problem

_FIRST_LOOK_S = 3600.0
_WIDEN = 8.0


def spread(seed: str) -> float:
    """Return a number from 0 to below 1 that is always the same for `seed` and looks drawn at random."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2.0**64


def zone_problem(spec: ScheduleSpec) -> str:
    """Return what is wrong with the machine's time zone, empty when all is well or the schedule does not go by it."""
    return local_zone_problem() if goes_by_local_time(spec["cron"], spec["at"], spec["tz"]) else ""


def schedule_key(spec: ScheduleSpec) -> str:
    """Return what the due times of a schedule depend on, as one text: another text, another schedule."""
    return json.dumps([spec["cron"], spec["every_s"], spec["at"], spec["tz"]])


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence: when it is due, and when it begins with its jitter."""

    at: float
    begin_at: float


class Schedule:
    """One task's occurrences, strictly increasing. `anchor_at` is what an interval is counted from; `name` seeds the jitter.

    One begins before the next is due, however much jitter was asked for: else two would be due at once, and one of them missed.
    """

    def __init__(self, spec: ScheduleSpec, name: str, anchor_at: float) -> None:
        self._jitter_s = float(spec["jitter_s"])
        self._name = name
        self._following = _following(spec, anchor_at)

    def next_after(self, at: float) -> Due | None:
        """Return the first occurrence that is due after `at`, None when there is none any more."""
        found = self._following(at)
        if found is None or not self._jitter_s:
            return None if found is None else Due(found, found)
        following = self._following(found)
        longest_s = min(self._jitter_s, following - found) if following is not None else self._jitter_s
        return Due(found, found + longest_s * spread(f"{self._name} {found}"))

    def begun(self, after: float, now: float, limit: int) -> list[Due]:
        """Return the newest `limit` occurrences that are due after `after` and begin not later than `now`, oldest first.

        Costs little however long ago `after` is: the time before now is looked at in windows that grow.
        """
        window_s = _FIRST_LOOK_S + self._jitter_s
        while True:
            start = max(after, now - window_s)
            found = list(self._walk(start, now))
            if len(found) >= limit or start <= after:
                return found[-limit:]
            window_s *= _WIDEN

    def _walk(self, after: float, now: float) -> Iterator[Due]:
        due = self.next_after(after)
        while due is not None and due.begin_at <= now:  # in order: one that is late by its jitter keeps those behind it waiting
            yield due
            due = self.next_after(due.at)


Following = Callable[[float], float | None]


def _following(spec: ScheduleSpec, anchor_at: float) -> Following:
    """Return a function from an instant to the first occurrence after it."""
    if (every_s := spec["every_s"]) is not None:
        return lambda at: interval_after(anchor_at, every_s, at)
    zone = zone_named(spec["tz"])
    if (cron := spec["cron"]) is not None:
        return lambda at: cron_after(cron, zone, at)
    moments = sorted({instant_of(datetime.datetime.fromisoformat(text), zone) for text in spec["at"] or []})
    return lambda at: next((moment for moment in moments if moment > at), None)
