"""config.scopes and config.origin: what holds for a bot, and where that comes from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.config.scopesamples import FLEET, PATHS, SCOPES, SETTINGS, document, expected, found_in, set_values
from tests.config.test_load import bot

from processsupervisor.config.load import load_fleet, load_texts
from processsupervisor.config.origin import Origin, origins, parts
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.errors import ConfigError, NoSuchBot, UsageError

FOLDER = Path("/nowhere")


def loaded_of(scopes):
    loaded = load_texts(FOLDER, {"fleet.toml": document(scopes).encode()}, set_values(scopes))
    assert not loaded.fatal, loaded.problems
    return loaded


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FLEET)
def test_merge_and_origins_agree_with_what_the_rules_say(scopes):
    """For every key: the spec has what the innermost scope says, and the first origin names that scope and that value."""
    before = copy.deepcopy(scopes)
    loaded = loaded_of(scopes)
    spec = bot(loaded, "a")
    assert scopes == before
    for path in PATHS:
        scope, value = expected(scopes, path)
        first, *rest = origins(loaded, "a", path)
        if scope is None:
            assert first.scope == "default"
            continue
        assert found_in(spec, path) == value and first.value == value, path
        named = f"runtime {first.name}" if first.scope == "runtime" else f"{first.scope}.{first.name}".rstrip(".")
        assert named == scope and rest[-1].scope == "default"
        assert (first.line == 0) == (first.scope == "runtime") and (first.file == "fleet.toml") == (first.line > 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SETTINGS)
def test_it_is_all_the_same_in_which_scope_a_bot_is_told(given_settings):
    """The same settings in [global], a base, a type, the bot's table or set by command make the same bot."""
    specs = {scope: bot(loaded_of({**{each: {} for each in SCOPES}, scope: given_settings}), "a") for scope in SCOPES}
    assert all(spec == specs["bots.a"] for spec in specs.values())


TEXT = """[fleet]
name = "demo"
[global]
ready = { after = "2s" }
restart.max = "9s"
env = { A = "global", B = "global" }
[types.t]
run = "bots:helper"
env.A = "{n}"
preload = ["one"]
[bots."a-{n}"]
count = 2
type = "t"
preload = ["...", "two_{n}"]
env = { C = "{n+1}" }
[bots.b]
type = "t"
command = ["./run.sh"]
[bots.broken]
type = "t"
nope = 1
"""


def told(origin: Origin) -> tuple[object, ...]:
    return origin.scope, origin.name, origin.line, origin.value, origin.written


@pytest.fixture
def fleet(folder):
    (folder / "fleet.toml").write_text(TEXT)
    runtime: RuntimeValue = {
        "scope": "bots", "name": "a-2", "key": ["env", "A"], "value": "set", "author": "ann", "reason": "why", "at": 5.0, "until": 1e12,
    }  # fmt: skip
    return load_fleet(folder, [runtime])


def test_an_origin_says_scope_place_and_both_values(fleet):
    """As it stands there, and as it is understood; what outer scopes say comes behind; the default in the words of the reference."""
    assert [told(origin) for origin in origins(fleet, "a-1", ["restart", "max"])] == [("global", "", 5, 9.0, "9s"), ("default", "", 0, 60.0, '"60s"')]
    assert [told(origin) for origin in origins(fleet, "a-2", ["preload"])] == [
        ("bots", "a-{n}", 14, ["one", "two_2"], ["...", "two_2"]),
        ("types", "t", 10, ["one"], ["one"]),
        ("default", "", 0, [], "[]"),
    ]
    assert told(origins(fleet, "b", ["start_timeout"])[0]) == ("default", "", 0, 60.0, '"60s"')


def test_a_value_set_by_command_says_who_why_and_how_long(fleet):
    """Before every file."""
    first, second, third, _ = origins(fleet, "a-2", ["env", "A"])
    assert (first.scope, first.name, first.value, first.author, first.reason, first.at, first.until) == (
        "runtime", "bots.a-2", "set", "ann", "why", 5.0, 1e12,
    )  # fmt: skip
    assert (second.scope, second.value, third.scope, third.value) == ("types", "{n}", "global", "global")


def test_a_whole_table_has_parts_with_origins_of_their_own(fleet):
    """The first origin holds all of it."""
    assert parts(fleet, "a-2", ["env"]) == [["env", "A"], ["env", "B"], ["env", "C"]]
    assert origins(fleet, "a-2", ["env"])[0].value == {"A": "set", "B": "global", "C": "3"}
    assert origins(fleet, "a-1", ["env"])[0].value == {"A": "{n}", "B": "global", "C": "2"}
    assert ["preload"] in parts(fleet, "a-1", []) and parts(fleet, "a-1", ["preload"]) == []


def test_levels_of_loggers_have_origins_of_their_own(folder):
    """They are merged logger by logger: the one for all is still that of the type when a bot names a logger."""
    text = '[fleet]\nname = "x"\n[types.t]\ncommand = ["true"]\nlog_level = "error"\n[bots.a]\ntype = "t"\nlog_level = { lib = "debug" }\n'
    loaded = load_texts(folder, {"fleet.toml": text.encode()})
    assert parts(loaded, "a", ["log_level"]) == [["log_level", "default"], ["log_level", "lib"]]
    assert next((o.scope, o.value) for o in origins(loaded, "a", ["log_level", "default"])) == ("types", "error")
    assert next((o.scope, o.value) for o in origins(loaded, "a", ["log_level", "lib"])) == ("bots", "debug")


def test_what_is_passed_over_stands_behind_the_default(fleet):
    """`ready` of [global] for a native bot, and the program that another one took the place of."""
    assert [origin.scope for origin in origins(fleet, "a-1", ["ready"])] == ["default", "global"]
    assert [origin.scope for origin in origins(fleet, "b", ["ready", "after"])] == ["global", "default"]
    assert [(o.scope, o.value) for o in origins(fleet, "b", ["run"])] == [("default", None), ("types", "bots:helper")]


def test_what_has_no_origin_is_told(fleet):
    """An unknown bot and an unknown key with the nearest, a bot that cannot be read."""
    with pytest.raises(NoSuchBot, match="a-1"):
        origins(fleet, "a1", ["run"])
    with pytest.raises(ConfigError, match="psv check"):
        origins(fleet, "broken", ["run"])
    for key, words in ((["restrat"], "restart"), (["restart", "maxx"], "max"), (["restart", "max", "x"], "no key"), (["preload", "x"], "no key")):
        with pytest.raises(UsageError, match=words):
            origins(fleet, "b", key)


def test_an_include_is_named_as_the_file(folder):
    """Relative to the fleet folder."""
    texts = {"fleet.toml": b'include = "d/x.toml"\n[fleet]\nname = "f"\n', "d/x.toml": b"\n[bots.a]\nscript = 'main.py'\n"}
    first = origins(load_texts(folder, texts), "a", ["script"])[0]
    assert (first.file, first.line, first.column) == ("d/x.toml", 3, 1)
