"""Laws of bind: every wrong argument is named, everything else comes through with defaults filled in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.commands.command import Arg, Command, bind
from processsupervisor.kernel.errors import UsageError

COMMAND = Command("x.y", "", (
    Arg("names", "names", ()), Arg("how", "text", None, choices=("soft", "hard")), Arg("wait", "flag", True),
    Arg("limit", "integer", 5, least=1, most=10), Arg("timeout_s", "duration", 2.0, most=60), Arg("must", "text", None, required=True),
), "view")


def test_defaults_are_filled_in() -> None:
    """What is not given has its default; None counts as not given; lists are fresh."""
    bound = bind(COMMAND, {"must": "a", "limit": None})
    assert bound == {"names": [], "how": None, "wait": True, "limit": 5, "timeout_s": 2.0, "must": "a"}
    assert bind(COMMAND, {"must": "a"})["names"] is not bound["names"]


@pytest.mark.parametrize(("raw", "said"), [
    ({}, "must"),
    ({"must": "a", "nmaes": []}, 'did you mean "names"'),
    ({"must": 3}, "a text"),
    ({"must": "a\0b"}, "a text"),
    ({"must": "a" * 70000}, "a text"),
    ({"must": "a", "how": "so"}, "one of soft, hard"),
    ({"must": "a", "names": "bob"}, "a list of names"),
    ({"must": "a", "names": [1]}, "a list of names"),
    ({"must": "a", "names": ["x"] * 10001}, "a list of names"),
    ({"must": "a", "wait": 1}, "true or false"),
    ({"must": "a", "limit": True}, "an integer between 1 and 10"),
    ({"must": "a", "limit": 0}, "an integer between 1 and 10"),
    ({"must": "a", "limit": 2.5}, "an integer"),
    ({"must": "a", "timeout_s": -1}, "seconds between 0 and 60"),
    ({"must": "a", "timeout_s": math.nan}, "seconds between"),
    ({"must": "a", "timeout_s": math.inf}, "seconds between"),
    ({"must": "a", "timeout_s": "1s"}, "seconds between"),
])
def test_wrong_arguments_are_named(raw: dict[str, object], said: str) -> None:
    """Every wrong argument is a UsageError that says what was expected."""
    with pytest.raises(UsageError) as caught:
        bind(COMMAND, raw)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.dictionaries(st.sampled_from([arg.name for arg in COMMAND.args]) | st.text(max_size=5), JSON, max_size=6))
def test_bind_never_fails_otherwise(raw: dict[str, object]) -> None:
    """Whatever JSON arrives, bind returns all arguments or raises UsageError."""
    try:
        bound = bind(COMMAND, raw)
    except UsageError:
        return
    assert set(bound) == {arg.name for arg in COMMAND.args}
