"""How the kinds of values of fleet.toml look from outside: a JSON Schema fragment for each, for editors.

A form refuses nothing that the loader takes. What only the loader can tell (that an expression compiles, that a zone exists) it
lets pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from processsupervisor.kernel.units import MAX_DURATION_S

Form = dict[str, Any]
"""A JSON Schema."""

_SECONDS: Form = {"type": "number", "minimum": 0, "maximum": MAX_DURATION_S}
_ADDRESS = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
_NAME = r"[^\W\d][^\s:/.]*"


def text(pattern: str = "", **more: Any) -> Form:
    """Return the form of a text, one that matches `pattern`."""
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


def listed(form: Form) -> Form:
    """Return the form of a list of `form`."""
    return {"type": "array", "items": form}


def one_or_many(form: Form) -> Form:
    """Return the form of what may stand alone or in a list."""
    return {"anyOf": [form, listed(form)]}


def duration(least_s: float = 0.0, *, is_zero_allowed: bool = True) -> Form:
    """Return the form of a duration; of a text it is only seen that it is one, and whether it is 0."""
    written = text(r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$", examples=["30s", "10m", "1h30m"])
    if is_zero_allowed:
        bare = {"anyOf": [{"const": 0}, {**_SECONDS, "minimum": least_s}]} if least_s else dict(_SECONDS)
    else:
        written["allOf"] = [{"pattern": "[1-9]"}]
        bare = {**_SECONDS, **({"minimum": least_s} if least_s else {"exclusiveMinimum": 0})}
    return {"description": 'A duration such as "250ms", "30s", "10m", "1h30m"; a bare number is seconds', "anyOf": [written, bare]}


SIZE: Form = {
    "description": 'A size such as "256MB" or "2GB" (powers of 1024); a bare number is bytes',
    "anyOf": [
        text(r"^\s*[0-9]+(\.[0-9]+)?\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\s*$", examples=["256MB", "2GB"]),
        {"type": "integer", "minimum": 0, "maximum": 1 << 60},
    ],
}
TEXT = text()
FILLED = text(r"\S")
NUMBER: Form = {"type": "number"}
WHOLE: Form = {"type": "integer"}
FLAG: Form = {"type": "boolean"}
PORT: Form = {"type": "integer"}
ANYTHING: Form = {"type": "object"}
MASK: Form = {"anyOf": [text("^(0o)?0?[0-7]{1,3}$", examples=["022"]), {"type": "integer", "minimum": 0, "maximum": 0o777}]}
MODULE = text(rf"^{_NAME}(\.{_NAME})*$")
RUN = text(rf"^{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*$", examples=["bots:bot"])
VARIABLE = text("^[A-Za-z_][A-Za-z0-9_]*$")
VALUE: Form = {"type": ["string", "integer"]}
COMMAND: Form = {"type": "array", "items": TEXT, "minItems": 1}
URL = text(r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$")
HOST_PORT = text(_ADDRESS)
FLEET_NAME = text("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
CRON = text(examples=["0 4 * * *", "@daily"])
CHAT: Form = {"anyOf": [text("^(-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,40})$"), {"type": "integer"}]}
MAIL = text(r"^[^\s@]+@[^\s@]+$")


def levels(known: Sequence[str]) -> Form:
    """Return the form of a level of logging, or of a table of them by logger."""
    level: Form = {"enum": list(known)}
    return {"anyOf": [level, {"type": "object", "properties": {"default": level}, "additionalProperties": level}]}


def signal_name(known: frozenset[str]) -> Form:
    """Return the form of a signal's name: one of `known`, or with SIG before it or in small letters."""
    return {"anyOf": [{"enum": sorted(known)}, text("^([Ss][Ii][Gg][A-Za-z0-9]+|[a-z][a-z0-9]*)$")]}
