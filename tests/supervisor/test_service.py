"""Under a service manager: READY when all is settled, WATCHDOG while it lives, STOPPING before it ends (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A real notify socket in the place of systemd's."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "6000000")
        yield server


def test_the_service_manager_is_told_ready_watchdog_and_stopping(fleet: LiveFleet, manager: socket.socket) -> None:
    """In this order, with a status line, and no bot inherits the socket."""
    fleet.write("main.py", "import os, time\nprint('notify', os.environ.get('NOTIFY_SOCKET'), flush=True)\ntime.sleep(1000)\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nready = { log = "notify None" }\n')
    fleet.up(wait=False)
    first = manager.recv(4096).decode()
    while "WATCHDOG" in first:
        first = manager.recv(4096).decode()
    assert first.splitlines() == ["READY=1", "STATUS=1 bot ready, 0 not"]
    assert fleet.bot("x")["state"] == "RUNNING"
    assert manager.recv(4096) == b"WATCHDOG=1"
    fleet.down()
    last = manager.recv(4096)
    while last == b"WATCHDOG=1":
        last = manager.recv(4096)
    assert last == b"STOPPING=1"
    assert "NOTIFY_SOCKET" in os.environ


def test_one_bot_that_has_to_wait_does_not_hold_up_the_unit(fleet: LiveFleet, manager: socket.socket) -> None:
    """Rate limited for an hour: the manager is told at once, long before the timeout of any unit."""
    fleet.write("main.py", """
        import os, sys, time
        open(os.environ["PSV_EXIT_NOTE"], "w").write(str(time.time() + 3600))
        sys.exit(80)
    """)
    fleet.configure('[bots.limited]\nscript = "main.py"\nready = { after = "5s" }\n')
    fleet.up(wait=False)
    fleet.until("limited", state="RECOVERING")
    assert _next_but_watchdog(manager).splitlines() == ["READY=1", "STATUS=0 bots ready, 1 not"]


def test_stopping_is_said_once_and_nothing_after_it(fleet: LiveFleet, manager: socket.socket) -> None:
    """SIGTERM while a bot still starts: what psvd says afterwards of its readiness is not passed on."""
    fleet.configure('[bots.slow]\ncommand = ["sleep", "1000"]\nready = { tcp = 1 }\n')
    fleet.up(wait=False)
    fleet.until("slow", state="STARTING")
    assert fleet.keeper is not None
    fleet.keeper.terminate()
    fleet.keeper.wait(20)
    manager.settimeout(0.2)
    said = []
    with contextlib.suppress(TimeoutError):
        while True:
            said.append(manager.recv(4096))
    assert [message for message in said if message != b"WATCHDOG=1"] == [b"STOPPING=1"]


def _next_but_watchdog(manager: socket.socket) -> str:
    said = b"WATCHDOG=1"
    while said == b"WATCHDOG=1":
        said = manager.recv(4096)
    return said.decode()
