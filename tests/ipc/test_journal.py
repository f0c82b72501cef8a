"""The exit journal keeps every whole record, skips damage, and stays bounded."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from processsupervisor.ipc import journal
from processsupervisor.ipc.journal import MAX_RECORDS, RECORD_BYTES, Journal, read, wait_status


def test_a_new_keeper_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Sequence numbers rise over restarts of the keeper."""
    first = Journal(tmp_path / "j")
    first.append(10, 100, 9, 1.5)
    second = Journal(tmp_path / "j")
    second.append(11, 101, 0, 2.5)
    assert [(e.sequence, e.pid, e.start_ticks, e.status, e.at) for e in read(tmp_path / "j")] == [(1, 10, 100, 9, 1.5), (2, 11, 101, 0, 2.5)]


def test_a_torn_tail_and_a_damaged_record_are_skipped(tmp_path: Path) -> None:
    """A kill in mid-write costs that record at most."""
    writer = Journal(tmp_path / "j")
    for pid in (1, 2, 3):
        writer.append(pid, 0, 0, 0.0)
    raw = bytearray((tmp_path / "j").read_bytes())
    raw[RECORD_BYTES + 8] ^= 0xFF
    (tmp_path / "j").write_bytes(bytes(raw) + b"torn")
    assert [e.pid for e in read(tmp_path / "j")] == [1, 3]
    Journal(tmp_path / "j").append(4, 0, 0, 0.0)
    assert [e.pid for e in read(tmp_path / "j")] == [1, 3, 4]


def test_the_journal_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    """At the limit the older half goes."""
    writer = Journal(tmp_path / "j")
    for pid in range(MAX_RECORDS + 10):
        writer.append(pid, 0, 0, 0.0)
    entries = list(read(tmp_path / "j"))
    assert len(entries) == MAX_RECORDS // 2 + 10
    assert entries[-1].pid == MAX_RECORDS + 9
    assert journal.RECORD_BYTES * len(entries) == (tmp_path / "j").stat().st_size


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    """A first start has nothing to learn."""
    assert list(read(tmp_path / "none")) == []


@pytest.mark.parametrize("end", [0, 1, 126, 255, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGSEGV])
def test_the_status_of_a_zombie_is_the_one_that_reaping_gives(end: int) -> None:
    """The keeper journals before it reaps: what waitid shows must be what waitpid says, core dumps included."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-end, signal.SIG_DFL) if end in (-signal.SIGTERM, -signal.SIGSEGV) else None
        os.kill(os.getpid(), -end) if end < 0 else None
        os._exit(end)
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert wait_status(found) == os.waitpid(pid, 0)[1]
