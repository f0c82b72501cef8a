"""psv config schema: a JSON Schema that agrees with the loader as far as a schema can."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.samples import BOT_SAMPLES, FLEET_SAMPLES, TEMPLATE, bot_file

from processsupervisor.cli.templates import TEMPLATES
from processsupervisor.config import forms
from processsupervisor.config.jsonschema import DIALECT, json_schema
from processsupervisor.config.schema import TOP_LEVEL
from processsupervisor.kernel.units import MAX_DURATION_S, parse_duration, parse_size

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
HEAD = '[fleet]\nname = "demo"\n'


def faults(text: str) -> list[str]:
    """Return where the schema finds something, as paths of keys."""
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(text))
    return sorted(".".join(map(str, error.absolute_path)) for error in found)


def test_it_is_a_schema_of_2020_12_for_every_table():
    """By the dialect's own schema; no table of the file is missing, nothing else is allowed."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT and set(SCHEMA["properties"]) == set(TOP_LEVEL)
    assert SCHEMA["additionalProperties"] is False


def test_every_key_has_a_description_and_an_effect():
    """What an editor shows; a default where it is a value."""
    for name, table in SCHEMA["$defs"].items():
        assert table["additionalProperties"] is False and table["description"]
        for key, form in table["properties"].items():
            assert form["description"] and form["x-effect"] in ("live", "restart", "recreate"), f"{name}.{key}"
    scope = SCHEMA["$defs"]["Scope"]["properties"]
    assert scope["start_timeout"]["default"] == "60s" and scope["essential"]["default"] is False and "default" not in scope["cwd"]


@pytest.mark.parametrize("key", BOT_SAMPLES)
def test_takes_every_key_of_a_bot(key):
    """What the loader takes, it takes."""
    assert faults(HEAD + bot_file(BOT_SAMPLES[key], is_changed=True)) == []


@pytest.mark.parametrize("key", FLEET_SAMPLES)
def test_takes_every_key_of_the_fleet(key):
    """The same for the other tables."""
    table, line, _ = FLEET_SAMPLES[key]
    own = "" if key == "fleet.name" else line
    assert faults(HEAD + own if table == "fleet" else f"{HEAD}[{table}]\n{line}") == []


def test_takes_the_demo_and_every_file_of_the_pages():
    """examples/demo, what psv init writes, and each whole fleet.toml of the pages."""
    assert faults((ROOT / "examples/demo/fleet.toml").read_text()) == []
    assert [name for name, template in TEMPLATES.items() if faults(template.files["fleet.toml"].replace("{name}", "x"))] == []
    pages = sorted((ROOT / "docs").glob("**/*.md"))
    texts = [part.split("```")[0] for page in pages for part in page.read_text().split("```toml fleet.toml\n")[1:]]
    assert len(texts) > 20
    assert [text for text in texts if faults(text)] == []


def test_takes_includes_types_and_templates():
    """With "..." in lists, and variables in place of numbers and durations; a file that is included needs no [fleet]."""
    assert faults(f'include = ["bots.d/*.toml"]\n{HEAD}{TEMPLATE}') == faults(TEMPLATE) == []


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("[fleet]\n", "fleet"),
        ("colour = 1\n", ""),
        ("[bot.a]\n", ""),
        ("[bots.A]\n", "bots"),
        ("[bots.a]\nscirpt = 'x'\n", "bots.a"),
        ("[bots.a]\nstart_timeout = '10 minutes'\n", "bots.a.start_timeout"),
        ("[bots.a]\nstart_timeout = '0s'\n", "bots.a.start_timeout"),
        ("[bots.a]\nstart_timeout = 0\n", "bots.a.start_timeout"),
        ("[bots.a]\nstart_timeout = -1\n", "bots.a.start_timeout"),
        ("[bots.a]\nhang_after = 1\n", "bots.a.hang_after"),
        ("[bots.a]\nlimits.memory = '1 mb per bot'\n", "bots.a.limits.memory"),
        ("[bots.a]\nlimits.memory = 1000\n", "bots.a.limits.memory"),
        ("[bots.a]\nlimits.pids = 0\n", "bots.a.limits.pids"),
        ("[bots.a]\nrestart.policy = 'sometimes'\n", "bots.a.restart.policy"),
        ("[bots.a]\nrestart.window = [{ count = 3 }]\n", "bots.a.restart.window.0"),
        ("[bots.a]\nstop.signal = 'STOP'\n", "bots.a.stop.signal"),
        ("[bots.a]\ncommand = 'node bot.js'\n", "bots.a.command"),
        ("[bots.a]\ncommand = []\n", "bots.a.command"),
        ("[bots.a]\nrun = 'bots.py'\n", "bots.a.run"),
        ("[bots.a]\nenv = { 'A-B' = '1' }\n", "bots.a.env"),
        ("[bots.a]\nenv = { A = true }\n", "bots.a.env.A"),
        ("[bots.a]\numask = '999'\n", "bots.a.umask"),
        ("[bots.a]\nlogin_budget = 'on'\n", "bots.a.login_budget"),
        ("[bots.a]\nready.notify = false\n", "bots.a.ready.notify"),
        ("[bots.a]\nlog_level = 'loud'\n", "bots.a.log_level"),
        ("[bots.a]\nlog_level = { aiogram = 'loud' }\n", "bots.a.log_level"),
        ("[bots.a]\nhooks.after_exit = 'notify.sh'\n", "bots.a.hooks.after_exit"),
        ("[bots.a]\nessential = 'yes'\n", "bots.a.essential"),
        ("[web]\nlisten = '8450'\n", "web.listen"),
        ("[bots.a]\ncount = 3\n", "bots.a"),
        ("[bots.'a-{n}']\nscript = 'main.py'\n", "bots.a-{n}"),
        ("[bots.'a-{n}']\ncount = 3\nstart_timeout = '3 minutes'\n", "bots.a-{n}.start_timeout"),
        ("[bots.'a-{x}']\ncount = 3\n", "bots"),
        ("[bots.a]\nstart_timeout = '{n}s'\n", "bots.a.start_timeout"),
        ("[types.t]\ncount = 3\n", "types.t"),
        ("[notify.ops]\nto = 'webhook'\nurl = 'http://x'\non = ['...']\n", "notify.ops.on.0"),
        ("[types.t]\ntype = 'x'\n", "types.t"),
        ("[notify.ops]\nto = 'pager'\n", "notify.ops.to"),
        ("[notify.ops]\nto = 'webhook'\nurl = 'ftp://x'\n", "notify.ops.url"),
    ],
)
def test_sees_what_is_wrong_where_it_is(load, text, at):
    """And the loader refuses each of these too."""
    assert faults(text if text.startswith("[fleet]") else HEAD + text if text.startswith("[") else text + HEAD) == [at]
    loaded = load(text if not text.startswith("colour") else text + HEAD)
    assert any(problem.severity != "warning" for problem in loaded.problems)


def takes(form: forms.Form, value: object) -> bool:
    return jsonschema.Draft202012Validator(form).is_valid(value)


WRITTEN = st.one_of(
    st.from_regex(r"\A\s?[0-9]{1,3}(\.[0-9]{1,2})? ?(ms|s|m|h|d|k|KB|MiB|gb|x|)( ?[0-9]{1,2}(s|m|b|B))?\s?\Z"),
    st.text(alphabet="0123456789.smhdkMGBib -+", max_size=8),
)


@given(WRITTEN)
def test_durations_are_the_ones_that_are_understood(text):
    """A text is taken as a duration by the schema just when parse_duration reads it (but for one that is too long)."""
    try:
        seconds = parse_duration(text)
    except ValueError as err:
        assert not takes(forms.duration(), text) or "ten years" in str(err)
    else:
        assert takes(forms.duration(), text)
        assert takes(forms.duration(is_zero_allowed=False), text) == (seconds > 0)


@given(WRITTEN)
def test_sizes_are_the_ones_that_are_understood(text):
    """The same for sizes."""
    try:
        parse_size(text)
    except ValueError as err:
        assert not takes(forms.SIZE, text) or "1 EiB" in str(err)
    else:
        assert takes(forms.SIZE, text)


def test_bare_numbers_have_their_range():
    """Seconds up to ten years, bytes up to 1 EiB."""
    assert takes(forms.duration(), MAX_DURATION_S) and not takes(forms.duration(), MAX_DURATION_S + 1) and not takes(forms.duration(), True)
    assert takes(forms.SIZE, 1 << 60) and not takes(forms.SIZE, (1 << 60) + 1) and not takes(forms.SIZE, 1.5)
