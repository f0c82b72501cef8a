"""Atomic files, records and locks hold what they promise when a process dies or a byte is damaged."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from processsupervisor.kernel.errors import LockHeld, SystemRefused
from processsupervisor.kernel.files import RecordFile, hold_role_lock, is_flocked, read_record, write_json


def test_a_record_survives_rewriting_and_is_found_whole(tmp_path: Path) -> None:
    """What was written last is read."""
    record = RecordFile(tmp_path / "record")
    for number in range(50):
        record.write({"n": number, "text": "x" * number})
    record.close()
    assert read_record(tmp_path / "record") == {"n": 49, "text": "x" * 49}


@pytest.mark.parametrize("damage", [b"", b"\0" * 2048, b"nonsense", b"00000000 000004 {}xx"])
def test_a_damaged_record_reads_as_none(tmp_path: Path, damage: bytes) -> None:
    """Torn, zeroed or foreign content is never taken for a record."""
    (tmp_path / "record").write_bytes(damage)
    assert read_record(tmp_path / "record") is None


def test_a_record_that_does_not_fit_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """The reserved space is the limit."""
    record = RecordFile(tmp_path / "record")
    record.write({"ok": 1})
    with pytest.raises(SystemRefused, match="at most"):
        record.write({"big": "x" * 4000})
    assert read_record(tmp_path / "record") == {"ok": 1}


def test_a_lock_is_held_by_one_and_free_after_kill_minus_nine(tmp_path: Path) -> None:
    """The kernel frees a role's lock at its death, whatever killed it, and the refusal names the holder."""
    path = tmp_path / "role.lock"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        hold_role_lock(path, "psvd pid 1234")
        os.write(writing, b"x")
        signal.pause()
        os._exit(0)
    os.read(reading, 1)
    assert is_flocked(path)
    with pytest.raises(LockHeld, match="psvd pid 1234"):
        hold_role_lock(path, "second")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(hold_role_lock(path, "third"))
    assert not is_flocked(path)


def test_an_atomic_write_leaves_no_temporary_file_behind(tmp_path: Path) -> None:
    """Neither when it works nor when it fails."""
    write_json(tmp_path / "a.json", {"a": "ü"})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_json(tmp_path / "folder", {"a": 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "folder"]
