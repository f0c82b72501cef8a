"""Exit records say what happened, in the words of the closed list, and find the place of an exception."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import failure_path
from processsupervisor.process.exits import find_exception, record_of


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    found = FleetPaths(tmp_path)
    found.bot_run("b").mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("status", "reason", "code", "signal"),
    [
        (0, "clean", 0, None), (1 << 8, "code", 1, None), (75 << 8, "code", 75, None), (77 << 8, "auth", 77, None),
        (78 << 8, "config", 78, None), (79 << 8, "conflict", 79, None), (80 << 8, "rate-limited", 80, None),
        (9, "signal", None, "SIGKILL"), (139, "signal", None, "SIGSEGV"), (None, "unknown", None, None),
    ],
)  # fmt: skip
def test_a_wait_status_becomes_a_reason(paths: FleetPaths, status: int | None, reason: str, code: int | None, signal: str | None) -> None:
    """Codes and signals as design says; a status that is not to be had is said to be unknown."""
    record = record_of(paths, "b", 1, status, 5.0)
    assert (record.reason, record.exit_code, record.signal) == (reason, code, signal)


def test_a_failure_file_counts_for_its_own_generation_only(paths: FleetPaths) -> None:
    """An old failure must not explain a new exit."""
    write_json(failure_path(paths, "b"), {"generation": 3, "reason": "lock-held", "message": "held by a", "hint": "stop it"})
    assert record_of(paths, "b", 3, 126 << 8, 0.0).reason == "lock-held"
    assert record_of(paths, "b", 3, 126 << 8, 0.0).message == "held by a; stop it"
    assert record_of(paths, "b", 4, 126 << 8, 0.0).reason == "code"


@pytest.mark.parametrize("kind", ["fifo", "link", "unknown reason"])
def test_a_failure_file_that_a_bot_made_holds_up_nobody(paths: FleetPaths, kind: str) -> None:
    """Its folder is open to a bot of another user: what lies there is read without waiting, and believed only as far as it is known."""
    path = failure_path(paths, "b")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        write_json(path, {"generation": 3, "reason": "because", "message": "it says"})
    record = record_of(paths, "b", 3, 126 << 8, 0.0)
    assert (record.reason, record.exit_code) == ("start-failed" if kind == "unknown reason" else "code", 126)


def test_the_last_exception_is_found_at_its_innermost_frame() -> None:
    """Chained and nested tracebacks: the last one that was raised counts."""
    lines = """starting
Traceback (most recent call last):
  File "/app/a.py", line 3, in <module>
    f()
  File "/app/b.py", line 9, in f
    raise ValueError("first: with colon")
ValueError: first: with colon

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 5, in <module>
    g()
  File "/app/c d.py", line 7, in g
    raise aiogram.exceptions.TelegramConflictError
aiogram.exceptions.TelegramConflictError: Conflict: terminated by other getUpdates request
bye""".splitlines()
    found = find_exception(lines)
    assert found == {
        "type": "aiogram.exceptions.TelegramConflictError",
        "message": "Conflict: terminated by other getUpdates request",
        "file": "/app/c d.py",
        "line": 7,
    }


def test_ordinary_words_are_no_exception() -> None:
    """Only what follows frames of a traceback counts."""
    assert find_exception(["ERROR: something", "KeyError: looks like one", "Done"]) is None
