"""Other supervisors are asked over real sockets, and one that hangs costs its patience once."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from processsupervisor.config import asking


def test_one_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty bots are started in a row while it is stopped: psvd must go on answering the keeper."""
    monkeypatch.setattr(asking, "ASK_S", 0.3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        url, began = f"unix://{tmp_path}/s", time.monotonic()
        for _ in range(30):
            with pytest.raises(asking.NoAnswerError, match="not answer within"):
                asking.ask_supervisord(url, "getAllProcessInfo")
        assert time.monotonic() - began < 3.0


def test_what_is_no_supervisor_is_said(tmp_path: Path) -> None:
    """Nobody listens, or it speaks something else."""
    with pytest.raises(asking.NoAnswerError, match="No such file"):
        asking.ask_supervisord(f"unix://{tmp_path}/none", "getState")
    with pytest.raises(asking.NoAnswerError, match="no address of a socket"):
        asking.ask_supervisord("http://here", "getState")
