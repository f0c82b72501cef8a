"""config: mutated files never end in a traceback; whatever is applied is whole and can be read back."""

from __future__ import annotations

import json
import math
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config.test_load import CONTRACT, LASTING

from processsupervisor.config.load import load_text
from processsupervisor.config.schema import BotTable
from processsupervisor.config.shape import table_of
from processsupervisor.config.spec import BotSpec
from processsupervisor.config.tables import Table

FOLDER = Path("/nowhere/at all")
PIECES = [
    "[bots.x]\n", "[[bots.x.lock]]\n", "[types.h]\n", "[global]\n", "[web]\n", "[fleet]\n", "\n", " = ", "nan", "-1", "inf", '"-5s"', "{}", "[]", "[[", "]]", '"""', "'",
    "\\u0000", "\x00", "\r", "é", "\u202e", "true", "1979-05-27", "0x" + "f" * 40, "9" * 30, "run", "script", "command", "ready", "type", "env", ".", "#", "name", '"', "{ a = 1 }",
    "\ufeff",
]  # fmt: skip


def check(content: bytes) -> None:
    loaded = load_text(FOLDER, content)
    assert loaded.fatal == (loaded.applied is None)
    for problem in loaded.problems:
        assert problem.code and problem.message and problem.text().isprintable()
        assert json.dumps(problem.to_json()) and problem.line >= 0 and problem.column >= 0
    if loaded.applied is not None:
        assert json.loads(json.dumps(loaded.applied, allow_nan=False)) == loaded.applied
        for spec in loaded.applied["bots"]:
            assert LASTING <= set(spec) <= set(BotSpec.__annotations__)
            assert spec["error"] or sum(spec[k] is not None for k in ("run", "script", "command")) == 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(CONTRACT)), st.integers(0, 30), st.sampled_from(PIECES)), min_size=1, max_size=4))
def test_mutated_files_never_raise(changes):
    """Pieces of TOML cut out of and put into a good file."""
    text = CONTRACT
    for at, cut, piece in changes:
        text = text[:at] + piece + text[at + cut :]
    check(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CONTRACT)), st.binary(max_size=6))
def test_stray_bytes_never_raise(at, stray):
    """Bytes that need not be text."""
    content = CONTRACT.encode()
    check(content[:at] + stray + content[at + len(stray) :])


def _keys(model: type[Table], prefix: str = "") -> list[str]:
    keys = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        if inner := table_of(info.annotation):
            keys += _keys(inner, f"{prefix}{name}.")
    return keys


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return "nan" if math.isnan(value) else str(value).replace("e", "E")
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(
            ["1s", "-1s", "TERM", "a:b", "main.py", "/", "~", "~nobody-here/x", "..", "(" * 300, "sh", "10MB", "127.0.0.1:80", "root"]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5, alphabet="aceflnopt. "), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(_keys(BotTable)), VALUES), max_size=4, unique_by=lambda pair: pair[0].partition(".")[0]))
def test_any_value_at_any_key_never_raises(pairs):
    """Well-formed TOML with wrong values: the bot has an error or a whole spec, the fleet is never fatal."""
    lines = "\n".join(f"{key} = {_toml(value)}" for key, value in pairs)
    content = f'[fleet]\nname = "demo"\n[bots.x]\n{lines}\n'.encode()
    check(content)
