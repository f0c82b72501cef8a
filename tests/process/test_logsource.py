"""One generation's FIFOs as logd reads them: whatever the disk does, the bot's output is taken."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from processsupervisor.process.logmatch import LineMatcher
from processsupervisor.process.logsource import Source
from processsupervisor.process.segments import Stream


def test_a_disk_that_cannot_be_read_leaves_no_bot_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO when a stored line is read back for the ready pattern: the pattern misses it, the bytes are taken all the same."""
    for name in ("out-1", "err-1"):
        os.mkfifo(tmp_path / name)
    source = Source("a", 1, str(tmp_path), (Stream(str(tmp_path / "logs"), "stdout", 1 << 20, 5), Stream(str(tmp_path / "logs"), "stderr", 1 << 20, 5)))
    source.open()
    writer = os.open(tmp_path / "out-1", os.O_WRONLY)
    source.matcher = LineMatcher("^ready")

    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Stream, "read_back", broken)
    os.write(writer, b"ready\n")
    assert source.pump(0, lambda _: False) == (6, None)
    monkeypatch.undo()
    os.write(writer, b"ready again\n")
    assert source.pump(0, lambda _: False) == (12, "ready again")
    assert (tmp_path / "logs" / "stdout.log").read_bytes() == b"ready\nready again\n"
    os.close(writer)
    source.close()
