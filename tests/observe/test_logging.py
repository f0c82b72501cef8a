"""Our own logs: JSON lines, bounded, never in the way."""

from __future__ import annotations

import json
import logging as stdlib_logging
import os
from pathlib import Path

import pytest

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.observe import logging


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_object_with_message_and_fields(tmp_path: Path) -> None:
    """Time, level, role and pid stand beside what the caller gave."""
    log = logging.Log()
    log.open("web", tmp_path / "web.log", "info")
    log.info("bot started", bot="alice", pids=[1, 2], at=Path("/x"))
    (line,) = _lines(tmp_path / "web.log")
    assert (line["message"], line["bot"], line["pids"], line["at"]) == ("bot started", "alice", [1, 2], "/x")
    assert (line["level"], line["role"], line["pid"]) == ("info", "web", os.getpid())


def test_levels_below_the_threshold_are_not_written(tmp_path: Path) -> None:
    """`level` is a lower bound."""
    log = logging.Log()
    log.open("web", tmp_path / "web.log", "warning")
    log.info("no")
    log.warning("yes")
    assert [line["message"] for line in _lines(tmp_path / "web.log")] == ["yes"]


def test_fields_are_redacted_and_cut(tmp_path: Path) -> None:
    """An exception text that holds a token does not bring it into the log."""
    log = logging.Log()
    log.open("web", tmp_path / "web.log", "info")
    log.info("refused", error="BOT_TOKEN=hunter2 " + "x" * 5000)
    text = (tmp_path / "web.log").read_text()
    assert "hunter2" not in text
    assert len(text) < 1500


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most FILES files of MAX_BYTES, the newest line in the newest file."""
    monkeypatch.setattr(logging, "MAX_BYTES", 2000)
    log = logging.Log()
    log.open("web", tmp_path / "web.log", "info")
    for number in range(200):
        log.info("line", number=number)
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["web.log", "web.log.1", "web.log.2"]
    assert all(f.stat().st_size <= 2000 for f in files)
    numbers = [line["number"] for f in reversed(files) for line in _lines(f)]
    assert numbers == list(range(200 - len(numbers), 200))


def test_a_log_that_cannot_be_written_disturbs_nobody(tmp_path: Path) -> None:
    """A folder in the way, a missing folder, a value that is not JSON: no error reaches the caller."""
    (tmp_path / "web.log").mkdir()
    for path in (tmp_path / "web.log", tmp_path / "none" / "web.log"):
        log = logging.Log()
        log.open("web", path, "info")
        log.error("lost", value=object(), text="\ud800")


def test_a_failure_is_told_with_its_place(tmp_path: Path) -> None:
    """`failure` names type, text and file:line."""
    log = logging.Log()
    log.open("web", tmp_path / "web.log", "info")
    try:
        raise ValueError("boom")
    except ValueError as err:
        log.failure("task failed", err)
    (line,) = _lines(tmp_path / "web.log")
    assert (line["type"], line["error"]) == ("ValueError", "boom")
    assert str(line["at"]).startswith(__file__)


@pytest.fixture
def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The standard library's logging goes into a log of its own for one test."""
    monkeypatch.setattr(stdlib_logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging, "log", logging.Log())
    (tmp_path / ".psv" / "logs" / "psv").mkdir(parents=True)
    logging.setup("web", FleetPaths(tmp_path), "info")
    logging.setup("web", FleetPaths(tmp_path), "info")
    return tmp_path / ".psv" / "logs" / "psv" / "web.log"


def test_our_own_loggers_are_taken_with_their_fields(captured: Path) -> None:
    """Message, extra and the place of an exception arrive, once each."""
    log = stdlib_logging.getLogger("psv.manager")
    log.debug("no")
    log.info("bot ended", extra={"bot": "alice"})
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("a command failed")
    first, second = _lines(captured)
    assert (first["message"], first["bot"], first["level"]) == ("bot ended", "alice", "info")
    assert (second["message"], second["type"], second["error"]) == ("a command failed", "ValueError", "boom")


def test_libraries_are_captured_without_their_arguments(captured: Path) -> None:
    """The template of a library's message is logged, what it was filled with may be user text and is not."""
    stdlib_logging.getLogger("library").warning("cannot send %s", "private words")
    text = captured.read_text()
    assert "cannot send %s" in text
    assert "private words" not in text
