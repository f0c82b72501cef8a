"""How differences are said: keys as in fleet.toml, one line for bots of which the same is said, and no secret."""

from __future__ import annotations

import pytest

from processsupervisor.cli.differing import key_of, lines, redacted, rows, text_of
from processsupervisor.config.plan import Difference, differences
from processsupervisor.config.spec import RuntimeValue
from processsupervisor.observe.redact import MARK


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("restart", "max_s"), "restart.max"),
        (("env", "TOKEN"), "env.TOKEN"),
        (("env_files",), "env_file"),
        (("options", "a b", "c"), 'options."a b".c'),
        (("limits", "memory_bytes"), "limits.memory"),
        (("fleet", "down_timeout_s"), "fleet.down_timeout"),
        (("notify", "ops", "url"), "notify.ops.url"),
    ],
)
def test_keys_are_those_of_the_file(path: tuple[str, ...], shown: str) -> None:
    """Nobody has to know how psv calls a key inside."""
    assert key_of(path) == shown


def test_bots_of_which_the_same_is_said_share_a_line() -> None:
    """Forty bots with one other setting are one line."""
    old = {"bots": {f"shop-{n}": {"log_level": "info", "restart": {"max_s": 60.0}} for n in range(40)}, "runtime": []}
    new = {"bots": {f"shop-{n}": {"log_level": "debug", "restart": {"max_s": 90.0}} for n in range(40)}, "runtime": []}
    assert lines(differences(old, new)) == [
        'shop-0, shop-1, shop-2 and 37 more: log_level: "info" -> "debug"',
        "shop-0, shop-1, shop-2 and 37 more: restart.max: 1m -> 1m30s",
    ]
    assert len(rows(differences(old, new))) == 80


def test_no_secret_is_shown() -> None:
    """Values of env and options are named by their kind, tokens never shown, references are."""
    old = {"bots": {"a": {"env": {"T": "old-secret", "R": "env:A"}, "options": {"n": 77777, "deep": {"x": ["s3cret"]}}, "args": []}}}
    new = {"bots": {"a": {"env": {"T": "new-secret", "R": "secret:b"}, "options": {"n": 88888, "deep": {"x": ["s3cret2"]}},
                          "args": ["--token=123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]}}}  # fmt: skip
    found = differences(old, new)
    for said in ("\n".join(lines(found)), str(rows(found))):
        assert [secret for secret in ("old-secret", "new-secret", "77777", "88888", "s3cret", "AAAAA") if secret in said] == []
        assert "env:A" in said and "secret:b" in said
    assert "a: env.T: a text -> another text" in lines(found)
    said = "\n".join(lines(found, values=True))
    assert "new-secret" in said and "s3cret2" in said and "AAAAA" not in said


def test_a_new_bot_is_one_line() -> None:
    """What a bot that comes or goes says is not listed, and what nobody wrote is no difference."""
    found = differences({"bots": {"a": {"x": 1}}, "version": 1}, {"bots": {"b": {"x": 1}}, "version": 2, "release": None})
    assert sorted(lines(found)) == ["a: the bot goes", "b: a new bot"]


def test_values_set_by_command_are_told() -> None:
    """Who set what, and what holds no more."""
    value: RuntimeValue = {
        "scope": "bots", "name": "a", "key": ["log_level"], "value": "debug", "author": "ann", "reason": "look", "at": 1.0, "until": None,
    }  # fmt: skip
    told = Difference(("runtime",), [], [value])
    assert lines([told]) == ['set by ann: bots.a.log_level = "debug" (look)']
    assert lines([Difference(("runtime",), [value], [])]) == ["no longer set: bots.a.log_level"]


def test_a_secret_set_by_command_is_not_shown() -> None:
    """It stands in the list of such values, apart from the key that tells what it is."""
    value: RuntimeValue = {
        "scope": "bots", "name": "a", "key": ["env", "PASSWORD"], "value": "hunter2", "author": "ann", "reason": "", "at": 1.0, "until": None,
    }  # fmt: skip
    told = Difference(("runtime",), [], [value])
    assert "hunter2" not in str(rows([told])) + str(lines([told])) + str(redacted({"runtime": [value]}, ()))
    assert rows([told], values=True)[0]["new"][0]["value"] == MARK  # the name of the variable says what it is
    assert redacted({"runtime": [{**value, "key": ["log_level"], "value": "debug"}]}, ())["runtime"][0]["value"] == "debug"


def test_a_value_is_one_safe_line() -> None:
    """Control characters and length of a value cannot disturb a terminal."""
    assert text_of("a\x1b[2J\nb", ("cwd",)) == '"a\\u001b[2J\\nb"'
    assert len(text_of("x" * 5000, ("cwd",))) == 100
