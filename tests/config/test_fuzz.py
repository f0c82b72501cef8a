"""config: mutated files never end in a traceback; whatever is applied is whole and can be read back.

`make fuzz` runs the same with PSV_FUZZ times the examples.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config.test_load import CONTRACT, LASTING

from processsupervisor.config.load import Loaded, load_text, load_texts
from processsupervisor.config.schema import BotTable
from processsupervisor.config.shape import table_of
from processsupervisor.config.spec import BotSpec
from processsupervisor.config.tables import Table

FOLDER = Path("/nowhere/at all")
TIMES = int(os.environ.get("PSV_FUZZ", "1"))
MOST_CPU_S = 20.0
"""For the largest fleet that a file can describe; most take milliseconds."""
INCLUDED = """include = ["../more/*.toml"]
[types.shop]
extends = "helper"
vars = { city = "Porto", port = 8000 }
preload = ["...", "httpx"]
[bots."shop-{n:02}"]
type = "shop"
count = 3
first = 7
env = { TOKEN = "env:TOKEN_{n}", WHERE = "{city}" }
health = { tcp = "{n+8080}" }
options = { admins = ["ann", "..."], deep = { text = "{{n}}" } }
lock = [{ env = "TOKEN" }]
"""
MORE = """[bots.last]
script = "main.py"
schedule = { cron = "0 4 * * *" }
[notify.ops]
to = "command"
command = ["./tell.sh"]
"""
PIECES = [
    "[bots.x]\n", "[[bots.x.lock]]\n", "[types.h]\n", "[global]\n", "[web]\n", "[fleet]\n", "\n", " = ", "nan", "-1", "inf", '"-5s"', "{}", "[]", "[[", "]]", '"""', "'",
    "\\u0000", "\x00", "\r", "é", "\u202e", "true", "1979-05-27", "0x" + "f" * 40, "9" * 30, "run", "script", "command", "ready", "type", "env", ".", "#", "name", '"', "{ a = 1 }",
    "\ufeff",
]  # fmt: skip


def files(main: bytes = CONTRACT.encode(), included: bytes = INCLUDED.encode(), more: bytes = MORE.encode()) -> dict[str, bytes]:
    """Return three files, each included by the one before."""
    return {"fleet.toml": b'include = ["bots.d/a.toml"]\n' + main, "bots.d/a.toml": included, "more/b.toml": more}


def check(texts: dict[str, bytes], runtime: Any = ()) -> Loaded:
    began = time.process_time()
    loaded = load_texts(FOLDER, texts, runtime)
    assert time.process_time() - began < MOST_CPU_S
    assert loaded.fatal == (loaded.applied is None)
    for problem in loaded.problems:
        assert problem.code and problem.message and problem.text().isprintable()
        assert json.dumps(problem.to_json()) and problem.line >= 0 and problem.column >= 0
    if loaded.applied is not None:
        assert json.loads(json.dumps(loaded.applied, allow_nan=False)) == loaded.applied
        for spec in loaded.applied["bots"]:
            assert LASTING <= set(spec) <= set(BotSpec.__annotations__)
            assert spec["error"] or sum(spec[k] is not None for k in ("run", "script", "command")) == 1
        again = load_texts(FOLDER, loaded.sources, loaded.applied["runtime"])
        assert again.applied == loaded.applied
    return loaded


def test_what_is_mutated_is_good():
    """Else the mutations would show little."""
    loaded = check(files())
    assert not loaded.fatal and {p.code for p in loaded.problems} == {
        "script-missing", "module-missing", "cwd-missing", "notify-command", "reference-variable",
    }  # fmt: skip
    assert {"shop-07", "shop-09", "last", "alice"} <= {spec["name"] for spec in loaded.applied["bots"]}


@settings(max_examples=100 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["main", "included", "more"]),
    st.lists(st.tuples(st.integers(0, len(CONTRACT)), st.integers(0, 30), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
def test_mutated_files_never_raise(which, changes):
    """Pieces of TOML cut out of and put into one of three good files."""
    text = {"main": CONTRACT, "included": INCLUDED, "more": MORE}[which]
    for at, cut, piece in changes:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + cut :]
    check(files(**{which: text.encode("utf-8", "surrogatepass")}))


@settings(max_examples=75 * TIMES, deadline=None)
@given(st.sampled_from([("main", CONTRACT), ("included", INCLUDED), ("more", MORE)]), st.integers(0, len(CONTRACT)), st.binary(max_size=6))
def test_stray_bytes_never_raise(file, at, stray):
    """Bytes that need not be text."""
    which, content = file[0], file[1].encode()
    at %= len(content) + 1
    loaded = check(files(**{which: content[:at] + stray + content[at + len(stray) :]}))
    assert set(loaded.sources) <= set(files())


def _keys(model: type[Table], prefix: str = "") -> list[str]:
    keys = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        if inner := table_of(info.annotation):
            keys += _keys(inner, f"{prefix}{name}.")
    return keys


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return "nan" if math.isnan(value) else str(value).replace("e", "E")
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(
            [
                "1s",
                "-1s",
                "TERM",
                "a:b",
                "main.py",
                "/",
                "~",
                "~nobody-here/x",
                "..",
                "(" * 300,
                "sh",
                "10MB",
                "127.0.0.1:80",
                "root",
                "...",
                "{n}",
                "{n+8080}",
                "{x}",
                "{{",
                "}",
                "shop",
                "helper",
                "*.toml",
                "../x",
                "**/*",
            ]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5, alphabet="aceflnopt. "), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=200 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(_keys(BotTable)), VALUES), max_size=4, unique_by=lambda pair: pair[0].partition(".")[0]))
def test_any_value_at_any_key_never_raises(pairs):
    """Well-formed TOML with wrong values: the bot has an error or a whole spec, the fleet is never fatal."""
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in pairs)
    content = f'[fleet]\nname = "demo"\n[bots.x]\n{lines}\n'.encode()
    check({"fleet.toml": content})
    assert load_text(FOLDER, content).problems == load_texts(FOLDER, {"fleet.toml": content}).problems


TREE: dict[str, dict[str, Any]] = {name: tomlkit.parse(content.decode()).unwrap() for name, content in files().items()}
NAMES = st.sampled_from(
    [
        "a",
        "shop-{n}",
        "shop-{n:02}",
        "{n}",
        "shop-08",
        "last",
        "helper",
        "shop",
        "types",
        "bots",
        "global",
        "include",
        "extends",
        "count",
        "first",
        "vars",
        "type",
        "env",
    ]
)


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inner for each in _nodes(item, (*path, key)))]


def _mutate(tree: dict[str, Any], at: int, action: str, name: str, value: Any) -> None:
    nodes = _nodes(tree)[2:]
    path = nodes[at % len(nodes)]
    parent: Any = tree
    for part in path[:-1]:
        parent = parent[part]
    match action, parent:
        case "drop", _:
            del parent[path[-1]]
        case "rename", dict():
            parent[name] = parent.pop(path[-1])
        case "copy", dict():
            parent[name] = copy.deepcopy(parent[path[-1]])
        case _:
            parent[path[-1]] = value


@settings(max_examples=125 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["drop", "rename", "copy", "set"]), NAMES, VALUES), min_size=1, max_size=5))
def test_mutated_tables_never_raise(changes):
    """Well-formed files whose tables, keys and values were dropped, renamed, copied and replaced."""
    tree: dict[str, Any] = copy.deepcopy(TREE)
    for change in changes:
        _mutate(tree, *change)
    texts = {name: tomlkit.dumps(table).encode("utf-8", "replace") for name, table in tree.items() if isinstance(table, dict)}
    check({"fleet.toml": b"", **texts})


SCOPES = st.sampled_from([("global", ""), ("types", "shop"), ("types", "x"), ("bots", "shop-07"), ("bots", "alice"), ("bots", "y")])


@settings(max_examples=75 * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(SCOPES, st.sampled_from(_keys(BotTable)), VALUES), min_size=1, max_size=4))
def test_any_value_set_by_command_never_raises(values):
    """Whatever was stored once."""
    runtime = [
        {"scope": scope, "name": name, "key": key.split("."), "value": value, "author": "a", "reason": "", "at": 1.0, "until": None}
        for (scope, name), key, value in values
        if json.loads(json.dumps(value)) == value  # what is stored is JSON without nan
    ]
    check(files(), runtime)
