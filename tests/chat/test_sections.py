"""Laws of processsupervisor.chat.sections: where a section begins, what it is called, and how it is linked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.chat.sections import MAX_SECTION_CHARS, split


def test_a_section_knows_the_headings_above_it() -> None:
    """The path goes from the outermost heading to its own; a heading of the same level ends the one before."""
    sections = split("intro\n# A\na\n## B\nb\n### C\nc\n## D\nd\n# E\ne")

    assert [s.path for s in sections] == [(), ("A",), ("A", "B"), ("A", "B", "C"), ("A", "D"), ("E",)]
    assert [s.text for s in sections] == ["intro", "a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Read logs", "read-logs"),
        ("What happens when …?", "what-happens-when-"),
        ("`psv up --detach`", "psv-up---detach"),
        ("Run an existing main.py", "run-an-existing-mainpy"),
        ("Größe & Maß", "größe--maß"),
        ("See [the page](page.md#x)", "see-the-page"),
        ("closed ##", "closed"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    """A citation can be put behind the file's address as it is."""
    assert split(f"## {heading}\n")[0].anchor == anchor


def test_a_repeated_heading_gets_a_number() -> None:
    """Two sections of one name in one file have different anchors."""
    assert [s.anchor for s in split("# A\n# A\n# A")] == ["a", "a-1", "a-2"]


def test_what_stands_in_a_fence_is_no_heading() -> None:
    """A comment in a shell example does not begin a section, not even after a shorter fence inside the longer one."""
    sections = split("# A\n````md\n```\n# not\n```\n````\n~~~\n# nor\n~~~\n# B")

    assert [s.path for s in sections] == [("A",), ("B",)]


def test_underlined_headings_count() -> None:
    """Setext headings of both levels are read; a rule, a table and a list are no headings."""
    sections = split("Top\n===\ntext\n\nInner\n-----\n\n---\n\n| a |\n---\n- x\n---\n")

    assert [s.path for s in sections] == [("Top",), ("Top", "Inner")]


def test_a_long_section_is_cut() -> None:
    """No single text in the index is longer than the limit; its parts keep heading and anchor."""
    sections = split("# A\n" + "x" * (MAX_SECTION_CHARS * 2 + 1))

    assert [len(s.text) for s in sections] == [MAX_SECTION_CHARS, MAX_SECTION_CHARS, 1]
    assert {s.anchor for s in sections} == {"a"}


@given(st.text(alphabet="#=-`~ \n\ta[]()<!>|", max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    """Whatever the input, it is cut into sections without an error."""
    split(text)
