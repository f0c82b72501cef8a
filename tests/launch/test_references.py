"""launch.references: which texts are references, which are plain, and which are mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.launch.references import (
    BadReference,
    has_references,
    leaves,
    live_needs_restart,
    parse,
    place_of,
    secret_names,
    substitute,
)


@pytest.mark.parametrize(
    "text",
    ["", "plain", "http://a", "12:30", "see file:x", " file:x", "FILE:x", "files:x", "file:///srv/a", "env", "secrets:a", "postgres://u:p@h/db", "vault:x"],
)
def test_plain_texts(text: str) -> None:
    """Anything that does not begin with a scheme and a colon, and addresses."""
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "scheme", "target", "shown"),
    [
        ("env:NAME", "env", "NAME", "env:NAME"),
        ("file:a b/c.txt", "file", "a b/c.txt", "file:a b/c.txt"),
        ("file:/run/secrets/x", "file", "/run/secrets/x", "file:/run/secrets/x"),
        ("cmd:vault read 'a b' s3cret", "cmd", "vault read 'a b' s3cret", "cmd:vault"),
        ("secret:a.b-c_1", "secret", "a.b-c_1", "secret:a.b-c_1"),
        ("literal:env:x", "literal", "env:x", "literal:env:x"),
        ("literal:", "literal", "", "literal:"),
    ],
)
def test_references(text: str, scheme: str, target: str, shown: str) -> None:
    """Their parts; of a command messages name the program only."""
    found = parse(text)
    assert found is not None and (found.scheme, found.target, found.shown) == (scheme, target, shown)
    assert found.argv == (("vault", "read", "a b", "s3cret") if scheme == "cmd" else ())


@pytest.mark.parametrize("text", ["env:", "env:a b", "env:1A", "file:", "cmd:", "cmd: ", "cmd:'open s3cret", "cmd:''", "secret:", "secret:a/b s3cret", "secret:" + "a" * 64])
def test_mistakes(text: str) -> None:
    """Named with the way out, and without the text."""
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert "literal:" in caught.value.hint and "s3cret" not in str(caught.value)


@given(st.text(), st.sampled_from(["", "env:", "file:", "cmd:", "secret:", "literal:"]))
def test_any_text_is_plain_a_reference_or_a_mistake(text: str, begin: str) -> None:
    """Nothing else is ever raised."""
    try:
        found = parse(begin + text)
    except BadReference:
        return
    assert found is None or (begin + text).startswith(found.scheme + ":")


def test_texts_are_found_and_replaced_wherever_they_stand() -> None:
    """In tables and lists, not in keys; the original stays."""
    value = {"a": "secret:x", "b": [1, "env:Y", {"c": "plain"}], "secret:key": True}
    found = dict(leaves(value, ("options",)))
    assert found == {("options", "a"): "secret:x", ("options", "b", 1): "env:Y"} and place_of(("options", "b", 1)) == "options.b[2]"
    assert substitute(value, {"secret:x": "1", "env:Y": "2"}) == {"a": "1", "b": [1, "2", {"c": "plain"}], "secret:key": True}
    assert value["a"] == "secret:x"
    assert has_references(value) and not has_references({"a": ["plain", 1]})
    assert secret_names({"env": {"A": "secret:b", "B": "secret:a"}, "options": value}) == ["a", "b", "x"]
    assert live_needs_restart({"user": "nobody", "options": value}) and not live_needs_restart({"user": None, "options": value})
