"""The five operator tasks with few bots, under psv: that the page says what is typed, and that it works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.tasks.__main__ import QUICK, do_tasks
from benchmarks.tasks.page import PAGE
from benchmarks.tasks.systems import Psv
from benchmarks.tasks.work import TASKS


@pytest.mark.slow
def test_the_tasks_come_out_and_the_page_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each script of psv does its task, counted by its own structure; what it runs stands on the page, but for the numbers of bots."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    results = do_tasks(Psv, QUICK)

    assert [(done.task, done.failure) for done in results] == [(task.name, "") for task in TASKS]
    typed = [act.what if act.kind == "command" else f"edit {act.what}, {act.lines} line" for done in results for act in done.acts]
    written = re.findall(r"^psv +(.+)$", PAGE.read_text(), re.MULTILINE)
    assert [re.sub(r"\d+", "N", line) for line in typed] == [re.sub(r"\d+", "N", line) for line in written]
    assert next(done.tells_broken for done in results if done.task == "update"), "a release that cannot start is told"
