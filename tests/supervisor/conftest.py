"""A live fleet per test, ended whatever happens, in a runtime folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveFleet]:
    """An empty fleet folder; write files, configure, up."""
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    folder = tmp_path / "fleet"
    folder.mkdir()
    live = LiveFleet(folder)
    try:
        yield live
    finally:
        live.stop()
        for path in Path("/dev/shm", f"psv-{os.geteuid()}").glob(_name_in_memory(live)):
            shutil.rmtree(path, ignore_errors=True)


def _name_in_memory(live: LiveFleet) -> str:
    """Return the name of what the fleet kept in memory for its logs, nothing else."""
    path = live.paths.run / "memory"
    return path.read_text() if path.is_file() else "nothing"


@pytest.fixture
def unused_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
