"""Values set by command, as scopes: [global], types and bots once more, stronger than every file. Pure.

A value whose time is over is none. One that names a type or bot that is not there is kept, and told.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from processsupervisor.config.problem import Finding, KeyPath, did_you_mean, quoted, table_name
from processsupervisor.config.schema import BotTable, ScopeTable
from processsupervisor.config.scopes import Layer
from processsupervisor.config.shape import read_scope
from processsupervisor.config.spec import RuntimeValue

_NOT_BY_COMMAND = frozenset({"type", "count", "first"})
Home = tuple[str, str]
"""Scope and name."""


def lasting(values: Iterable[RuntimeValue], now: float) -> list[RuntimeValue]:
    """Return the values whose time is not over at `now`, wall time."""
    return [value for value in values if value["until"] is None or value["until"] > now]


def runtime_layers(values: Iterable[RuntimeValue]) -> Iterator[tuple[Home, Layer | None, list[Finding]]]:
    """Yield what was set for each scope, None with the faults (at `("runtime", scope, name, *key)`) when it cannot be understood."""
    homes: dict[Home, list[RuntimeValue]] = {}
    for value in sorted(values, key=lambda value: value["at"]):
        homes.setdefault((value["scope"], value["name"]), []).append(value)
    for (scope, name), mine in homes.items():
        raw: dict[str, Any] = {}
        for value in mine:
            _put(raw, value["key"], copy.deepcopy(value["value"]))
        at: KeyPath = ("global",) if scope == "global" else (scope, name)
        home: KeyPath = ("runtime", scope, name)
        layer, findings = read_scope(BotTable if scope == "bots" else ScopeTable, raw, at, home)
        for key in sorted(_NOT_BY_COMMAND & raw.keys()):
            text = f"found {key} for [{table_name(at)}], expected a key that a command may set"
            findings.append(Finding((*home, key), "runtime-key", text, "write it in the file"))
        yield (scope, name), None if findings or layer is None else replace(layer, set_values=tuple(mine)), findings


def unused(homes: Iterable[Home], types: Collection[str], bots: Collection[str]) -> Iterator[tuple[KeyPath, Finding]]:
    """Yield a warning for each scope that is not there."""
    for scope, name in homes:
        known = types if scope == "types" else bots
        if scope != "global" and name not in known:
            what = "type" if scope == "types" else "bot"
            text = f"a value is set for the {what} {quoted(name)}, which is not there"
            yield ("runtime", scope, name), Finding((), "runtime-unused", text, did_you_mean(name, known, f"{what}s"), warning=True)


def _put(table: dict[str, Any], key: list[str], value: object) -> None:
    """Set the value at a path; what stood in its way is replaced."""
    for part in key[:-1]:
        inner = table.get(part)
        if not isinstance(inner, dict):
            inner = table[part] = {}
        table = inner
    table[key[-1]] = value
