"""Buttons and files as words."""

from __future__ import annotations

from pathlib import Path

from processsupervisor.connectors.words import in_words, index_of, pressable
from processsupervisor.storage.records import ButtonRow, FileOut

YES, NO, SITE = ButtonRow("Yes", "v:1"), ButtonRow("No", "v:2"), ButtonRow("Site", url="https://example.org")


def test_each_row_is_a_line_and_what_can_be_pressed_has_a_number():
    """Numbers go on from row to row; an address has none."""
    assert in_words("Vote", [[YES, SITE], [NO]]) == "Vote\n[1] Yes  [Site] https://example.org\n[2] No"
    assert pressable([[YES, SITE], [NO]]) == [YES, NO]


def test_labels_that_are_numbers_are_not_numbered():
    """Else 1 would mean two things."""
    assert in_words("", [[ButtonRow("5", "r:5"), ButtonRow("4", "r:4")]]) == "[5]  [4]"
    assert index_of("5", ["5", "4"]) == 0 and index_of("1", ["5", "4"]) is None


def test_a_file_is_told_with_its_path():
    """Whoever reads text can open it there."""
    file = FileOut("files/ab.txt", "report.txt", "text/plain")
    assert in_words("", (), [file], Path("/data")) == "[report.txt] /data/files/ab.txt"
    assert in_words("here", (), [file]) == "here\n[report.txt] files/ab.txt"


def test_the_first_of_equal_labels_counts_and_numbers_have_an_end():
    """A number tells equal ones apart; very long ones are not read at all."""
    assert [index_of(text, ["Go", "go"]) for text in ("GO", "2", "3", "0", "-1", "1" * 5000, "")] == [0, 1, None, None, None, None, None]
