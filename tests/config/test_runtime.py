"""config.runtime: values set by command are the strongest scopes, as long as their time is not over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.config.test_load import bot, only

from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.clock import wall

TEXT = """[fleet]
name = "demo"
[global]
stop.timeout = "1s"
preload = ["one"]
[types.base]
script = "main.py"
[types.shop]
extends = "base"
stop.timeout = "2s"
[bots.a]
type = "shop"
stop.timeout = "3s"
[bots."b-{n}"]
count = 2
type = "base"
env.V = "{v}"
vars.v = "file"
"""


def value(scope: str, name: str, key: str, what: object, **more: object) -> RuntimeValue:
    made = {"scope": scope, "name": name, "key": key.split("."), "value": what, "author": "ann", "reason": "test", "at": 1.0, "until": None}
    return RuntimeValue(**(made | more))  # type: ignore[typeddict-item]


def load(folder: Path, *values: RuntimeValue) -> Loaded:
    (folder / "fleet.toml").write_text(TEXT)
    return load_fleet(folder, values, 7)


def stop(loaded: Loaded, name: str) -> float:
    return bot(loaded, name)["stop"]["timeout_s"]


def test_they_are_stronger_than_every_file(folder):
    """Even those for global beat what the bot's table says; a bot's beat a type's, a type's its base's, those global's."""
    everywhere = value("global", "", "stop.timeout", "10s")
    assert [stop(load(folder, everywhere), name) for name in ("a", "b-1")] == [10.0, 10.0]
    base, shop = value("types", "base", "stop.timeout", "11s"), value("types", "shop", "stop.timeout", "12s")
    loaded = load(folder, shop, base, everywhere)
    assert [stop(loaded, name) for name in ("a", "b-1")] == [12.0, 11.0]
    mine = value("bots", "b-2", "stop.timeout", 13)
    loaded = load(folder, mine, base, everywhere)
    assert [stop(loaded, name) for name in ("a", "b-1", "b-2")] == [11.0, 11.0, 13.0]
    assert loaded.applied["runtime"] == [mine, base, everywhere] and loaded.applied["release"] == 7 and json.dumps(loaded.applied)


def test_tables_merge_and_lists_may_say_more(folder):
    """As in any scope; of the same key the last one set counts."""
    env = value("bots", "a", "env", {"A": "1", "B": "1"}, at=5.0)
    loaded = load(folder, value("bots", "a", "env.B", "2", at=6.0), env, value("bots", "a", "preload", ["...", "two"]))
    assert bot(loaded, "a")["env"] == {"A": "1", "B": "2"} and bot(loaded, "a")["preload"] == ["one", "two"]
    loaded = load(folder, value("bots", "a", "env.B", "2", at=4.0), env)
    assert bot(loaded, "a")["env"]["B"] == "1"


def test_variables_of_templates_may_be_set(folder):
    """For all, or for one of its bots."""
    loaded = load(folder, value("types", "base", "vars.v", "type"), value("bots", "b-2", "vars.v", "bot"))
    assert [bot(loaded, f"b-{n}")["env"] for n in (1, 2)] == [{"V": "type"}, {"V": "bot"}]


def test_a_value_whose_time_is_over_is_dropped(folder):
    """At every load; one whose time is to come is kept."""
    over, lasting = value("bots", "a", "stop.timeout", 20, until=wall() - 1), value("bots", "a", "start_timeout", 30, until=wall() + 60)
    loaded = load(folder, over, lasting)
    assert stop(loaded, "a") == 3.0 and bot(loaded, "a")["start_timeout_s"] == 30.0 and loaded.applied["runtime"] == [lasting]


@pytest.mark.parametrize(
    ("wrong", "severity", "code"),
    [
        (value("global", "", "stop.timeout", "-1s"), "fatal", "bad-value"),
        (value("types", "shop", "nonsense", 1), "fatal", "unknown-key"),
        (value("bots", "a", "stop.timeout", "soon"), "bot", "bad-value"),
        (value("bots", "a", "stop", 3), "bot", "bad-value"),
        (value("bots", "a", "type", "base"), "bot", "runtime-key"),
        (value("bots", "b-1", "count", 3), "bot", "runtime-key"),
        (value("bots", "a", "run", "bots:helper"), None, None),
        (value("bots", "gone", "stop.timeout", "1s"), "warning", "runtime-unused"),
        (value("types", "shpo", "stop.timeout", "1s"), "warning", "runtime-unused"),
    ],
)
def test_a_wrong_value_is_told_as_set_by_command(folder, wrong, severity, code):
    """For global and types nothing can be used, for a bot it alone; one for nobody is kept and told."""
    loaded = load(folder, wrong)
    if code is None:
        assert loaded.problems == () and bot(loaded, "a")["kind"] == "native"
        return
    problem = only(loaded)
    assert (problem.file, problem.line, problem.severity, problem.code) == ("psv config set", 0, severity, code)
    assert loaded.fatal == (severity == "fatal") and problem.hint
    if severity == "bot":
        assert bot(loaded, wrong["name"])["error"].startswith("psv config set: ")
    if severity == "warning":
        assert loaded.applied["runtime"] == [wrong]
