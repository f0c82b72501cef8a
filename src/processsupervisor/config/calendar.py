"""The kinds of values that a schedule knows: cron expressions, intervals, times and time zones; see values.py."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Annotated, Any

from processsupervisor.config import forms
from processsupervisor.config.problem import did_you_mean, nearest, quoted, shown
from processsupervisor.config.values import Wrong, duration_of, kind, text_of

_CRON_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or jan to dec"),
    ("day of the week", "0 to 7 or sun to sat"),
)
_CRON_WORDS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


def _interval(value: Any) -> float:
    seconds = duration_of(value)
    if seconds < 1:
        raise Wrong("a duration of at least 1s")
    return seconds


def _cron(value: Any) -> str:
    from croniter import croniter  # here: most fleets have no schedule

    text = " ".join(text_of(value).lower().split())
    hint = 'minute, hour, day of the month, month, day of the week, as in "0 4 * * 1-5" (04:00 from Monday to Friday)'
    if not text.startswith("@") and len(text.split()) != 5:
        raise Wrong("a cron expression of five fields", hint)
    if any(field.startswith(("h", "r")) for field in text.split()):
        raise Wrong("a cron expression that means the same each time", "jitter spreads runs; h and r are not known here")
    if text.startswith("@") and text not in _CRON_WORDS:
        raise Wrong("a cron expression of five fields, or a word for one", did_you_mean(text, _CRON_WORDS, "words"))

    def is_good(expression: str) -> bool:
        try:
            croniter.expand(expression, strict=True)
        except (ValueError, KeyError, IndexError, TypeError):  # its own errors are ValueErrors, worded for programmers
            return False
        return True

    if not is_good(text):
        for number, (field, (name, values)) in enumerate(zip(text.split(), _CRON_FIELDS, strict=True)):
            if not is_good(" ".join(["*"] * number + [field] + ["*"] * (4 - number))):
                raise Wrong(f"a cron expression whose {name} is of {values}, not {quoted(field)}", hint)
        raise Wrong("a cron expression with a day that comes in its month", hint)
    return text


def _zone(value: Any) -> str:
    import zoneinfo

    name = text_of(value)
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError) as err:  # not found is a KeyError below; a folder, or a path that leads elsewhere
        raise Wrong('a time zone of the IANA database, as in "Europe/Berlin" or "UTC"') from err
    except zoneinfo.ZoneInfoNotFoundError as err:
        hint = _zone_hint(name, zoneinfo.available_timezones())
        raise Wrong('a time zone of the IANA database, as in "Europe/Berlin" or "UTC"', hint) from err
    return name


def _zone_hint(name: str, known: Iterable[str]) -> str:
    """Return the way out for an unknown zone. One abbreviation is never offered for another: CEST is not EST, nor GMT+2 Etc/GMT+2."""
    if re.fullmatch(r"[A-Z]{2,5}([+-].*)?", name):
        return "abbreviations and offsets do not say when the clocks change: name a place"
    close = nearest(name, [zone for zone in known if zone == "UTC" or ("/" in zone and not zone.startswith("Etc/"))])
    return f'did you mean "{close}"?' if close else ""


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
