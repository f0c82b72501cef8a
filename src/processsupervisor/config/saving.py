"""One value in the text of a configuration: put in, comments and order kept. Pure: text in, text out.

Written by tomlkit; the result is parsed and must say exactly what was meant, else the edit is refused and a person makes it by hand.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from processsupervisor.config.edit import CannotEdit
from processsupervisor.config.problem import table_name
from processsupervisor.config.shelf import CONFIG

_BOM = "\ufeff"
_BY_HAND = "change it by hand; psv check finds mistakes"


def home_of(texts: Mapping[str, str], scope: Sequence[str]) -> str:
    """Return the path of the file in which the table `scope` (("bots", "a")) is written; for [global], where none is, fleet.toml.

    Raises CannotEdit when none has it, or several.
    """
    homes = [path for path, text in texts.items() if _table(_values(text), scope) is not None]
    if not homes and tuple(scope) == ("global",) and texts:
        return CONFIG if CONFIG in texts else next(iter(texts))
    if not homes:
        where = table_name(tuple(scope))
        raise CannotEdit(f"no file has a table [{where}] of its own: a template makes it", hint="change the template or the type by hand")
    if len(homes) > 1:
        raise CannotEdit(f"[{table_name(tuple(scope))}] stands in several files: {', '.join(homes)}", hint=_BY_HAND)
    return homes[0]


def put(text: str, scope: Sequence[str], key: Sequence[str], value: object) -> str:
    """Return `text` with `value` at `key` of the table `scope`. Raises CannotEdit."""
    import tomlkit

    body = text.removeprefix(_BOM)
    values = _values(text)
    expected = copy.deepcopy(values)
    _place(expected, [*scope, *key[:-1]])[key[-1]] = value
    document: Any = tomlkit.parse(body)
    try:
        table = document
        path = [*scope, *key[:-1]]
        for depth, part in enumerate(path):
            if part not in table:
                table[part] = tomlkit.table() if depth < len(scope) else tomlkit.inline_table()
            table = table[part]
        table[key[-1]] = value
        written = tomlkit.dumps(document)
        if "\r\n" in body and body.count("\r\n") == body.count("\n"):  # what is new has the ends of lines of the rest
            written = written.replace("\r\n", "\n").replace("\n", "\r\n")
        after = text[: len(text) - len(body)] + written
        is_meant = _values(after) == expected
    except (TypeError, ValueError, KeyError, AttributeError):  # tomlkit's ways to say that it cannot
        is_meant = False
    if not is_meant:
        raise CannotEdit(f"{table_name((*scope, *key))} stands in a way that psv does not change by itself", hint=_BY_HAND)
    return after


def _place(values: Any, path: Sequence[str]) -> Any:
    for depth, part in enumerate(path):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise CannotEdit(f"{table_name(tuple(path[: depth + 1]))} is no table", hint=_BY_HAND)
    return values


def _table(values: Any, path: Sequence[str]) -> object | None:
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else None


def _values(text: str) -> dict[str, Any]:
    return tomllib.loads(text.removeprefix(_BOM))
