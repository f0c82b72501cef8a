"""The values of compose files: ${VARIABLES}, commands as text or list, tables that may be lists, times such as 1m30s."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from processsupervisor.adopt.program import CannotRead, Place
from processsupervisor.kernel.units import parse_duration

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})")


def expand_variables(text: str, variables: Mapping[str, str], place: Place) -> str:
    """Replace $NAME, ${NAME}, ${NAME:-default}; raises CannotRead for one that has no value, which compose would make empty."""

    def replaced(match: re.Match[str]) -> str:
        dollar, bare, braced, operator, word = match.groups()
        if dollar:
            return "$"
        name = bare or braced
        value = variables.get(name)
        is_given = value is not None and (value != "" or not (operator or "").startswith(":"))
        if operator and operator.endswith("+"):
            return word if is_given else ""
        if is_given:
            return str(value)
        if operator and operator.endswith("-"):
            return str(word)
        raise CannotRead(
            f"{place}: ${{{name}}} has no value", hint=f"write {name}=... into .env beside the file, as docker compose needs it too"
        )

    return _VARIABLE.sub(replaced, text)


def words_of(table: Mapping[str, Any], key: str, place: Place) -> list[str]:
    """Return a command, which is a list or a text that is split into words; no shell reads it."""
    value = table.get(key)
    if value is None or value == "":
        return []
    if isinstance(value, list) and all(isinstance(word, (str, int, float)) for word in value):
        return [str(word) for word in value]
    if not isinstance(value, str):
        raise CannotRead(
            f"{place}: found {key} of another kind, expected a text or a list of texts", hint="correct the file; nothing was written"
        )
    try:
        return shlex.split(value)
    except ValueError as err:
        raise CannotRead(f"{place}: {key}: {str(err).lower()}", hint="close the quote; nothing was written") from err


def list_or_table(value: Any, place: Place) -> Iterator[tuple[str, str | None]]:
    """Yield the variables of `environment`; None = taken from the environment of compose."""
    if value is None:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), None if inner is None else _text(inner)
    elif isinstance(value, list):
        for entry in value:
            key, equals, inner = str(entry).partition("=")
            yield key, inner if equals else None
    else:
        raise CannotRead(
            f"{place}: found environment of another kind, expected a table or a list", hint="correct the file; nothing was written"
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def seconds_of(value: Any, place: Place) -> float:
    """Return a time such as "1m30s"."""
    try:
        return parse_duration(value)
    except (ValueError, AttributeError) as err:
        raise CannotRead(
            f"{place}: found no time, expected one such as 30s or 1m30s", hint="correct the file; nothing was written"
        ) from err
