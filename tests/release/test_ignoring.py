"""Laws of what is no part of a release: the patterns psv knows, and those of .psvignore."""

from __future__ import annotations

import pytest

from processsupervisor.kernel.errors import ConfigError
from processsupervisor.release.ignoring import Ignoring


@pytest.mark.parametrize("text, path, is_folder, is_out", [
    ("*.log", "a.log", False, True),
    ("*.log", "deep/er/a.log", False, True),
    ("*.log", "a.logs", False, False),
    ("data/", "data", True, True),
    ("data/", "data", False, False),
    ("data/", "pkg/data", True, True),
    ("/data", "pkg/data", True, False),
    ("pkg/*.bin", "pkg/a.bin", False, True),
    ("pkg/*.bin", "pkg/deep/a.bin", False, False),
    ("pkg/**/a.bin", "pkg/very/deep/a.bin", False, True),
    ("pkg/**/a.bin", "pkg/a.bin", False, True),
    ("a?c", "abc", False, True),
    ("a?c", "a/c", False, False),
    ("[ab].py", "b.py", False, True),
    ("[!ab].py", "b.py", False, False),
    ("*.db\n!keep.db", "keep.db", False, False),
    ("*.db\n!keep.db", "other.db", False, True),
    ("!.env", ".env", False, False),
    ("# main.py", "main.py", False, False),
    ("a+b.py", "a+b.py", False, True),
    ("", ".env.local", False, True),
    ("", "shop.session", False, True),
    ("", ".psv", True, True),
    ("", ".main.py.swp", False, True),
    ("", "node_modules", True, False),
])  # fmt: skip
def test_the_last_pattern_that_matches_decides(text: str, path: str, is_folder: bool, is_out: bool) -> None:
    """As gitignore does it, as far as it goes."""
    assert Ignoring(text).leaves_out(path, is_folder=is_folder) is is_out


def test_what_the_settings_name_is_left_out_whatever_a_pattern_says() -> None:
    """An env file is no code, and `!` does not bring its tokens into a copy."""
    assert Ignoring("!tokens", exactly=["tokens"]).leaves_out("tokens", is_folder=False)


@pytest.mark.parametrize("text", ["!", "a\n/\n", "[z-a]"])
def test_a_pattern_that_cannot_be_used_is_named_with_its_line(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigError, match=r"\.psvignore:\d+: found"):
        Ignoring(text)
