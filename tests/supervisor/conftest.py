"""A live fleet per test, ended whatever happens, in a runtime folder of its own."""

from __future__ import annotations

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


@pytest.fixture
def unused_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
