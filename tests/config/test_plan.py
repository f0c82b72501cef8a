"""What lies between two configurations: differences and patch are inverse, and a plan names what changes and what that asks for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processsupervisor.config.content import checksum, normalised, pack, unpack
from processsupervisor.config.load import load_text
from processsupervisor.config.plan import differences, make_plan, patch
from processsupervisor.config.spec import Applied

_KEYS = st.sampled_from(["a", "b", "c", "d.e", ""])
_LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
_TABLES = st.recursive(st.dictionaries(_KEYS, _LEAVES, max_size=4), lambda t: st.dictionaries(_KEYS, t | _LEAVES, max_size=4), max_leaves=12)
COLOURS = ("red", "blue")


@given(_TABLES, _TABLES)
def test_a_patch_with_the_differences_is_the_other_content(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Also where true and 1 are equal to Python, and where nothing differs."""
    before = copy.deepcopy(old)
    patched = patch(old, differences(old, new))
    assert repr(_sorted(patched)) == repr(_sorted(new))
    assert old == before
    assert differences(new, patched) == []


def _sorted(value: Any) -> Any:
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


_BOTS = st.dictionaries(
    st.sampled_from(["one", "two", "three", "four"]),
    st.fixed_dictionaries(
        {"command": st.just(["sleep", "9"])},
        optional={
            "priority": st.integers(-3, 3),
            "cwd": st.sampled_from(["/", "/tmp"]),
            "env": st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(COLOURS), max_size=2),
            "stop": st.fixed_dictionaries({"timeout": st.integers(1, 3)}),
            "umask": st.sampled_from(["022", "077"]),
        },
    ),
    max_size=4,
)


def applied_of(bots: dict[str, Any], folder: Path) -> Applied:
    """Return what a file with these bots applies."""
    import tomlkit

    loaded = load_text(folder, tomlkit.dumps({"fleet": {"name": "x"}, "bots": bots}).encode())
    assert loaded.applied is not None, loaded.problems
    return loaded.applied


@settings(max_examples=60, deadline=None)
@given(_BOTS, _BOTS)
def test_real_configurations(old: dict[str, Any], new: dict[str, Any]) -> None:
    """The plan names exactly the bots that came, went or differ; a version is kept and read to the byte of its content."""
    before, after = applied_of(old, Path("/fleet")), applied_of(new, Path("/fleet"))
    was, now = normalised(before), normalised(after)
    assert patch(was, differences(was, now)) == now
    plan = make_plan(before, after)
    assert set(plan.added) == new.keys() - old.keys()
    assert set(plan.removed) == old.keys() - new.keys()
    assert set(plan.changed) == {name for name in old.keys() & new.keys() if was["bots"][name] != now["bots"][name]}
    assert plan.is_empty == (checksum(before) == checksum(after))
    again, sources = unpack(pack(after, {"fleet.toml": "text"}))
    assert (again, sources) == (after, {"fleet.toml": "text"})
    assert checksum(again) == checksum(after)


def test_the_strongest_effect_counts(tmp_path: Path) -> None:
    """A live key alone asks for nothing; with one that the process reads it asks for a restart."""
    old = {name: {"command": ["sleep", "9"]} for name in ("live", "both", "same")}
    new = {"live": {**old["live"], "priority": 3}, "both": {**old["both"], "priority": 3, "env": {"A": "x"}}, "same": old["same"]}
    plan = make_plan(applied_of(old, tmp_path), applied_of(new, tmp_path))
    assert {name: (change.keys, change.effect) for name, change in plan.changed.items()} == {
        "live": (("priority",), "live"),
        "both": (("env", "priority"), "restart"),
    }


def test_a_renamed_bot_looks_like_one(tmp_path: Path) -> None:
    """Each bot that went is matched with at most one that came, and only when it runs the same."""
    old = {"shop": {"command": ["sleep", "9"], "env": {"A": "x"}}, "other": {"command": ["true"]}}
    new = {"market": {"command": ["sleep", "9"], "env": {"A": "x"}}, "else": {"command": ["false"]}}
    plan = make_plan(applied_of(old, tmp_path), applied_of(new, tmp_path))
    assert plan.renames == (("shop", "market"),)


def test_a_key_that_only_one_psv_knows_is_no_difference(tmp_path: Path) -> None:
    """After an upgrade nothing is restarted for a key that says nothing."""
    after = applied_of({"a": {"command": ["true"]}}, tmp_path)
    before = copy.deepcopy(after)
    before["bots"][0].pop("log_levels", None)
    assert make_plan(before, after).is_empty
    after["bots"][0]["log_levels"] = {"aiogram": "debug"}
    assert list(make_plan(before, after).changed) == ["a"]


@pytest.mark.parametrize("junk", [b"", b"x", pack.__name__.encode(), b"x\x9c" * 9])
def test_what_is_no_version_is_refused(junk: bytes) -> None:
    """A candidate that was cut off is a ValueError, whatever it holds."""
    with pytest.raises(ValueError, match="no version"):
        unpack(junk)
