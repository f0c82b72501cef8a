"""log_level: one level, or one for each logger; how scopes merge; what is said of a wrong one."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only


def levels(loaded, name="a"):
    assert loaded.problems == ()
    spec = bot(loaded, name)
    return spec["log_level"], spec["log_levels"]


def test_a_text_is_the_level_of_all(load):
    """And info without any."""
    assert levels(load("[bots.a]\nrun = 'bots:helper'\nlog_level = 'debug'")) == ("debug", {})
    assert levels(load("[bots.a]\nrun = 'bots:helper'")) == ("info", {})


def test_a_table_names_loggers(load):
    """`default` is for the others; without it they have info."""
    text = "[bots.a]\nrun = 'bots:helper'\nlog_level = { default = 'warning', 'aiogram.client' = 'error' }"
    assert levels(load(text)) == ("warning", {"aiogram.client": "error"})
    assert levels(load("[bots.a]\nrun = 'bots:helper'\nlog_level = { aiogram = 'error' }")) == ("info", {"aiogram": "error"})


def test_scopes_merge_by_logger(load):
    """A text in an inner scope is its default: the loggers of outer scopes keep their levels, a table overrides one by one."""
    loaded = load(
        """[global]
log_level = { default = "error", aiogram = "warning", httpx = "warning" }
[types.t]
run = "bots:helper"
log_level = "debug"
[bots.a]
type = "t"
log_level = { httpx = "debug" }
[bots.b]
type = "t"
"""
    )
    assert levels(loaded) == ("debug", {"aiogram": "warning", "httpx": "debug"})
    assert levels(loaded, "b") == ("debug", {"aiogram": "warning", "httpx": "warning"})


@pytest.mark.parametrize(
    ("value", "said", "hint"),
    [
        ("'loud'", 'found "loud" for log_level', ""),
        ("'INFO'", 'expected one of "debug", "info", "warning", "error"', 'did you mean "info"?'),
        ("7", 'expected a level such as "info", or a table', ""),
        ("['info']", 'expected a level such as "info", or a table', ""),
        ("{ aiogram = 'loud' }", 'expected one of "debug", "info", "warning", "error" for the logger aiogram', ""),
        ("{ default = 7 }", 'expected one of "debug", "info", "warning", "error"', ""),
        ("{ aiogram.client = 'info' }", "expected a level for each logger", 'write names with a dot in quotes: "aiogram.client" = "info"'),
        ("{ root = 'info' }", "expected names of loggers", "default stands for all that are not named"),
        ("{ ' ' = 'info' }", "expected names of loggers", ""),
    ],
)
def test_a_wrong_level_is_told(load, value, said, hint):
    """With the place, what is known, and the way out; the bot alone is left out."""
    problem = only(load(f"[bots.a]\nrun = 'bots:helper'\nlog_level = {value}"))
    assert said in problem.message and hint in problem.hint
    assert (problem.line, problem.bots) == (5, ("a",))
