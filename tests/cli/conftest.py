"""What the tests of the command line share: running the real command, and a small real control server.

The server is commands.dispatch over a fleet in memory, on the fleet's own socket path; the command cannot tell it from psvd.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.commands.fakefleet import FakeFleet

from processsupervisor.commands.ports import Caller
from processsupervisor.commands.registry import dispatch
from processsupervisor.kernel.errors import PsvError, to_wire
from processsupervisor.kernel.paths import FleetPaths

Psv = Callable[..., "subprocess.CompletedProcess[str]"]
PSV = [sys.executable, "-m", "processsupervisor"]
FLEET = '[fleet]\nname = "demo"\n\n[bots.echo]\nrun = "bots:bot"\n'


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a command under test: ours without what would change its course."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PSV_", "PYTEST_"))}
    return kept | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet folder with a fleet.toml and the folders below .psv."""
    target = tmp_path / "fleet"
    target.mkdir()
    (target / "fleet.toml").write_text(FLEET)
    FleetPaths(target).ensure()
    return target


@pytest.fixture
def psv(folder: Path, tmp_path: Path) -> Psv:
    """Run the real command in `folder` and return what it printed and its status."""

    def run(*args: str, cwd: Path | None = None, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        full = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"), **(env or {}))
        where = cwd or folder
        return subprocess.run([*PSV, *args], cwd=where, input=stdin, env=full, capture_output=True, text=True, timeout=60, check=False)

    return run


class Server:
    """A unix-socket server in a thread of its own; `talk` serves one connection."""

    def __init__(self, path: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._path = path
        self._talk = talk
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._serve(),))
        self._thread.start()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_unix_server(self._guarded, sock=self._listener)
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _guarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await self._talk(reader, writer)
        writer.close()

    def close(self) -> None:
        """End the server and remove its socket."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self.loop.close()
        self._path.unlink(missing_ok=True)


def control_server(folder: Path, fleet: FakeFleet) -> Server:
    """Serve `fleet` on the control socket of `folder`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await serve(json.loads(line), writer)

    async def serve(request: dict[str, object], writer: asyncio.StreamWriter) -> None:
        async def send(**message: object) -> None:
            writer.write(json.dumps({"id": request["id"], **message}).encode() + b"\n")
            await writer.drain()

        async def emit(event: dict[str, object]) -> None:
            await send(event=event)

        if request["op"] == "ping":
            await send(ok=True, result={"version": "0.1.0", "protocol": 1, "pid": os.getpid()})
            return
        try:
            result = await dispatch(fleet, str(request["op"]), request["args"], Caller(0, "test", "control"), emit)  # type: ignore[arg-type]
        except PsvError as error:
            await send(ok=False, error=to_wire(error))
        else:
            await send(ok=True, result=result)

    return Server(FleetPaths(folder).socket("psv"), talk)


@contextlib.contextmanager
def keeper_socket(folder: Path) -> Iterator[None]:
    """Have a keeper, as far as one sees by connecting to it."""
    path = FleetPaths(folder).socket("keeper")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield
    path.unlink()


@pytest.fixture
def fleet(folder: Path) -> Iterator[FakeFleet]:
    """A fleet in memory, served on the control socket of `folder`."""
    port = FakeFleet(str(folder))
    server = control_server(folder, port)
    yield port
    server.close()


@pytest.fixture
def keeper(folder: Path) -> Iterator[None]:
    """A keeper of that fleet, as far as one sees by connecting to it."""
    with keeper_socket(folder):
        yield
