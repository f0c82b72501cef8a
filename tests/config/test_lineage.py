"""config.lineage: a type extends a type."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only


def test_a_type_says_more_to_what_it_extends(load):
    """The base first, then each type that extends it, whatever their order in the file; the bot last."""
    loaded = load(
        """[types.big]
extends = "middle"
env = { A = "big" }
[types.middle]
extends = "base"
env = { A = "middle", B = "middle" }
restart.max = "5s"
[types.base]
script = "main.py"
env = { A = "base", B = "base", C = "base" }
restart = { max = "9s", initial = "2s" }
[bots.a]
type = "big"
[bots.b]
type = "base"
"""
    )
    assert loaded.problems == ()
    spec = bot(loaded, "a")
    assert spec["env"] == {"A": "big", "B": "middle", "C": "base"} and spec["type"] == "big"
    assert (spec["restart"]["max_s"], spec["restart"]["initial_s"]) == (5.0, 2.0)
    assert bot(loaded, "b")["env"] == {"A": "base", "B": "base", "C": "base"}


@pytest.mark.parametrize(
    ("text", "line", "way"),
    [
        ("[types.a]\nextends = 'a'\n", 4, "a -> a"),
        ("[types.a]\nextends = 'b'\n[types.b]\nextends = 'c'\n[types.c]\nextends = 'a'\n", 4, "a -> b -> c -> a"),
        ("[types.x]\nextends = 'a'\n[types.a]\nextends = 'b'\n[types.b]\nextends = 'a'\n", 6, "a -> b -> a"),
    ],
)
def test_a_circle_is_refused_once_with_its_chain(load, text, line, way):
    """Nothing starts: a type is nobody's alone."""
    loaded = load(text + "[bots.z]\ntype = 'a'\nscript = 'main.py'\n")
    problem = only(loaded)
    assert (problem.code, problem.line, problem.severity) == ("circular-type", line, "fatal") and way in problem.message


def test_an_unknown_base_is_told_with_the_nearest(load):
    """Fatal, at the key."""
    problem = only(load("[types.helper]\n[types.b]\nextends = 'hepler'\n"))
    assert (problem.code, problem.line, problem.severity, problem.hint) == ("unknown-type", 5, "fatal", 'did you mean "helper"?')


def test_extends_belongs_to_types(load):
    """Elsewhere it is an unknown key that is sent home."""
    problem = only(load("[bots.a]\nscript = 'main.py'\nextends = 'x'\n"))
    assert problem.code == "unknown-key" and "[types.NAME]" in problem.hint


def test_a_missing_file_of_a_base_is_told_once_where_the_base_names_it(load):
    """With all bots of all types that extend it."""
    problem = only(load("[types.a]\nscript = 'gone.py'\n[types.b]\nextends = 'a'\n[bots.x]\ntype = 'b'\n[bots.y]\ntype = 'a'\n"))
    assert (problem.line, problem.bots) == (4, ("x", "y"))
