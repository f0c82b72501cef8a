"""Typed arguments: what contacts may write, and the sentence they get otherwise."""

from __future__ import annotations

from datetime import timedelta

import pytest

from processsupervisor.bot.arguments import BadArguments, BadSignature, Duration, parse_arguments, read_signature, usage


async def remind(message, after: Duration, text: str): ...
async def mixed(message, count: int, ratio: float, sure: bool, wait: timedelta, name: str, rest: str = "none"): ...
async def optional(message, count: int | None = None): ...
async def bare(message, word): ...


@pytest.mark.parametrize(
    ("function", "text", "values"),
    [
        (remind, "10s  buy milk  and bread ", [10.0, "buy milk  and bread"]),
        (remind, "1h30m x", [5400.0, "x"]),
        (mixed, "3 2.5 yes 5m bob all the rest", [3, 2.5, True, timedelta(minutes=5), "bob", "all the rest"]),
        (mixed, "-3 1e3 OFF 5m bob", [-3, 1000.0, False, timedelta(minutes=5), "bob"]),
        (optional, "", []),
        (optional, "7", [7]),
        (bare, "line one\nline two", ["line one\nline two"]),
    ],
)
def test_good_arguments(function, text, values):
    """Words become values of the annotated types; the last text takes the rest as it stands."""
    assert parse_arguments("x", read_signature(function), text) == values


@pytest.mark.parametrize(
    ("function", "text", "said"),
    [
        (remind, "", "AFTER is missing. Write: /x AFTER TEXT"),
        (remind, "10s", "TEXT is missing"),
        (remind, "soon x", 'AFTER must be a duration such as "10s" or "5m", not "soon"'),
        (remind, "-5s x", "AFTER must be a duration"),
        (mixed, "3.5 1 yes 1s n", 'COUNT must be a whole number, not "3.5"'),
        (mixed, "3 1 maybe 1s n", 'SURE must be yes or no, not "maybe"'),
        (optional, "7 8", "That is more than I understand. Write: /x [COUNT]"),
        (optional, "9" * 5000, "COUNT must be a whole number"),
    ],
)
def test_bad_arguments_are_told_in_a_sentence(function, text, said):
    """The contact reads what is wrong and how to write it; long words are cut."""
    with pytest.raises(BadArguments) as caught:
        parse_arguments("x", read_signature(function), text)
    assert said in str(caught.value) and len(str(caught.value)) < 200 and "Write: /x" in str(caught.value)


def test_annotations_as_objects_and_as_texts_are_the_same():
    """`from __future__ import annotations` changes nothing."""
    namespace: dict = {"Duration": Duration}
    exec("async def f(message, after: Duration, n: int = 3): ...", namespace)
    assert usage("f", read_signature(namespace["f"])) == "/f AFTER [N]"


def test_signatures_that_contacts_cannot_write_are_refused():
    """Other types, stars, keyword-only parameters, unknown names, no message."""

    async def other(message, when: dict): ...
    async def stars(message, *words): ...
    async def keyword(message, *, word: str): ...
    async def unknown(message, when: Nowhere): ...  # noqa: F821
    async def nothing(): ...

    for function, said in ((other, "dict"), (stars, "without *"), (keyword, "without *"), (unknown, "cannot be read"), (nothing, "first parameter")):
        with pytest.raises(BadSignature, match=said.replace("*", r"\*")):
            read_signature(function)
