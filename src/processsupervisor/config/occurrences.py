"""When something that goes by the clock is due: intervals and cron expressions to instants, over changes of the clock's offset.

Pure: no clock is asked. An instant is epoch seconds. A local time that does not exist (the clock is put forward) is taken at the end
of the gap; one that comes twice counts once, the first time, unless the hour of a cron expression begins with `*`: what goes by the
minute goes on, for a whole hour without it would be a surprise. Tasks of psvd and schedules of bots are reckoned here.
"""

from __future__ import annotations

import datetime
import math

from processsupervisor.kernel.zone import local_zone

_SHIFT = datetime.timedelta(hours=3)
"""No clock is put back by more than this at once (Antarctica/Troll: two hours)."""


def zone_named(name: str | None) -> datetime.tzinfo:
    """Return the time zone of that name, the machine's own for None."""
    import zoneinfo  # here: psvd pays for it when a fleet has a task

    return zoneinfo.ZoneInfo(name) if name is not None else local_zone()


def due_after(rule: str, due_at: float, now: float) -> float | None:
    """Return when a timer that was due at `due_at` is due again after `now`; None when it is not.

    `rule` is "" (once), "every SECONDS" (counted from `due_at`) or "cron ZONE FIELDS", where the zone "local" is the machine's.
    However many occurrences lie before `now`, they are not made up for. Raises ValueError for any other rule.
    """
    if not rule:
        return None
    kind, _, rest = rule.partition(" ")
    if kind == "every":
        return interval_after(due_at, float(rest), max(due_at, now))
    if kind == "cron":
        zone, _, fields = rest.partition(" ")
        return cron_after(fields, zone_named(None if zone == "local" else zone), max(due_at, now))
    raise ValueError(f"found the rule {rule!r}, expected every or cron")


def interval_after(anchor_at: float, every_s: float, at: float) -> float | None:
    """Return the first time after `at`; before the anchor too, which lies in the future when the clock was set back since."""
    number = math.floor((at - anchor_at) / every_s)  # off by one at most, by rounding
    return next((due for n in range(4) if (due := anchor_at + every_s * (number + n)) > at), None)


def instant_of(moment: datetime.datetime, zone: datetime.tzinfo) -> float:
    """Return when `moment` is, in `zone` unless it names its own."""
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


def cron_after(cron: str, zone: datetime.tzinfo, at: float) -> float | None:
    """Walk the local times of `cron`, as if no clock were ever changed, to the first whose instant is after `at`."""
    from croniter import CroniterBadDateError, croniter  # here: only what has such a schedule loads it

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
