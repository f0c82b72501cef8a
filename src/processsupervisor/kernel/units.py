"""Durations and sizes as people write them ("30s", "1.5m", "256MB") to seconds and bytes, and back.

Decimal and binary size suffixes are both powers of 1024, as operators of memory limits expect.
"""

from __future__ import annotations

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
          "g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
MAX_DURATION_S = 10 * 365 * 86400.0


class BadUnit(ValueError):
    """Found something that is no duration or size: "found X, expected Y". `shown` is X, as it stands there."""

    def __init__(self, shown: object, expected: str) -> None:
        self.shown = str(shown)
        super().__init__(f"found {shown}, expected {expected}")


def parse_duration(text: str | int | float) -> float:
    """Return seconds of "30s", "10m", "1h30m", "250ms"; a bare number is seconds.

    Raises BadUnit for anything negative, not finite or longer than ten years.
    """
    if isinstance(text, bool):
        raise BadUnit(text, 'a duration such as "30s" or "10m"')
    if isinstance(text, (int, float)):
        seconds = float(text)
    else:
        stripped = text.strip()
        parts = list(_DURATION.finditer(stripped))
        if not parts or ("".join(p.group(0) for p in parts) != stripped.replace(" ", "") and _DURATION.sub("", stripped).strip()):
            raise BadUnit(f'"{text}"', 'a duration such as "30s", "10m" or "1h30m"')
        seconds = sum(float(p.group(1)) * _SECONDS[p.group(2)] for p in parts)
    if not math.isfinite(seconds) or seconds < 0 or seconds > MAX_DURATION_S:
        raise BadUnit(repr(text), "a duration between 0 and ten years")
    return seconds


def parse_size(text: str | int) -> int:
    """Return bytes of "256MB", "16KiB", "2GB"; a bare integer is bytes. Raises BadUnit."""
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        raise BadUnit(repr(text), 'a size such as "256MB"')
    if isinstance(text, int):
        size = text
    else:
        match = _SIZE.fullmatch(text)
        if match is None or match.group(2).lower() not in _BYTES:
            raise BadUnit(f'"{text}"', 'a size such as "256MB"')
        size = int(float(match.group(1)) * _BYTES[match.group(2).lower()])
    if size < 0 or size > 1 << 60:
        raise BadUnit(repr(text), "a size between 0 and 1 EiB")
    return size


def format_bytes(size: int | float | None) -> str:
    """Return a short size for tables: "812 KB", "14.2 MB", "-" for None."""
    if size is None:
        return "-"
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{value:.0f} {unit}" if unit in ("B", "KB") else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def short_duration(seconds: float) -> str:
    """Return a duration for a sentence, rounded to seconds and without a zero at the end: "40s", "1m05s", "1h", "1d12h"."""
    whole = max(1, round(seconds))
    return f"{whole}s" if whole < 60 else re.sub(r"(?<=[mhd])00[smh]$", "", format_duration(whole))


def format_duration(seconds: float | None) -> str:
    """Return a short duration for tables: "3.2s", "5m10s", "2h05m", "3d04h", "-" for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"
