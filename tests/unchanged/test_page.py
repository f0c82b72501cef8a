"""The page says what was measured: every bot of the crew, and the figures of the newest result, digit by digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.bench_unchanged import RESULTS
from benchmarks.unchangedpage import PAGE, tables, write_page
from tests.unchanged.crew import KINDS

_NEWEST = max(RESULTS.glob("unchanged-*.json"), key=lambda path: path.name)


def test_the_tables_are_those_of_the_newest_result() -> None:
    """Nothing in them was written by hand, and each kind has its rows."""
    text = PAGE.read_text()
    measured = tables(json.loads(_NEWEST.read_text()))
    assert measured in text
    assert [measured.count(f"| {kind.name} |") for kind in KINDS] == [4] * len(KINDS)


def test_a_second_writing_changes_nothing_outside(tmp_path: Path) -> None:
    """Only what stands between the markers is replaced; without them nothing is written."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_page(json.loads(_NEWEST.read_text()), page)
    assert page.read_text() == PAGE.read_text()
    page.write_text("no markers\n")
    with pytest.raises(ValueError, match="marker"):
        write_page(json.loads(_NEWEST.read_text()), page)
    assert page.read_text() == "no markers\n"
