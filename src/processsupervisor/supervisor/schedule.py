"""When a task is due: cron, interval or fixed times to instants, over changes of the clock's offset. Pure: no clock is asked.

An instant is epoch seconds. A local time that does not exist (the clock is put forward) is taken at the end of the gap; one that
comes twice counts once, the first time, unless the hour of a cron expression begins with `*`: such a task goes by the minute,
and a whole hour without it would be a surprise.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from processsupervisor.config.spec import ScheduleSpec
from processsupervisor.kernel.zone import goes_by_local_time, local_zone, local_zone_problem

_FIRST_LOOK_S = 3600.0
_WIDEN = 8.0
_SHIFT = datetime.timedelta(hours=3)
"""No clock is put back by more than this at once (Antarctica/Troll: two hours)."""


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
        return lambda at: _interval_after(anchor_at, every_s, at)
    zone = _zone(spec["tz"])
    if (cron := spec["cron"]) is not None:
        return lambda at: _cron_after(cron, zone, at)
    moments = sorted({_instant_of(datetime.datetime.fromisoformat(text), zone) for text in spec["at"] or []})
    return lambda at: next((moment for moment in moments if moment > at), None)


def _zone(name: str | None) -> datetime.tzinfo:
    import zoneinfo  # here, as below: psvd pays for it when a fleet has a task

    return zoneinfo.ZoneInfo(name) if name is not None else local_zone()


def _interval_after(anchor_at: float, every_s: float, at: float) -> float | None:
    """Return the next time; before the anchor too, which lies in the future when the clock was set back since."""
    number = math.floor((at - anchor_at) / every_s)  # off by one at most, by rounding
    return next((due for n in range(4) if (due := anchor_at + every_s * (number + n)) > at), None)


def _instant_of(moment: datetime.datetime, zone: datetime.tzinfo) -> float:
    return moment.timestamp() if moment.tzinfo is not None else _instants(moment, zone)[0]


def _instants(local: datetime.datetime, zone: datetime.tzinfo) -> list[float]:
    """Return when clocks in `zone` show `local`: once, twice, or never, which is the end of the gap that it lies in."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset() or datetime.timedelta(), second.utcoffset() or datetime.timedelta()
    if before > after:
        return [first.timestamp(), second.timestamp()]
    return [_end_of_gap(local, zone)] if before < after else [first.timestamp()]


def _end_of_gap(local: datetime.datetime, zone: datetime.tzinfo) -> float:
    """Return the instant at which the gap around `local` ends: that of the change itself, found by halving."""
    early, late = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (1, 0))
    low, high = math.floor(early), math.ceil(late)
    before = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return float(high)


def _offset(at: float, zone: datetime.tzinfo) -> datetime.timedelta | None:
    return datetime.datetime.fromtimestamp(at, zone).utcoffset()


def _cron_after(cron: str, zone: datetime.tzinfo, at: float) -> float | None:
    """Walk the local times of `cron`, as if no clock were ever changed, to the first whose instant is after `at`."""
    from croniter import CroniterBadDateError, croniter  # here: psvd loads it when a fleet has such a task

    start = datetime.datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)
    is_by_minute = cron == "@hourly" or cron.partition(" ")[2].startswith("*")
    if is_by_minute and len(_instants(start, zone)) > 1:
        start -= _SHIFT  # what the clocks have shown once they may be about to show again
    walk = croniter(cron, start)
    best: float | None = None
    try:
        while True:
            instants = _instants(walk.get_next(datetime.datetime), zone)
            if best is not None and instants[0] >= best:
                return best
            for instant in instants if is_by_minute else instants[:1]:
                if instant > at and (best is None or instant < best):
                    best = instant
            if best is not None and not (is_by_minute and len(instants) > 1):
                return best
    except (CroniterBadDateError, OverflowError):
        return best
