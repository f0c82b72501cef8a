"""config.scopes: a list replaces the outer one, and "..." in it stands for that."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only


def test_three_dots_stand_for_what_the_outer_scopes_say(load):
    """At any place of the list, over several scopes; without them the list replaces."""
    loaded = load(
        """[global]
preload = ["one"]
[types.t]
script = "main.py"
preload = ["two", "...", "three"]
[bots.a]
type = "t"
preload = ["...", "four"]
[bots.b]
type = "t"
preload = ["five"]
[bots.c]
type = "t"
"""
    )
    assert loaded.problems == ()
    found = {name: bot(loaded, name)["preload"] for name in "abc"}
    assert found == {"a": ["two", "one", "three", "four"], "b": ["five"], "c": ["two", "one", "three"]}


def test_every_kind_of_list_knows_them(load, folder):
    """Texts, paths, tables, names or tables, commands of hooks, lists deep in options, the arguments of a program."""
    (folder / "a.env").write_text("")
    (folder / "b.env").write_text("")
    loaded = load(
        """[global]
env_file = "a.env"
inherit = ["PATH"]
lock = [{ env = "A" }]
depends_on = ["db"]
restart_with = ["db"]
restart.window = [{ count = 1, within = "1m" }]
hooks.after_exit = ["./run.sh", "x"]
options = { deep = { admins = ["ann"] } }
[types.t]
command = ["./run.sh", "one"]
args = ["two"]
[bots.db]
command = ["./run.sh"]
[bots.a]
type = "t"
env_file = ["...", "b.env"]
inherit = ["...", "HOME"]
lock = [{ file = "s" }, "...", { env = "A" }]
depends_on = ["...", "c"]
restart_with = ["c", "..."]
restart.window = [{ count = 2, within = "1h" }, "..."]
hooks.after_exit = ["...", "y"]
options = { deep = { admins = ["...", "bob"] } }
command = ["...", "more"]
[bots.c]
type = "t"
args = ["...", "three"]
"""
    )
    assert loaded.problems == ()
    a = bot(loaded, "a")
    assert a["env_files"] == [str(folder / "a.env"), str(folder / "b.env")] and a["inherit"] == ["PATH", "HOME"]
    assert a["lock"] == [{"file": str(folder / "s")}, {"env": "A"}]
    assert [d["bot"] for d in a["depends_on"]] == ["db", "c"] and a["restart_with"] == ["c", "db"]
    assert a["restart"]["window"] == [{"count": 2, "within_s": 3600.0}, {"count": 1, "within_s": 60.0}]
    assert a["hooks"]["after_exit"]["command"] == [str(folder / "run.sh"), "x", "y"]
    assert a["options"] == {"deep": {"admins": ["ann", "bob"]}}
    assert a["command"] == [str(folder / "run.sh"), "one", "more"] and a["args"] == []
    assert bot(loaded, "c")["args"] == ["two", "three"]


def test_without_an_outer_list_they_stand_for_nothing(load):
    """Also where the outer program was dropped with its arguments; in a list inside a list they are a text."""
    loaded = load(
        "[global]\nscript='main.py'\nargs=['x']\n"
        "[bots.a]\ncommand=['./run.sh']\nargs=['...', 'y']\npreload=['...']\noptions={a=[['...']], b=['...']}\n"
    )
    spec = bot(loaded, "a")
    assert (spec["args"], spec["preload"], spec["options"]) == (["y"], [], {"a": [["..."]], "b": []})


def test_a_mistake_beside_them_is_at_the_place_where_it_stands(load):
    """Line and number of the element count as they were written."""
    problem = only(load("[bots.a]\nscript='main.py'\npreload=[\n'...',\n'ok',\n'not ok',\n]\n"))
    assert problem.line == 8 and "preload[3]" in problem.message


def test_a_list_that_becomes_too_long_is_an_error_of_the_bot(load):
    """Each of the two alone would do."""
    six = ", ".join(f"{{ count = {n + 1}, within = '1m' }}" for n in range(6))
    problem = only(load(f"[global]\nrestart.window = [{six}]\n[bots.a]\nscript='main.py'\nrestart.window = ['...', {six}]\n"))
    assert (problem.severity, problem.bots, problem.line) == ("bot", ("a",), 7) and "at most 10" in problem.message


@pytest.mark.parametrize("value", ["'...'", "['...', 3]"])
def test_elsewhere_they_are_a_text_like_any(load, value):
    """A text is no list, and what is wrong beside them stays wrong."""
    assert only(load(f"[bots.a]\nscript='main.py'\nrestart_with={value}\n")).code == "bad-value"
