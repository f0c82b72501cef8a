"""The kinds of values that a schedule knows: cron expressions, intervals, times and time zones; see values.py."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Annotated, Any

from processsupervisor.config import forms
from processsupervisor.config.cron import BadTime, check_zone, clean_cron
from processsupervisor.config.problem import shown
from processsupervisor.config.values import Wrong, duration_of, kind, text_of


def _interval(value: Any) -> float:
    seconds = duration_of(value)
    if seconds < 1:
        raise Wrong("a duration of at least 1s")
    return seconds


def _cron(value: Any) -> str:
    return _worded(clean_cron, text_of(value))


def _zone(value: Any) -> str:
    return _worded(check_zone, text_of(value))


def _worded(read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except BadTime as err:
        raise Wrong(err.expected, err.hint) from err


def _moments(value: Any) -> list[str]:
    expected = 'a time such as "2026-12-24T18:00:00", or a list of them'
    found = []
    for number, item in enumerate(value if isinstance(value, list) else [value], start=1):
        which = f"look at entry {number}, {shown(item)}" if isinstance(value, list) else ""
        try:
            moment = item if isinstance(item, datetime.datetime) else datetime.datetime.fromisoformat(text_of(item))
        except ValueError as err:
            raise Wrong(expected, which) from err
        if moment.year < 1971 or moment.year > 9000:
            raise Wrong(expected, f"the year is out of range{which and ': '}{which}")
        found.append(moment.isoformat())
    if not found:
        raise Wrong(expected, "the list is empty")
    return found


Cron = Annotated[str, *kind("cron expression", _cron, forms.CRON)]
ZoneName = Annotated[str, *kind("time zone", _zone, forms.FILLED)]
Moments = Annotated[list[str], *kind("time or list of times", _moments, forms.one_or_many(forms.TEXT))]
Interval = Annotated[float, *kind("duration, at least 1s", _interval, forms.duration(1.0, is_zero_allowed=False))]
