"""A fleet folder with a real web process, real bot processes and a control socket, for the tests of the web room."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from processsupervisor.kernel.paths import FleetPaths

HERE = Path(__file__).parent
DEADLINE_S = 60.0
"""Patience alone: a machine that is busy enough takes 15 s to start the web process."""


def wait_for(what: str, probe: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Return the first truthy answer of `probe`; fail naming `what` when there is none in time."""
    end = time.monotonic() + deadline_s
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


class Supervisor:
    """psvd's control socket: bot.list and fleet.watch, in a thread of the test."""

    def __init__(self, path: Path, bots: list[dict[str, Any]]) -> None:
        self.path = path
        self.bots = {bot["name"]: bot for bot in bots}
        self.calls: list[str] = []
        self._watchers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(DEADLINE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self.path.unlink(missing_ok=True)
        self._server = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, self.path))
        self._started.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                request = json.loads(line)
                self.calls.append(request["op"])
                if request["op"] == "bot.list":
                    self._write(writer, {"id": request["id"], "ok": True, "result": list(self.bots.values())})
                elif request["op"] == "fleet.watch":
                    self._write(writer, {"id": request["id"], "event": {"kind": "snapshot", "bots": list(self.bots.values())}})
                    self._watchers.append(writer)
        except OSError:
            pass
        finally:
            writer.close()

    def _write(self, writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
        writer.write(json.dumps(value).encode() + b"\n")

    def change(self, name: str, **changes: Any) -> None:
        """Change a bot; a change of state is told as a transition."""

        def apply() -> None:
            old = self.bots[name].get("state")
            self.bots[name] = self.bots[name] | changes
            if "state" in changes:
                event = {
                    "kind": "transition",
                    "bot": name,
                    "from": old,
                    "to": changes["state"],
                    "reason": changes.get("reason"),
                    "at": time.time(),
                }
                for writer in self._watchers:
                    self._write(writer, {"id": 1, "event": event})

        self._loop.call_soon_threadsafe(apply)

    def close(self) -> None:
        """Go away as psvd does when it is killed."""

        async def end() -> None:
            self._server.close()
            for writer in self._watchers:
                writer.transport.abort()
            self._watchers.clear()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self.path.unlink(missing_ok=True)


def bot_object(name: str, kind: str = "native", **changes: Any) -> dict[str, Any]:
    """Return an object as bot.list gives it."""
    now = time.time()
    plain = {
        "name": name, "type": None, "kind": kind, "state": "RUNNING", "wanted": "up", "health": "healthy", "connected": True, "pid": 4711,
        "generation": 1, "ready_at": now - 75, "exited_at": None, "uptime_s": 75.0, "restarts": 0, "memory_bytes": 2_800_000,
        "memory_age_s": 1.0, "cpu_percent": 0.1, "reason": None, "exit_code": None, "next_start_in_s": None,
    }  # fmt: skip
    return plain | changes


class Fleet:
    """One fleet folder and whatever of it was started; `close` ends all of it."""

    def __init__(self, folder: Path, bots: dict[str, str] | None = None, **web: Any) -> None:
        self.paths = FleetPaths(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.paths.ensure()
        self.bots = bots or {"guide": "native", "notes": "native", "legacy": "script"}
        self.web_table = {"enabled": True, "listen_host": "127.0.0.1", "listen_port": 0, "next_free": False} | web
        self.apply()
        self.web: subprocess.Popen[bytes] | None = None
        self.bot_processes: dict[str, subprocess.Popen[bytes]] = {}
        self.supervisor: Supervisor | None = None
        self.client = httpx.Client(timeout=DEADLINE_S, trust_env=False)

    def apply(self) -> None:
        """Write fleet.json."""
        specs = [{"name": name, "type": None, "kind": kind} for name, kind in self.bots.items()]
        content = {"version": 1, "fleet": {"name": "demo"}, "web": self.web_table, "bots": specs, "problems": [], "source_digest": ""}
        temporary = self.paths.applied.with_suffix(".new")
        temporary.write_text(json.dumps(content))
        temporary.replace(self.paths.applied)

    def spawn_web(self) -> subprocess.Popen[bytes]:
        """Start a web process and return at once."""
        argv = [sys.executable, "-P", "-m", "processsupervisor.web.main", str(self.paths.folder)]
        return subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")

    def start_web(self) -> None:
        """Start the web process and wait until it has said where it listens."""
        self.web = self.spawn_web()
        wait_for("web.json of this process", lambda: self.note().get("pid") == self.web.pid or self.web.poll() is not None)
        assert self.web.poll() is None, self.web.stderr.read().decode()

    def note(self) -> dict[str, Any]:
        """Return run/web.json."""
        try:
            return json.loads((self.paths.run / "web.json").read_text())
        except FileNotFoundError:
            return {}

    @property
    def url(self) -> str:
        return self.note()["url"].rstrip("/")

    def kill_web(self, number: int = signal.SIGKILL) -> int:
        """Signal the web process and return its status."""
        self.web.send_signal(number)
        status = self.web.wait(DEADLINE_S)
        self.web.stderr.close()
        self.web.stdout.close()
        return status

    def start_bot(self, name: str) -> None:
        """Start the bot's process and wait until it serves."""
        self.paths.bot_run(name).mkdir(exist_ok=True, parents=True)
        path = self.paths.bot_run(name) / "web.sock"
        # The process binds below its own folder by a short name, whatever the length of the path.
        argv = [sys.executable, str(HERE / "webbot.py"), "web.sock", str(self.paths.data / f"{name}.db")]
        process = subprocess.Popen(argv, cwd=path.parent)
        self.bot_processes[name] = process
        wait_for(f"socket of {name}", lambda: serves(path.parent))

    def kill_bot(self, name: str, number: int = signal.SIGKILL) -> None:
        """End the bot's process."""
        process = self.bot_processes.pop(name)
        process.send_signal(number)
        process.wait(DEADLINE_S)

    def start_supervisor(self) -> Supervisor:
        """Start the control socket with a list of all bots."""
        self.supervisor = Supervisor(self.paths.socket("psv"), [bot_object(name, kind) for name, kind in self.bots.items()])
        return self.supervisor

    def post(self, bot: str, body: Any, **headers: str) -> httpx.Response:
        """Post a message as JSON."""
        return self.client.post(f"{self.url}/chat/{bot}/messages", json=body, headers=headers)

    @contextmanager
    def events(self, address: str, deadline_s: float = DEADLINE_S, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Open a stream; gives `{"id", "event", "data"}` of each event and fails after `deadline_s` of silence."""
        with (
            httpx.Client(timeout=deadline_s, trust_env=False) as client,
            client.stream("GET", self.url + address, headers=headers) as response,
        ):
            assert response.status_code == 200, response.read()
            yield parse_events(response.iter_lines())

    def close(self) -> None:
        """End everything."""
        self.client.close()
        for name in list(self.bot_processes):
            if self.bot_processes[name].poll() is None:
                os.kill(self.bot_processes[name].pid, signal.SIGCONT)
            self.kill_bot(name)
        if self.web is not None and self.web.poll() is None:
            self.kill_web()
        if self.supervisor is not None:
            self.supervisor.close()


def serves(folder: Path) -> bool:
    """Tell whether something accepts at web.sock in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"/proc/self/fd/{descriptor}/web.sock") == 0
    finally:
        os.close(descriptor)


def parse_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Give the events of a stream of lines; comments are left out."""
    event: dict[str, Any] = {}
    for line in lines:
        if not line:
            if "data" in event:
                yield {"id": event.get("id"), "event": event.get("event", "message"), "data": json.loads(event["data"])}
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


def finals(events: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the next `count` final messages of a chat stream."""
    found: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "message" and event["data"]["final"]:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {found}")
