"""What refuses a change of a running fleet, and what is held back in it."""

from __future__ import annotations

from pathlib import Path

from processsupervisor.config.gate import hold_elsewhere, in_the_way
from processsupervisor.config.load import load_text
from processsupervisor.config.spec import Applied

FLEET = '[fleet]\nname = "x"\n[bots.a]\ncommand = ["sleep", "9"]\n'
BAD = '[bots.bad]\nscript = "gone.py"\n'


def _applied(folder: Path, text: str) -> Applied:
    applied = load_text(folder, text.encode()).applied
    assert applied is not None
    return applied


def test_one_wrong_bot_refuses_the_change(tmp_path: Path) -> None:
    """A mistake in a bot that the running version has not stands in the way; one that it lives with, and a warning, do not."""
    bad = load_text(tmp_path, (FLEET + BAD).encode())
    assert [problem.bots for problem in in_the_way(bad.problems, _applied(tmp_path, FLEET))] == [("bad",)]
    moved = load_text(tmp_path, (FLEET + "\n\n" + BAD).encode())
    assert in_the_way(moved.problems, _applied(tmp_path, FLEET + BAD)) == []
    fatal = load_text(tmp_path, (FLEET + "[global]\nnonsense = 1\n").encode())
    assert [problem.severity for problem in in_the_way(fatal.problems, _applied(tmp_path, FLEET))] == ["fatal"]


def test_what_runs_elsewhere_stays_held_back(tmp_path: Path) -> None:
    """A bot that `psv up` found running under something else is not started by a change of another one."""
    running, new = _applied(tmp_path, FLEET), _applied(tmp_path, FLEET + '[bots.b]\ncommand = ["sleep", "9"]\n')
    running["bots"][0].update(error="runs under systemd", error_rechecks=True, is_elsewhere=True)
    hold_elsewhere(new, running)
    assert [(spec["name"], spec["error"], spec["is_elsewhere"]) for spec in new["bots"]] == [
        ("a", "runs under systemd", True), ("b", None, False),
    ]  # fmt: skip
