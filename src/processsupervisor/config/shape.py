"""One table of the file against its model: the read table, or every fault of it as findings in our own words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from processsupervisor.config.problem import Finding, KeyPath, did_you_mean, nearest, quoted, shown, table_name
from processsupervisor.config.schema import SECTIONS, BotTable, ScopeTable, TypeTable
from processsupervisor.config.scopes import Layer, Rests, with_rests, without_rests, written_index
from processsupervisor.config.tables import Table
from processsupervisor.config.values import Wrong

T = TypeVar("T", bound=Table)

_EXPECTED = {
    "bool_type": "true or false",
    "string_type": 'a text in quotes, as in "abc"',
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list, as in ['a', 'b']",
    "dict_type": "a table, as in { a = 1 }",
    "model_type": "a table",
}
_PROGRAMS = ("run", "script", "command")
_STRUCTURE = {"extends", "count", "first"}
"""Keys that say how tables go together, and nothing of a bot."""


def read_table(model: type[T], raw: object, at: KeyPath) -> tuple[T | None, list[Finding]]:
    """Return the table that stands at `at` as `model`, or None and all its faults."""
    return _read(model, raw, at, {})


def read_scope(model: type[ScopeTable], raw: object, at: KeyPath, home: KeyPath | None = None) -> tuple[Layer | None, list[Finding]]:
    """Return what the table of a scope gives, or None and all its faults; it is called [`at`], its keys stand at `home`."""
    stripped, rests = without_rests(raw) if isinstance(raw, dict) else ({}, {})
    table, findings = _read(model, stripped if isinstance(raw, dict) else raw, at, rests)
    if home is not None and home != at:
        findings = [replace(finding, path=(*home, *finding.path[len(at) :])) for finding in findings]
    if table is None:
        return None, findings
    given = with_rests(table.model_dump(exclude_unset=True, exclude=_STRUCTURE), rests)
    return Layer(home or at, given, raw if isinstance(raw, dict) else {}), findings


def _read(model: type[T], raw: object, at: KeyPath, rests: Rests) -> tuple[T | None, list[Finding]]:
    findings = _choices(raw, at) if isinstance(raw, dict) and issubclass(model, ScopeTable) else []
    try:
        table = model.model_validate(raw)
    except ValidationError as err:
        return None, findings + [_finding(model, dict(fault), at, rests) for fault in err.errors(include_url=False)]
    return (None if findings else table), findings


def _choices(raw: dict[str, Any], at: KeyPath) -> list[Finding]:
    """Find tables that choose none or several where exactly one is wanted."""
    findings = []
    given = [name for name in _PROGRAMS if name in raw]
    if len(given) > 1:
        text = f"found {' and '.join(given)} in [{table_name(at)}], expected one of run, script and command"
        findings.append(Finding((*at, given[1]), "two-programs", text, "keep the one that this bot is"))
    ready = raw.get("ready")
    if isinstance(ready, dict):
        known = [k for k in ready if k in ("log", "tcp", "http", "after", "notify")]
        if len(known) != 1 and (known or not ready):
            text = f"found {' and '.join(known) or 'nothing'} in ready, expected exactly one of log, tcp, http, after, notify"
            findings.append(Finding((*at, "ready"), "ready-choice", text))
        if "run" in raw and at[:1] != ("global",):
            findings.append(ready_of_native((*at, "ready")))
    schedule = raw.get("schedule")
    if isinstance(schedule, dict) and len(known := [k for k in ("cron", "every", "at") if k in schedule]) != 1:
        text = f"found {' and '.join(known) or 'none'} in schedule, expected exactly one of cron, every, at"
        findings.append(Finding((*at, "schedule"), "schedule-choice", text, 'as in schedule = { cron = "0 4 * * *" }'))
    locks = raw.get("lock")
    for index, lock in enumerate(locks if isinstance(locks, list) else []):
        if isinstance(lock, dict) and len([k for k in lock if k in ("env", "file")]) != 1 and set(lock) <= {"env", "file"}:
            text = f"found {' and '.join(lock) or 'nothing'} in a lock, expected exactly one of env and file"
            findings.append(Finding((*at, "lock", index), "lock-choice", text, "write one { ... } for each thing to lock"))
    return findings


def ready_of_native(path: KeyPath) -> Finding:
    """Return the refusal of `ready` on a native bot."""
    return Finding(path, "ready-native", "found ready on a native bot (run), which says itself when it is ready", "remove this ready")


def _finding(model: type[Table], fault: dict[str, Any], at: KeyPath, rests: Rests) -> Finding:
    location = tuple(part for part in fault["loc"] if part != "[key]")  # "[key]" marks a bad key of a dict
    is_key = len(location) < len(fault["loc"])
    location = written_index(rests, location) if rests else location
    path: KeyPath = (*at, *location)
    kind, found, context = fault["type"], fault["input"], fault.get("ctx", {})
    where = f" for {table_name(location)} in [{table_name(at)}]" if location else f" for [{table_name(at)}]"
    if kind == "extra_forbidden":
        return _unknown_key(model, path, location)
    if kind == "missing":
        around = table_name(path[:-1])
        return Finding(path[:-1], "missing-key", f"{quoted(str(path[-1]))} is missing in [{around}]", _missing_hint(path))
    if isinstance(wrong := context.get("error"), Wrong):
        words = quoted(str(found)) if is_key else shown(found, path)
        return Finding(path, "bad-value", f"found {words}{where}, expected {wrong.expected}", wrong.hint)
    expected = _expectation(kind, context, str(fault["msg"]))
    hint = ""
    if kind == "literal_error" and isinstance(found, str):
        close = nearest(found, _literals(str(context.get("expected", ""))))
        hint = f"did you mean {quoted(close)}?" if close else ""
    return Finding(path, "bad-value", f"found {shown(found, path)}{where}, expected {expected}", hint)


def _expectation(kind: str, context: dict[str, Any], message: str) -> str:
    match kind:
        case "literal_error":
            return "one of " + ", ".join(quoted(name) if name != "True" else "true" for name in _literals(str(context["expected"])))
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "too_long":
            return f"at most {context['max_length']} entries"
    return _EXPECTED.get(kind, message[:1].lower() + message[1:])


def _literals(expected: str) -> list[str]:
    return [name.strip("' ") for name in expected.replace(" or ", ", ").split(", ")]


def _missing_hint(path: KeyPath) -> str:
    return 'add name = "my-fleet"' if path == ("fleet", "name") else ""


def _unknown_key(model: type[Table], path: KeyPath, location: KeyPath) -> Finding:
    name, around = str(location[-1]), table_name(path[:-1])
    known = _fields_at(model, location[:-1])
    hint = did_you_mean(name, known, "keys")
    nested = [f"{outer}.{name}" for outer, inner in _inner_tables(model) if name in inner.model_fields and name not in known]
    if nested or nearest(name, known) is None:  # a name that is right elsewhere says more than one that is only like it
        homes = [f"[{section}]" for section, table in SECTIONS.items() if name in table.model_fields and section != path[0]]
        if name in BotTable.model_fields and "[global]" not in homes and path[0] not in ("bots", "types", "global"):
            homes.append("[bots.NAME]")
        if name in TypeTable.model_fields and name not in ScopeTable.model_fields and path[0] != "types":
            homes.append("[types.NAME]")
        if nested or homes:
            hint = f"did you mean {quoted(nested[0])}?" if nested else f"it belongs into {' or '.join(homes)}"
    if name == "include":
        hint = "write it at the top of the file, before the first table"
    return Finding(path, "unknown-key", f"unknown key {quoted(name)} in [{around}]", hint)


@cache
def _inner_tables(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    return [
        (name, inner)
        for name, field in model.model_fields.items()
        if (inner := table_of(field.annotation)) and name not in ("lock", "ready")
    ]


def _fields_at(model: type[BaseModel], location: KeyPath) -> list[str]:
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, str) and current is not None:
            field = current.model_fields.get(part)
            current = table_of(field.annotation) if field else None
    return list(current.model_fields) if current else []


def table_of(annotation: object) -> type[Table] | None:
    """Return the table class in an annotation such as `list[WindowTable]` or `ReadyTable | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for part in get_args(annotation) if (found := table_of(part))), None)
