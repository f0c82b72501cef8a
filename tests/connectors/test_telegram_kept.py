"""The files of a bot on Telegram beside its database: whatever is in them, the bot goes on."""

from __future__ import annotations

import json

from processsupervisor.connectors.telegram.begun import Begun
from processsupervisor.connectors.telegram.kept import read_rows, write_rows


def test_rows_come_back_and_no_rows_are_no_file(tmp_path):
    """In a folder that is not there yet, too."""
    path = tmp_path / "deep" / "rows.json"
    write_rows(path, {"r1": ("-1", 7)})
    assert read_rows(path, str, int) == {"r1": ["-1", 7]}
    write_rows(path, {})
    assert not path.exists() and read_rows(path, str, int) == {}


def test_what_is_damaged_is_left_out(tmp_path):
    """Row by row."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"r1": ["-1", "x"], "r2": ["-1"], "r3": None, "r4": ["-1", 7], "r5": ["-1", True]}))
    assert read_rows(path, str, int) == {"r4": ["-1", 7]} and Begun(path).find("r4", "-1") == 7
    path.write_text("[1")
    assert read_rows(path, str, int) == {}


def test_a_disk_that_takes_nothing_is_no_error(tmp_path):
    """What cannot be kept is known to this life alone."""
    (tmp_path / "file").touch()
    begun = Begun(tmp_path / "file" / "rows.json")
    begun.note("r1", "-1", 7)
    assert begun.find("r1", "-1") == 7
