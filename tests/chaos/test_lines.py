"""The line count sees what is lost, repeated or torn, through rotation and compaction."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.chaos.lines import LineLog

LIFE = "12-345"


@pytest.fixture
def log(tmp_path: Path) -> LineLog:
    """An empty log of one bot."""
    (tmp_path / "lives").mkdir()
    (tmp_path / "a").mkdir()
    return LineLog(tmp_path / "a", tmp_path / "lives")


def _lines(*numbers: int) -> bytes:
    return b"".join(f"L {LIFE} {n} ....\n".encode() for n in numbers)


def test_lines_are_read_on_through_rotation_and_compaction(log: LineLog) -> None:
    """Nothing is read twice, a line in the writing is left for later."""
    active = log.folder / "stdout.log"
    active.write_bytes(_lines(0, 1) + b"L 12-345 2 .")
    log.read()
    assert log.total == 2
    active.write_bytes(_lines(0, 1, 2))
    active.rename(log.folder / "stdout.000001.log")
    (log.folder / "stdout.000002.log.gz").write_bytes(gzip.compress(_lines(3, 4)))
    active.write_bytes(_lines(5))
    log.read()
    log.read()
    assert (log.total, log.faults, log.missing({LIFE: 6})) == (6, [], {})


def test_lost_repeated_and_torn_lines_are_named(log: LineLog) -> None:
    """Each with its life."""
    (log.folder / "stdout.log").write_bytes(_lines(0, 2, 2) + b"L 12-3L 12-345 3 ....\n")
    log.read()
    assert [fault.partition(": ")[2] for fault in log.faults] == [
        "line 2 of life 12-345 1 lost before", "line 2 of life 12-345 repeated", "not a line that was written: b'L 12-3L 12-345 3 ....'",
    ]  # fmt: skip


def test_what_a_life_wrote_last_must_be_there(log: LineLog) -> None:
    """Its counter is what it knows to have written; more may be there, less may not."""
    (log.lives / LIFE).write_bytes((3).to_bytes(8, "little"))
    (log.folder / "stdout.log").write_bytes(_lines(0, 1))
    log.read()
    assert log.missing(log.counters()) == {LIFE: 1}
    log.forgive(LIFE, 3)
    assert log.missing(log.counters()) == {}
