"""Every key of the schema arrives in the spec, and says what a change of it asks for."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from tests.config.samples import (
    BOT_KEYS,
    BOT_SAMPLES,
    FLEET_KEYS,
    FLEET_SAMPLES,
    TEMPLATE,
    TEMPLATE_KEYS,
    F,
    bot_file,
    keys_of,
    prepare,
)

from processsupervisor.config.content import pack, unpack
from processsupervisor.config.effects import effects, fleet_effects, shown_key
from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.plan import make_plan
from processsupervisor.config.schema import SECTIONS, BotTable
from processsupervisor.config.shape import table_of
from processsupervisor.config.spec import BotSpec, Effect
from processsupervisor.config.tables import HookTable, Table

MODELS = {**SECTIONS, "bots": BotTable, "notify": NotifyTable, "hook": HookTable}


@pytest.mark.parametrize("name", MODELS)
def test_every_key_has_an_effect(name):
    """Of every table and of those inside."""

    def check(model: type[Table]) -> None:
        for key, info in model.model_fields.items():
            extra = info.json_schema_extra
            assert isinstance(extra, dict) and extra.get("effect") in get_args(Effect), f"{model.__name__}.{key}"
            if inner := table_of(info.annotation):
                check(inner)

    check(MODELS[name])


def test_there_is_a_sample_of_every_key():
    """Nobody adds a key without saying where it arrives."""
    assert set(BOT_SAMPLES) == set(BOT_KEYS)
    assert set(FLEET_SAMPLES) == set(FLEET_KEYS)


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.root if key == "user" else ()) for key in BOT_SAMPLES])
def test_every_key_of_a_bot_survives_a_round_trip(load, folder, key):
    """Written, loaded, packed as a version and unpacked; a plan shows it by the name that was written, with its effect."""
    prepare(folder)
    sample = BOT_SAMPLES[key]
    before, after = load(bot_file(sample, is_changed=False)).applied, load(bot_file(sample, is_changed=True))
    assert after.applied is not None and not [p for p in after.problems if p.severity != "warning"]
    kept, _ = unpack(pack(after.applied, {}))
    assert kept == after.applied
    spec = next(bot for bot in kept["bots"] if bot["name"] == "a")
    for place, value in sample.arrives.items():
        found = at(spec, place)
        expected = placed(value, str(folder))
        if isinstance(expected, dict) and place == "schedule":
            found = {name: found[name] for name in expected}
        assert found == expected
    plan = make_plan(before, kept)
    shown = {shown_key(name) for name in plan.changed["a"].keys}
    if key == "schedule":
        shown.remove("ready")  # a task has none of its own
    if key == "source":
        shown -= {"script", "the release"}  # it lies elsewhere then
    assert all(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in shown), shown
    assert plan.changed["a"].effect == effect_in_schema(key)


@pytest.mark.parametrize("key", FLEET_SAMPLES)
def test_every_key_of_the_fleet_survives_a_round_trip(load, key):
    """The same for [fleet], [web] and [control]."""
    table, line, arrives = FLEET_SAMPLES[key]
    base = '[fleet]\nname = "demo"\n[web]\n[control]\n'
    own = 'name = "other"' if key == "fleet.name" else f'name = "demo"\n{line}'
    text = base.replace('name = "demo"', own) if table == "fleet" else base.replace(f"[{table}]", f"[{table}]\n{line}")
    before, after = load(base).applied, load(text).applied
    kept, _ = unpack(pack(after, {}))
    for place, value in arrives.items():
        assert at(kept, place) == value
    plan = make_plan(before, kept)
    assert set(plan.fleet) == set(arrives) and {shown_key(name) for name in plan.fleet} == {key}
    assert {fleet_effects()[name] for name in plan.fleet} == {effect_in_schema(key)}


def test_every_key_of_a_spec_has_an_effect_and_a_name_for_people(load):
    """Also inside its tables; and each name that is shown can be written, or is explained."""
    loaded = load("[bots.a]\nscript = 'main.py'\nschedule.cron = '@daily'\nhealth.tcp = 1\nlogin_budget.count = 1\n").applied
    known, unwritten = effects(), {"name", "[bots.NAME]", "run, script or command", "the release", "stdin", "error"}
    written = set(BOT_KEYS) | unwritten
    spec = next(bot for bot in loaded["bots"] if bot["name"] == "a")
    assert set(spec) <= set(BotSpec.__annotations__) <= set(known)
    for name, value in spec.items():
        names = [f"{name}.{inner}" for inner in value] if isinstance(value, dict) and name not in ("env", "options", "log_levels") else [name]
        for spec_key in names:
            assert known[spec_key] in get_args(Effect) and shown_key(spec_key) in written
    assert loaded["effects"] == known


def test_keys_of_templates_arrive_in_what_is_made(load, folder):
    """Each bot is there, with its number, the words of `vars`, and what the types say that extend each other."""
    loaded = load(TEMPLATE)
    assert loaded.problems == ()
    bots = {bot["name"]: bot for bot in loaded.applied["bots"]}
    assert list(bots) == ["shop-07", "shop-08"] and bots["shop-08"]["args"] == ["shop-08", "Oslo"]
    assert bots["shop-08"]["health"]["tcp"] == 8088 and bots["shop-08"]["start_timeout_s"] == 8.0
    assert bots["shop-07"]["lock"] == [{"file": f"{folder}/shop-07.session"}] and bots["shop-07"]["preload"] == ["csv", "json"]
    assert {effect_in_schema(key) for key in TEMPLATE_KEYS} == {"live"}


def test_another_kind_of_program_is_another_bot(load):
    """A script in place of a native bot is begun as new; another script is only a restart. So it is with a schedule."""
    native, script = load("[bots.a]\nrun = 'bots:helper'").applied, load("[bots.a]\nscript = 'main.py'").applied
    task = load("[bots.a]\nscript = 'main.py'\nschedule.cron = '@daily'").applied
    other = load("[bots.a]\nscript = 'other.py'").applied
    assert make_plan(native, script).changed["a"].effect == "recreate"
    assert make_plan(script, task).changed["a"].effect == "recreate"
    assert make_plan(script, other).changed["a"].effect == "restart"


def test_names_deeper_than_the_effects_are_shown_too():
    """And one that nobody knows stands as it is."""
    assert [shown_key(key) for key in ("env.CITY", "env_files", "restart.max_s", "web.listen_port", "later")] == [
        "env.CITY", "env_file", "restart.max", "web.listen", "later"
    ]  # fmt: skip


def test_every_key_of_a_channel_is_live():
    """The notifier is started anew; no bot notices."""
    assert {effect_in_schema(f"notify.{key}") for key in keys_of(NotifyTable)} == {"live"} == {fleet_effects()["notify"]}


def effect_in_schema(key: str) -> str:
    head, _, rest = key.partition(".")
    model: Any = MODELS[head] if head in MODELS else BotTable
    info = None
    for part in (rest if head in MODELS else key).split("."):
        info = model.model_fields[part]
        model = table_of(info.annotation)
    return info.json_schema_extra["effect"]


def at(table: Any, path: str) -> Any:
    for part in path.split("."):
        table = table[part]
    return table


def placed(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        return value.replace(F, folder)
    if isinstance(value, list):
        return [placed(item, folder) for item in value]
    return {key: placed(item, folder) for key, item in value.items()} if isinstance(value, dict) else value
