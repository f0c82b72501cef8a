"""Values set by command: how one comes and goes, and how a person writes a key and a value. Pure, standard library only.

Every list here is that of Applied["runtime"]; none is changed in place. Whether a value fits its key is load's affair.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from processsupervisor.config.problem import quoted, table_name
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.errors import UsageError

NOT_AT_RUNTIME: Mapping[str, str] = {
    "name": "psv bot rename gives a bot another name",
    "type": "write it into fleet.toml, then psv config apply",
    "count": "write it into fleet.toml, then psv config apply",
    "first": "write it into fleet.toml, then psv config apply",
    "extends": "write it into fleet.toml, then psv config apply",
    "include": "write it into fleet.toml, then psv config apply",
    "source": "write it into fleet.toml, then psv config apply",
}
"""Keys that say what there is rather than how it runs, each with the way out."""

_FLAGS = ("true", "false")


def with_value(values: Iterable[RuntimeValue], new: RuntimeValue) -> list[RuntimeValue]:
    """Return the values with `new` as the last and strongest: what was set before at its key, or below, is gone."""
    return [*_others(values, new["scope"], new["name"], new["key"]), new]


def without_value(values: Iterable[RuntimeValue], scope: str, name: str, key: list[str]) -> list[RuntimeValue]:
    """Return the values without what was set at `key` or below; the same list again when nothing was."""
    return _others(values, scope, name, key)


def _others(values: Iterable[RuntimeValue], scope: str, name: str, key: list[str]) -> list[RuntimeValue]:
    return [value for value in values if (value["scope"], value["name"], value["key"][: len(key)]) != (scope, name, key)]


def parse_key(text: str) -> list[str]:
    """Return the parts of a key that a command may set. Raises UsageError."""
    parts = key_parts(text)
    if parts[0] in NOT_AT_RUNTIME:
        raise UsageError(f"{parts[0]} cannot be set while the fleet runs", hint=NOT_AT_RUNTIME[parts[0]])
    return parts


def key_parts(text: str) -> list[str]:
    """Return the parts of a key as fleet.toml has it: `restart.max`, `options."a.b"`. Raises UsageError."""
    try:
        table: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else {}
    except ValueError:
        table = {}
    parts: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        (part, table), = table.items()
        parts.append(part)
    if not parts or table != 0:
        hint = "such as log_level, restart.max or options.greeting"
        raise UsageError(f"found {quoted(text)}, expected a key as in fleet.toml", hint=hint)
    return parts


def parse_value(text: str) -> object:
    """Return the value that `text` is in TOML, else the text itself, so that 30s needs no quotes; dates become texts. Raises UsageError."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):  # how Python holds what is no UTF-8
        raise UsageError("found a value that is no UTF-8, expected a text", hint="give it in UTF-8")
    try:
        table = tomllib.loads(f"value = {text}")
    except ValueError:
        _refuse_slip(text)
        return text
    return _plain(table["value"], text) if len(table) == 1 else text


def _refuse_slip(text: str) -> None:
    """Refuse what was meant as TOML and is none: a text that says `[1, 2` would be a surprise."""
    if text[:1] in ("[", "{", '"', "'"):
        raise UsageError(f"found {text[:1]} at the begin of a value that is no TOML", hint="""quote it as a text: '"..."'""")
    if text not in _FLAGS and text.lower() in _FLAGS:
        hint = f"""write {text.lower()}, or '"{text}"' for a text"""
        raise UsageError(f"found {quoted(text)}, expected true or false in small letters", hint=hint)


def _plain(value: object, text: str) -> object:
    match value:
        case float() if not math.isfinite(value):
            raise UsageError(f"found {quoted(text, 20)}, expected a finite number")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list():
            return [_plain(item, text) for item in value]
        case dict():
            return {key: _plain(item, text) for key, item in value.items()}
    return value


def scope_name(scope: str, name: str) -> str:
    """Return how a scope of runtime values is written as a table of fleet.toml: "global", "types.shop", "bots.shop-1"."""
    return table_name((scope, name) if name else (scope,))
