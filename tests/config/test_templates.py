"""config.templates and config.variables: one table that makes many bots."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only

from processsupervisor.config.variables import UnknownVariable, fill, number

BODY = "command = ['./run.sh']\n"


def names(loaded) -> list[str]:
    assert loaded.applied is not None, loaded.problems
    return [spec["name"] for spec in loaded.applied["bots"]]


def test_a_template_makes_its_bots(load, monkeypatch):
    """Each has its number in its texts, braces where they are doubled, and knows its template."""
    for digits in ("001", "002", "003"):
        monkeypatch.setenv(f"TOKEN_{digits}", "x")
    loaded = load(
        """[global]
vars = { city = "Lisbon", region = "south" }
[types.shop]
command = ["./run.sh", "{n} stays"]
vars.region = "west-{n}"
[bots."shop-{n}"]
type = "shop"
count = 3
vars = { city = "Porto {n}", port = 8000 }
args = ["--name", "{name}", "{{n}}"]
env = { TOKEN = "env:TOKEN_{n:03}", WHERE = "{city}, {region}, {type}", "KEY_{n}" = "1" }
health.tcp = "{n+8080}"
options = { list = [["{n}"]], port = "{n+1}", base = "{port}" }
start_timeout = "{n}m"
"""
    )
    problem = only(loaded)  # a key is no text, and no name of a variable
    assert (problem.line, problem.bots) == (13, ("shop-1", "shop-2", "shop-3"))
    loaded = load(open_text(loaded).replace(', "KEY_{n}" = "1"', ""))
    assert loaded.problems == () and names(loaded) == ["shop-1", "shop-2", "shop-3"]
    spec = bot(loaded, "shop-2")
    assert spec["args"] == ["--name", "shop-2", "{n}"] and spec["command"][1] == "{n} stays" and spec["template"] == "shop-{n}"
    assert spec["env"] == {"TOKEN": "env:TOKEN_002", "WHERE": "Porto 2, west-{n}, shop"}
    assert spec["health"]["tcp"] == 8082 and spec["start_timeout_s"] == 120.0
    assert spec["options"] == {"list": [["2"]], "port": "3", "base": "8000"}


def open_text(loaded) -> str:
    return loaded.files.files[0].source.text


def test_numbers_begin_where_they_are_told_to_and_may_have_zeros(load):
    """`first`, and `{n:03}` in the name."""
    loaded = load(f'[bots."b{{n:03}}"]\ncount = 3\nfirst = 9\n{BODY}[bots."c-{{n}}-{{n:02}}"]\ncount = 1\nfirst = 0\n{BODY}')
    assert loaded.problems == () and names(loaded) == ["b009", "b010", "b011", "c-0-00"]


def test_a_table_without_n_in_its_name_is_not_touched(load):
    """Braces there stay, unknown or not."""
    spec = bot(load("[bots.a]\ncommand=['./run.sh', '{n}', '{', '{{x}}']\nvars = { x = '1' }"), "a")
    assert spec["command"][1:] == ["{n}", "{", "{{x}}"] and spec["template"] is None


def test_the_type_may_depend_on_the_number(load):
    """As any other text of the table."""
    loaded = load(f"[types.t1]\n{BODY}[types.t2]\n{BODY}env.A='{{n}}'\n[bots.\"a-{{n}}\"]\ncount=2\ntype='t{{n}}'\nargs=['{{type}}']")
    assert loaded.problems == ()
    assert [(bot(loaded, f"a-{n}")["type"], bot(loaded, f"a-{n}")["args"]) for n in (1, 2)] == [("t1", ["t1"]), ("t2", ["t2"])]


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        ("[bots.a]\ncount = 3", "template-name", 4, "no {n}"),
        ("[bots.a]\nfirst = 3", "template-name", 4, "no {n}"),
        ('[bots."a-{n}"]', "template-count", 3, "without count"),
        ('[bots."a-{n}"]\ncount = 0', "bad-value", 4, "at least 1"),
        ('[bots."a-{n}"]\ncount = 10001', "bad-value", 4, "at most 10000"),
        ('[bots."a-{n}"]\ncount = -1', "bad-value", 4, "at least 1"),
        ('[bots."a-{n}"]\ncount = "3"', "bad-value", 4, "a whole number"),
        ('[bots."a-{n}"]\ncount = nan', "bad-value", 4, "a whole number"),
        ('[bots."a-{n}"]\ncount = true', "bad-value", 4, "a whole number"),
        ('[bots."a-{n}"]\ncount = 3\nfirst = -1', "bad-value", 5, "at least 0"),
        ('[bots."a-{n:099}"]\ncount = 3', "template-name", 3, "at most 20 digits"),
        ('[bots."A-{n}"]\ncount = 3', "bot-name", 3, '"A-1"'),
        ('[bots."a-{m}"]', "bot-name", 3, '"a-{m}"'),
    ],
)
def test_what_is_no_template_is_told_once_and_leaves_the_others(load, text, code, line, words):
    """At its place, with what was expected; the bots that can be named are left out."""
    loaded = load(f"{text}\n{BODY}[bots.good]\n{BODY}")
    problem = only(loaded)
    assert (problem.code, problem.line, problem.severity) == (code, line, "bot") and words in problem.message + problem.hint
    assert bot(loaded, "good")["error"] is None and all(spec["error"] for spec in loaded.applied["bots"] if spec["name"] != "good")


def test_only_names_that_are_too_long_are_wrong(load):
    """The others run."""
    loaded = load(f'[bots."{"a" * 62}{{n}}"]\ncount = 11\n{BODY}')
    assert only(loaded).bots == ("a" * 62 + "10", "a" * 62 + "11") and bot(loaded, "a" * 62 + "9")["error"] is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{citi}", "unknown variable {citi} for args[1]", 'did you mean "city"?'),
        ("{type}", "unknown variable {type}", "city"),
        ("{n+x}", '"{n+x}"', "{n+8080}"),
        ("{", "found a {", "{{"),
        ("}", "found a }", "}}"),
        ("{}", "no variable", "{{"),
        ('{"s3cret": 1}', "no variable", "{{"),
        ("{n:3}", '"{n:3}"', "{n:03}"),
    ],
)
def test_an_unknown_variable_is_told_once_with_its_place(load, text, message, hint):
    """Never with the text around it."""
    loaded = load(f"[bots.\"a-{{n}}\"]\ncount = 40\nvars = {{ city = 'x' }}\n{BODY}args = [\n'{text}']\n")
    problem = only(loaded)
    assert (problem.code, problem.line, len(problem.bots)) == ("unknown-variable", 8, 40)
    assert message in problem.message and hint in problem.hint and "s3cret" not in problem.text()


def test_a_mistake_in_a_template_is_told_once_with_all_its_bots(load):
    """Whatever stage finds it: a key, a value, a file, a rule between bots."""
    loaded = load(
        '[bots."a-{n}"]\ncount = 40\nscript = "gone-{n}.py"\ndepends_on = ["x-{n}"]\n[bots."b-{n}"]\ncount = 40\nscript = "main.py"\nnope = "{n}"\n'
        '[bots."c-{n}"]\ncount = 40\n'
    )
    assert [(p.code, p.line, len(p.bots)) for p in loaded.problems] == [
        ("script-missing", 5, 40),
        ("unknown-bot", 6, 40),
        ("unknown-key", 10, 40),
        ("no-program", 11, 40),
    ]
    assert bot(loaded, "a-7")["error"].endswith("(and 1 more: psv check)")


@pytest.mark.parametrize("plain_first", [True, False])
def test_a_name_that_two_tables_make_is_neither(load, plain_first):
    """Both places are named, once for all names; the others run."""
    plain, template = f"[bots.a-2]\n{BODY}", f'[bots."a-{{n}}"]\ncount = 4\n{BODY}'
    loaded = load(plain + template if plain_first else template + plain)
    problem = only(loaded)
    assert (problem.code, problem.bots) == ("bot-twice", ("a-2",)) and problem.line == (5 if plain_first else 6)
    assert "fleet.toml:3" in problem.hint and "a-2" in problem.message
    assert bot(loaded, "a-2")["error"] and bot(loaded, "a-3")["error"] is None and len(names(loaded)) == 4


def test_two_templates_that_collide(load):
    """Told once, with every name."""
    loaded = load(f'[bots."a-{{n}}"]\ncount = 12\n{BODY}[bots."a-1{{n}}"]\ncount = 3\n{BODY}')
    problem = only(loaded)
    assert (problem.code, problem.line, problem.bots) == ("bot-twice", 6, ("a-11", "a-12"))


def test_so_many_bots_and_no_more(load, monkeypatch):
    """A fleet has a limit, reached before they are made."""
    monkeypatch.setattr("processsupervisor.config.bots.MOST_BOTS", 10)
    text = "".join(f'[bots."{letter}-{{n}}"]\ncount = 4\n{BODY}' for letter in "abc")
    loaded = load(text)
    assert loaded.fatal and (only(loaded).code, only(loaded).line) == ("too-many-bots", 10) and "12 bots" in only(loaded).message


def test_a_text_that_is_nothing_but_a_number_is_one_where_that_is_expected(load):
    """Anywhere else it is a text; a number out of range is told once."""
    text = "[bots.\"a-{n}\"]\ncount=3\ncommand=['./run.sh', '{n}']\nready.tcp='{n+79}'\npriority='{n-2}'\nrestart.factor='{n}'\nlimits.pids='{n+9}'"
    loaded = load(text)
    assert loaded.problems == ()
    spec = bot(loaded, "a-1")
    assert (spec["ready"]["value"], spec["priority"], spec["restart"]["factor"], spec["limits"]["pids"]) == (80, -1, 1.0, 10)
    assert spec["command"][1] == "1"
    problem = only(load(text.replace("+79", "+65534")))
    assert (problem.line, problem.bots) == (6, ("a-2", "a-3")) and "at most 65535" in problem.message
    assert "a whole number" in only(load(text.replace("{n+79}", "8{n}"))).message


def test_an_unknown_type_of_a_template_is_told_once(load):
    """At its key."""
    problem = only(load(f"[types.shop]\n[bots.\"a-{{n}}\"]\ncount=3\ntype='shpo'\n{BODY}"))
    assert (problem.code, problem.line, len(problem.bots), problem.hint) == ("unknown-type", 6, 3, 'did you mean "shop"?')


@pytest.mark.parametrize("name", ["n", "name", "type", "a b", ""])
def test_some_names_of_variables_are_taken(load, name):
    """In any scope."""
    assert only(load(f"[global]\nvars = {{ '{name}' = 'x' }}")).severity == "fatal"


def test_deep_tables_of_a_template_end_somewhere(load):
    """A table nested far too deep is the same mistake as elsewhere."""
    deep = "{ a = " * 90 + "'{n}'" + " }" * 90
    assert "deep" in only(load(f"[bots.\"a-{{n}}\"]\ncount=2\n{BODY}options={deep}")).message


@pytest.mark.parametrize(
    ("text", "filled", "whole"),
    [("{n}", "7", 7), ("{n+8080}", "8087", 8087), ("{n-10}", "-3", -3), ("{n:03}", "007", None), ("{n-8:03}", "-01", None), ("x{n}", "x7", None),
     ("{{n}}", "{n}", None), ("{x}{x}", "yy", None), ("", "", None), ("{{{n}}}", "{7}", None)],
)  # fmt: skip
def test_a_text_is_filled(text, filled, whole):
    """Numbers, sums, zeros in front, words, doubled braces."""
    assert fill(text, 7, {"x": "y"}) == filled and number(text, 7) == whole


def test_what_is_put_in_is_not_read_again():
    """A value with braces stays as it is."""
    assert fill("{x}", 1, {"x": "{n}"}) == "{n}"
    with pytest.raises(UnknownVariable):
        fill("{y}", 1, {"x": "{n}"})


def test_values_of_variables_are_not_shown(load):
    """They may be tokens."""
    loaded = load("[global]\nvars = { x = ['s3cret'], y = \"s3cret\\u0000\", z = 1.5 }")
    assert len(loaded.problems) == 3 and "s3cret" not in str([problem.text() for problem in loaded.problems])
