"""Cron expressions and names of time zones, checked and brought into one form; what is wrong is said in words for people.

Without pydantic: fleet.toml's kinds (calendar.py) and the schedules of bots, which load no pydantic, read them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from processsupervisor.config.problem import did_you_mean, nearest, quoted

_CRON_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or jan to dec"),
    ("day of the week", "0 to 7 or sun to sat"),
)
_CRON_WORDS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


class BadTime(ValueError):
    """Found something that is not `expected`; `hint` says the way out, `shown` is what `expected` shows of it, as it stands there."""

    def __init__(self, expected: str, hint: str = "", shown: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.shown = shown


def clean_cron(text: str) -> str:
    """Return the expression with its fields set apart by one space. Raises BadTime."""
    from croniter import croniter  # here: most fleets have no schedule

    text = " ".join(text.lower().split())
    hint = 'minute, hour, day of the month, month, day of the week, as in "0 4 * * 1-5" (04:00 from Monday to Friday)'
    if not text.startswith("@") and len(text.split()) != 5:
        raise BadTime("a cron expression of five fields", hint)
    if any(field.startswith(("h", "r")) for field in text.split()):
        raise BadTime("a cron expression that means the same each time", "jitter spreads runs; h and r are not known here")
    if text.startswith("@") and text not in _CRON_WORDS:
        raise BadTime("a cron expression of five fields, or a word for one", did_you_mean(text, _CRON_WORDS, "words"))

    def is_good(expression: str) -> bool:
        try:
            croniter.expand(expression, strict=True)
        except (ValueError, KeyError, IndexError, TypeError):  # its own errors are ValueErrors, worded for programmers
            return False
        return True

    if not is_good(text):
        for number, (field, (name, values)) in enumerate(zip(text.split(), _CRON_FIELDS, strict=True)):
            if not is_good(" ".join(["*"] * number + [field] + ["*"] * (4 - number))):
                raise BadTime(f"a cron expression whose {name} is of {values}, not {quoted(field)}", hint, quoted(field))
        raise BadTime("a cron expression with a day that comes in its month", hint)
    return text


def check_zone(name: str) -> str:
    """Return the name of a time zone that this machine knows. Raises BadTime."""
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError) as err:  # not found is a KeyError below; a folder, or a path that leads elsewhere
        raise BadTime('a time zone of the IANA database, as in "Europe/Berlin" or "UTC"') from err
    except zoneinfo.ZoneInfoNotFoundError as err:
        hint = _zone_hint(name, zoneinfo.available_timezones())
        raise BadTime('a time zone of the IANA database, as in "Europe/Berlin" or "UTC"', hint) from err
    return name


def _zone_hint(name: str, known: Iterable[str]) -> str:
    """Return the way out for an unknown zone. One abbreviation is never offered for another: CEST is not EST, nor GMT+2 Etc/GMT+2."""
    if re.fullmatch(r"[A-Z]{2,5}([+-].*)?", name):
        return "abbreviations and offsets do not say when the clocks change: name a place"
    close = nearest(name, [zone for zone in known if zone == "UTC" or ("/" in zone and not zone.startswith("Etc/"))])
    return f'did you mean "{close}"?' if close else ""
