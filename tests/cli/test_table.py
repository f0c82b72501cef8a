"""Laws of tables: aligned in a pipe, whole in a terminal of 80 columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.test_main import run_in_terminal
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.table import plain_lines


def test_plain() -> None:
    """Columns stand two spaces apart, numbers to the right, no space at the end."""
    assert plain_lines(("NAME", "PID", "WHY"), [("a", "7", ""), ("bob", "123", "x y")], right=("PID",)) == [
        "NAME  PID  WHY", "a       7", "bob   123  x y",
    ]


@pytest.mark.usefixtures("keeper")
def test_terminal_cuts_nothing_that_is_acted_on(fleet: FakeFleet, folder: Path) -> None:
    """In 80 columns name, state and pid are whole; the reason wraps."""
    fleet.state["bob"] = "FAILED"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run_in_terminal(["ls"], folder, COLUMNS="80"))
    assert "…" not in shown
    assert all(word in shown for word in ("alice", "RUNNING", "healthy", "4711", "FAILED", "code"))
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())
