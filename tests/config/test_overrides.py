"""Values set by command: how they are written, and what replaces what."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.config.overrides import parse_key, parse_value, with_value, without_value
from processsupervisor.config.problem import table_name
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.kernel.errors import UsageError


def _value(key: Sequence[str], value: object = 1, name: str = "a") -> RuntimeValue:
    return {"scope": "bots", "name": name, "key": list(key), "value": value, "author": "me", "reason": "", "at": 1.0, "until": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30s", "30s"),
        ("debug", "debug"),
        ('"30s"', "30s"),
        ("5", 5),
        ("-5", -5),
        ("2.5", 2.5),
        ("true", True),
        ("", ""),
        ("[1, 'two']", [1, "two"]),
        ("{ log = 'up' }", {"log": "up"}),
        ("2026-01-02", "2026-01-02"),
        ("a = 1", "a = 1"),
        ("1\nother = 2", "1\nother = 2"),
        ("grüße # here", "grüße # here"),
    ],
)
def test_a_value_is_toml_or_a_text(text: str, value: object) -> None:
    """What is no TOML value is a text, whole: nothing of it is taken for something else."""
    found = parse_value(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["nan", "inf", "[1.0, -inf]", "True", "FALSE", "[1, 2", "\udcff", '"open', "{ a = 1"])
def test_a_slip_is_refused(text: str) -> None:
    """What was meant as TOML and is none, or is no value that a setting can have, is not taken for a text."""
    with pytest.raises(UsageError):
        parse_value(text)


@pytest.mark.parametrize(
    ("text", "parts"), [("log_level", ["log_level"]), ("restart.max", ["restart", "max"]), ('options."a.b".c', ["options", "a.b", "c"])]
)
def test_a_key_is_written_as_in_the_file(text: str, parts: list[str]) -> None:
    """Dots separate, quotes hold together."""
    assert parse_key(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "a =", "a = 1 #", "[a]\nb", ".", "a..b", "type", "name", "count", "extends", "include"])
def test_what_is_no_key_of_a_value_is_refused(text: str) -> None:
    """No key at all, more than one, or one that says what there is: with a way out."""
    with pytest.raises(UsageError) as refused:
        parse_key(text)
    assert refused.value.hint


def test_the_last_one_set_holds_alone() -> None:
    """A value takes the place of what was set at its key and below, and of nothing else."""
    before = [_value(["options", "x"]), _value(["options", "x", "y"]), _value(["options", "z"]), _value(["options", "x"], name="b")]
    after = with_value(before, _value(["options", "x"], 2))
    assert [(v["name"], v["key"], v["value"]) for v in after] == [
        ("a", ["options", "z"], 1), ("b", ["options", "x"], 1), ("a", ["options", "x"], 2),
    ]  # fmt: skip
    assert without_value(after, "bots", "a", ["options"]) == [_value(["options", "x"], name="b")]
    assert without_value(after, "bots", "a", ["log_level"]) == after


@given(st.text(max_size=40) | st.from_regex(r"[\[{\"'a-z0-9.=# \n-]{0,20}", fullmatch=True))
def test_any_words_are_a_key_and_a_value_or_are_refused(text: str) -> None:
    """Whatever is typed: a value that JSON can hold, a key of at least one part, or a refusal in our own words."""
    try:
        json.dumps(parse_value(text), allow_nan=False)
    except UsageError as refused:
        assert refused.hint or "finite" in refused.message
    try:
        parts = parse_key(text)
    except UsageError:
        return
    assert parts and parse_key(table_name(tuple(parts))) == parts
