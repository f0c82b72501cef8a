"""What an author writes as a duration, a size or a value: read, or refused as a UsageError that says what was expected.

The errors mark the values that they show, which may come from a contact: no log has them.
"""

from __future__ import annotations

import json
from datetime import timedelta

from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.units import BadUnit, parse_duration, parse_size

_WAY_OUT = "JSON has texts, numbers, true, false, None, lists, and dicts with texts as keys"


def seconds_of(duration: float | timedelta | str) -> float:
    """Return the seconds of a number of them, a timedelta or a text such as "10m". Raises UsageError."""
    try:
        return parse_duration(duration.total_seconds() if isinstance(duration, timedelta) else duration)
    except BadUnit as err:
        raise UsageError(str(err), found=(err.shown,)) from None


def bytes_of(size: int | str) -> int:
    """Return the bytes of a number of them or a text such as "20MB". Raises UsageError."""
    try:
        return parse_size(size)
    except BadUnit as err:
        raise UsageError(str(err), found=(err.shown,)) from None


def json_of(value: object, what: str, *found: str) -> str:
    """Return a value as JSON. Raises UsageError, in a sentence that `what` begins, for one that JSON cannot hold; `found`: see PsvError."""
    try:
        return json.dumps(value, default=_refuse)
    except _Stranger as err:
        why = f"it holds a {err}"
    except (TypeError, ValueError, RecursionError):
        why = "a key in it is no text, or it holds itself"
    raise UsageError(f"{what} is not JSON: {why}", hint=_WAY_OUT, found=found)


class _Stranger(TypeError):
    """JSON has nothing for a value of this type."""


def _refuse(inner: object) -> object:
    raise _Stranger(type(inner).__name__)
