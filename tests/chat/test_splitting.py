"""Long replies are cut where a reader would cut them, and markup is whole in every piece."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processsupervisor.chat.splitting import split_text, units
from processsupervisor.storage.records import Markup


def test_a_text_that_fits_is_left_alone():
    """Nothing is stripped and nothing made of a text that needs no cut."""
    assert split_text("  hello\n", 16) == ["  hello\n"]


def test_units_are_those_of_utf16():
    """A face counts two: 8 of them fill 16 units."""
    assert units("a😀") == 3
    assert split_text("😀" * 12, 16) == ["😀" * 8, "😀" * 4]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two\nthree\n\nfour five six", ["one two\nthree", "four five six"]),
        ("one two three\nfour five six", ["one two three", "four five six"]),
        ("one two three four five six", ["one two three four", "five six"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ],
)
def test_a_cut_is_at_a_paragraph_else_a_line_else_a_word(text, pieces):
    """The best place within the last two thirds is taken."""
    assert split_text(text, 20) == pieces


def test_a_fence_is_closed_and_opened_again():
    """Code stays code, with its language."""
    lines = "\n".join(f"line {number}" for number in range(12))
    pieces = split_text(f"See:\n```python\n{lines}\n```\nDone.", 60, Markup.MARKDOWN)
    assert len(pieces) > 2
    assert all(piece.count("```") % 2 == 0 and units(piece) <= 60 for piece in pieces)
    assert all(piece.startswith("```python\n") for piece in pieces[1:-1])
    assert [line for piece in pieces for line in piece.split("\n") if line.startswith("line")] == lines.split("\n")


def test_bold_is_closed_and_opened_again():
    """Marks inside of words and of code open nothing."""
    pieces = split_text("**" + "word " * 20 + "end** snake_case_name 2 * 3 `a ** b`", 50, Markup.MARKDOWN)
    assert all(piece.count("**") == 2 for piece in pieces[:2])
    assert pieces[-1].endswith("snake_case_name 2 * 3 `a ** b`")


def test_tags_are_closed_and_opened_again():
    """Attributes are kept, and an entity is never cut in two."""
    pieces = split_text('<b><a href="x">' + "word " * 30 + "</a></b>", 80, Markup.HTML)
    assert all(piece.startswith('<b><a href="x">') and piece.endswith("</a></b>") for piece in pieces)
    assert split_text("x" * 14 + "&amp;" + "y" * 10, 16, Markup.HTML)[0] == "x" * 14


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab \n😀*_`<>/&;\\é", max_size=300), st.integers(16, 80), st.sampled_from(list(Markup)))
def test_no_piece_is_too_long_and_nothing_is_lost(text, most, markup):
    """Whatever the text; plain text loses nothing but white space."""
    pieces = split_text(text, most, markup)
    assert all(units(piece) <= most for piece in pieces)
    if markup is Markup.PLAIN:
        assert "".join("".join(pieces).split()) == "".join(text.split())
