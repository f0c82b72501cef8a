"""A value written into the text of a configuration: where it belongs, everything else as it was, and proven."""

from __future__ import annotations

import tomllib

import pytest

from processsupervisor.config.edit import CannotEdit
from processsupervisor.config.hiding import hide_values
from processsupervisor.config.saving import home_of, put

TEXT = """# The shop.
[fleet]
name = "shop"      # everywhere

[types.seller]  # forty of them
log_level = "info"   # quiet
restart = { max = "60s" }

[bots.b]
type = "seller"
options.greeting = "hi"
# the end
"""


@pytest.mark.parametrize(
    ("scope", "key", "value", "old", "new"),
    [
        (("types", "seller"), ["log_level"], "debug", 'log_level = "info"   # quiet', 'log_level = "debug"   # quiet'),
        (("types", "seller"), ["restart", "max"], "9s", 'max = "60s" }', 'max = "9s" }'),
        (("bots", "b"), ["options", "greeting"], "ho", 'options.greeting = "hi"', 'options.greeting = "ho"'),
    ],
)
def test_a_value_changes_in_its_place(scope: tuple[str, ...], key: list[str], value: object, old: str, new: str) -> None:
    """Only the value differs, to the byte."""
    assert put(TEXT, scope, key, value) == TEXT.replace(old, new)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_new_value_joins_its_table(end: str) -> None:
    """A key that was not there comes into the table, and every comment stays; a table that is not there is made, all with one end of line."""
    text = TEXT.replace("\n", end)
    after = put(put(put(text, ("bots", "b"), ["log_level"], "debug"), ("global",), ["stop", "timeout"], "5s"), ("bots", "b"), ["env", "A"], "1")
    said = tomllib.loads(after)
    assert said["bots"]["b"] == {"type": "seller", "options": {"greeting": "hi"}, "log_level": "debug", "env": {"A": "1"}}
    assert said["global"] == {"stop": {"timeout": "5s"}}
    for comment in ("# The shop.", "# everywhere", "# forty of them", "# quiet", "# the end"):
        assert comment in after
    assert after.count(end) == after.count("\n")


@pytest.mark.parametrize(
    ("text", "key"), [("[bots.b]\noptions = 1\n", ["options", "x"]), ("[bots.b]\n[[bots.b.lock]]\nenv = 'A'\n", ["lock", "env"])]
)
def test_what_would_say_something_else_is_refused(text: str, key: list[str]) -> None:
    """A key below what is no table cannot be written."""
    with pytest.raises(CannotEdit):
        put(text, ("bots", "b"), key, "v")


def test_a_value_goes_where_its_table_stands() -> None:
    """The file that has the table; fleet.toml for [global]; none for a bot that a template makes."""
    texts = {"fleet.toml": "include = ['a.toml']\n[fleet]\nname = 'x'\n", "a.toml": "[bots.a]\n[bots.'shop-{n}']\ncount = 3\n"}
    assert home_of(texts, ("bots", "a")) == "a.toml"
    assert home_of(texts, ("global",)) == home_of(dict(sorted(texts.items())), ("global",)) == "fleet.toml"
    with pytest.raises(CannotEdit, match="template"):
        home_of(texts, ("bots", "shop-1"))


def test_hidden_values_leave_the_rest() -> None:
    """Values of env and options are gone wherever they stand, references, keys and comments stay."""
    text = """# kept
[global]
env = { TOKEN = "hidden1", FROM = "env:TOKEN", RUN = "cmd:pass show hidden2" } # kept too
[bots.a]
args = ["visible"]
options.list = ["hidden3", { deep = "hidden4", n = 12345 }]
[bots.a.options.more]
x = "hidden5"
[notify.ops]
url = "https://example.org/hidden6"
"""
    shown = hide_values(text, "***")
    assert "hidden" not in shown and "12345" not in shown
    assert [part for part in ("# kept\n", "# kept too", '"visible"', '"env:TOKEN"', '"cmd:pass"', "deep", "[bots.a.options.more]") if part not in shown] == []
    assert hide_values("no toml", "***") == "***"


@pytest.mark.parametrize(
    "text",
    [
        "[bots.a]\nx = 1\n[bots.b]\ny = 1\n[bots.a.options]\nk = 'hidden'\n[bots.b.options]\nk = 'hidden'\n",
        "[bots.a.options]\nk = 'hidden'\n[fleet]\nname = 'x'\n[bots.a.env]\nk = 'hidden'\n[bots.a]\nx = 1\n",
        "bots.a.options.k = 'hidden'\nbots.b.x = 1\nbots.a.options.l = ['hidden']\n",
        "[[bots.a.options.list]]\nk = 'hidden'\n[[bots.a.options.list]]\nk = { l = 'hidden' }\n",
        "[bots.a]\noptions = { k = { l = [[['hidden']]] } }\n[bots.a.env]\nX = \"\"\"hidden\nhidden\"\"\"\n",
    ],
)
def test_nothing_stays_visible_however_it_is_written(text: str) -> None:
    """Tables out of order, dotted keys, tables in lists: what cannot be replaced in its place is not shown at all."""
    assert "hidden" not in hide_values(text, "***")
