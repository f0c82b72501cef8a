"""What goes over a real notify socket, at both kinds of addresses that systemd gives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from processsupervisor.process.notify import ServiceManager


@pytest.mark.parametrize("is_abstract", [False, True])
def test_datagrams_reach_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool) -> None:
    """A path, or a name in the abstract namespace (@); the variables are taken away, so that no child speaks in our name."""
    name = f"@psv-test-{os.getpid()}-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name[1:] if is_abstract else name)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        manager = ServiceManager.of_environment()
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(os.environ)
        manager.say("READY=1", "STATUS=all is well")
        manager.beat(is_well=False)
        manager.beat(is_well=True)
        again = ServiceManager(**manager.to_json())  # type: ignore[arg-type]
        again.say("STOPPING=1")
        assert [server.recv(4096) for _ in range(3)] == [b"READY=1\nSTATUS=all is well", b"WATCHDOG=1", b"STOPPING=1"]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the variable, or with one that names nothing, saying something is no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager.of_environment().say("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nothing"))
    ServiceManager.of_environment().say("READY=1")
