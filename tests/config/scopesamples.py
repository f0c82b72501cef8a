"""Random settings for random scopes, and where each of them ends up in a BotSpec: for the property tests of merging and of origins."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from processsupervisor.config.spec import BotSpec, RuntimeValue

REST = "..."
_NAMES = ["A", "B", "C"]
_WORDS = st.sampled_from(["one", "two", "three", "{n}", "{", "é"])
_LISTS = st.lists(st.one_of(_WORDS, st.just(REST)), max_size=3)
_SECONDS = st.integers(1, 99)

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "start_timeout": _SECONDS,
        "priority": st.integers(-9, 9),
        "autostart": st.booleans(),
        "args": _LISTS,
        "restart_with": st.lists(st.sampled_from(["db", REST]), max_size=2),
        "env": st.dictionaries(st.sampled_from(_NAMES), _WORDS, max_size=3),
        "restart": st.fixed_dictionaries({}, optional={"max": _SECONDS, "initial": _SECONDS}),
        "stop": st.fixed_dictionaries({}, optional={"timeout": _SECONDS, "signal": st.sampled_from(["INT", "TERM", "HUP"])}),
        "ready": st.one_of(st.fixed_dictionaries({"tcp": st.integers(1, 9)}), st.fixed_dictionaries({"after": _SECONDS})),
        "options": st.dictionaries(
            st.sampled_from(_NAMES), st.one_of(_WORDS, st.integers(0, 9), _LISTS, st.dictionaries(st.sampled_from(_NAMES), _LISTS, max_size=2)), max_size=3
        ),
    },
)
SCOPES = ("global", "types.base", "types.shop", "bots.a", "runtime global", "runtime types.base", "runtime types.shop", "runtime bots.a")
"""Outermost first; [types.shop] extends base."""
FLEET = st.fixed_dictionaries(dict.fromkeys(SCOPES, SETTINGS))


def document(scopes: dict[str, dict[str, Any]]) -> str:
    """Return the fleet.toml of these scopes."""
    import tomlkit

    types = {"base": scopes["types.base"], "shop": {"extends": "base", **scopes["types.shop"]}}
    bots = {"a": {"type": "shop", **scopes["bots.a"]}, "db": {"restart_with": []}}
    top = {"command": ["./run.sh"], "restart_with": [], **scopes["global"]}
    return tomlkit.dumps({"fleet": {"name": "demo"}, "global": top, "types": types, "bots": bots})


def set_values(scopes: dict[str, dict[str, Any]]) -> list[RuntimeValue]:
    """Return what is set by command: one value a key."""
    values: list[RuntimeValue] = []
    for scope, settings in scopes.items():
        if scope.startswith("runtime "):
            section, _, name = scope.removeprefix("runtime ").partition(".")
            for key, value in settings.items():
                values.append(
                    {"scope": section, "name": name, "key": [key], "value": value, "author": "ann", "reason": key, "at": 1.0, "until": None}  # type: ignore[typeddict-item]
                )
    return values


def expected(scopes: dict[str, dict[str, Any]], path: list[str]) -> tuple[str | None, object]:
    """Return the scope that says `path`, and what holds; (None, None) when nobody does. Written without any code of the product."""
    said, value = None, None
    for scope in SCOPES:
        if path[0] == "ready" and "ready" in scopes[scope]:
            said, value = None, None  # one choice, made anew
        table: Any = scopes[scope]
        for part in path:
            table = table.get(part) if isinstance(table, dict) else None
        if table is not None:
            said, value = scope, _joined(value, table)
        elif path[0] == "options" and value is not None and _cuts(scopes[scope], path):
            said, value = None, None
    return said, value


def _cuts(settings: dict[str, Any], path: list[str]) -> bool:
    """Tell whether a scope puts something that is no table around `path`."""
    table: Any = settings
    for part in path:
        if not isinstance(table, dict):
            return True
        if part not in table:
            return False
        table = table[part]
    return False


def _joined(outer: Any, inner: Any) -> Any:
    if isinstance(inner, list):
        known = outer if isinstance(outer, list) else []
        return [item for element in inner for item in (known if element == REST else [element])]
    if isinstance(inner, dict):
        known = outer if isinstance(outer, dict) else {}
        return {**known, **{key: _joined(known.get(key), value) for key, value in inner.items()}}
    return inner


def found_in(spec: BotSpec, path: list[str]) -> object:
    """Return what a spec says at the place of a key."""
    match path:
        case ["start_timeout"]:
            return spec["start_timeout_s"]
        case ["restart", key]:
            return dict(spec["restart"])[f"{key}_s"]
        case ["stop", "timeout"]:
            return spec["stop"]["timeout_s"]
        case ["stop", "signal"]:
            return spec["stop"]["signal"]
        case ["ready", kind]:
            return spec["ready"]["value"] if spec["ready"]["kind"] == kind else None
        case ["restart_with"]:
            return spec["restart_with"]
    value: Any = spec
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


PATHS = [
    ["start_timeout"], ["priority"], ["autostart"], ["args"], ["env"], ["env", "A"], ["env", "B"], ["restart", "max"], ["restart", "initial"], ["stop", "timeout"],
    ["stop", "signal"], ["ready", "tcp"], ["ready", "after"], ["options"], ["options", "A"], ["options", "B"], ["options", "A", "B"],
]  # fmt: skip
