"""The kinds of values that a schedule knows: cron expressions, intervals, times and time zones; see values.py."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from processsupervisor.config.problem import nearest
from processsupervisor.config.values import Wrong, duration_of, kind, text_of


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
    try:
        croniter.expand(text, strict=True)
    except (ValueError, KeyError, IndexError, TypeError) as err:  # its own errors are ValueErrors
        raise Wrong(f"a cron expression ({str(err).splitlines()[0]})", hint) from err
    return text


def _zone(value: Any) -> str:
    import zoneinfo

    name = text_of(value)
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError) as err:  # not found is a KeyError below; a folder, or a path that leads elsewhere
        raise Wrong('a time zone of the IANA database, as in "Europe/Berlin" or "UTC"') from err
    except zoneinfo.ZoneInfoNotFoundError as err:
        close = nearest(name, zoneinfo.available_timezones())
        raise Wrong(
            'a time zone of the IANA database, as in "Europe/Berlin" or "UTC"', f'did you mean "{close}"?' if close else ""
        ) from err
    return name


def _moments(value: Any) -> list[str]:
    expected = 'a time such as "2026-12-24T18:00:00", or a list of them'
    found = []
    for item in value if isinstance(value, list) else [value]:
        try:
            moment = item if isinstance(item, datetime.datetime) else datetime.datetime.fromisoformat(text_of(item))
        except ValueError as err:
            raise Wrong(expected) from err
        if moment.year < 1971 or moment.year > 9000:
            raise Wrong(expected, "the year is out of range")
        found.append(moment.isoformat())
    if not found:
        raise Wrong(expected, "the list is empty")
    return found


Cron = Annotated[str, *kind("cron expression", _cron)]
ZoneName = Annotated[str, *kind("time zone", _zone)]
Moments = Annotated[list[str], *kind("time or list of times", _moments)]
Interval = Annotated[float, *kind("duration, at least 1s", _interval)]
