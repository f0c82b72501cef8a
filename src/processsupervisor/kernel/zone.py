"""The time zone of the machine, by which tasks without a `tz` of their own run, and what is wrong with it.

A name that the machine does not know is not refused, since the C library takes it for UTC as well; but it is said.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence


def local_zone() -> datetime.tzinfo:
    """Return the time zone of the machine: `TZ`, else /etc/localtime, else UTC."""
    return _found() or datetime.UTC


def local_zone_problem() -> str:
    """Return what is wrong with `TZ`, empty when it can be used or is not set."""
    name = os.environ.get("TZ", "")
    if not name.removeprefix(":") or _found() is not None:
        return ""
    return f'the environment has TZ={name[:60]}, which is no time zone of the IANA database as "Europe/Berlin" is: UTC is taken instead'


def goes_by_local_time(cron: str | None, at: Sequence[str] | None, tz: str | None) -> bool:
    """Tell whether a schedule depends on the time zone of the machine."""
    if tz is not None:
        return False
    return cron is not None or any(datetime.datetime.fromisoformat(text).tzinfo is None for text in at or ())


def _found() -> datetime.tzinfo | None:
    import zoneinfo  # here: only what has a task pays for it

    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return zoneinfo.ZoneInfo(name)
        with open(name or "/etc/localtime", "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, "localtime")
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return None
