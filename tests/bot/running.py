"""Real bot processes and real clients of their web.sock for the tests of this room; nothing here is a fake."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.paths import FleetPaths

CHILD = Path(__file__).with_name("child.py")
DEADLINE_S = 20.0


def wait_for(condition, what: str, deadline_s: float = DEADLINE_S):
    """Return the first true value of `condition()`; fails the test after the deadline."""
    ends = time.monotonic() + deadline_s
    while time.monotonic() < ends:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline_s:g} s: {what}")


class Client:
    """One connection to a web.sock; reads lines with a deadline."""

    def __init__(self, path: Path) -> None:
        self.socket = connect_unix(path, DEADLINE_S)
        self._buffer = b""
        self._kept: list[dict[str, Any]] = []
        """Lines that read_until passed over; a later read_until finds them first, in order."""

    def send(self, **request: Any) -> None:
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def read(self, timeout_s: float = DEADLINE_S) -> dict[str, Any] | None:
        """Return the next line; None when the other side closed."""
        self.socket.settimeout(timeout_s)
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def read_until(self, condition) -> dict[str, Any]:
        """Return the first line that fulfils the condition."""
        for index, line in enumerate(self._kept):
            if condition(line):
                return self._kept.pop(index)
        while True:
            fresh = self.read()
            assert fresh is not None, "the bot closed the connection"
            if condition(fresh):
                return fresh
            self._kept.append(fresh)

    def post(self, message_id: str, text: str, conversation: str = "default") -> dict[str, Any]:
        """Post and return the acknowledgement or refusal."""
        self.send(op="post", id=message_id, text=text, conversation=conversation)
        return self.read_until(lambda line: line["op"] in ("accepted", "refused") and line["id"] == message_id)

    def reply_to(self, message_id: str) -> dict[str, Any]:
        """Return the final event that answers a message; needs a subscription."""
        return self.read_until(lambda line: line["op"] == "event" and line["reply_to"] == message_id and line["final"])

    def subscribe(self, conversation: str = "default", after: int | None = None) -> None:
        self.send(op="subscribe", conversation=conversation, after=after)

    def history(self, conversation: str = "default", limit: int = 50) -> list[dict[str, Any]]:
        self.send(op="history", conversation=conversation, limit=limit)
        return self.read_until(lambda line: line["op"] == "history")["messages"]

    def close(self) -> None:
        self.socket.close()


class BotProcess:
    """A bot in a folder of its own; start and kill as often as you like, the folder stays."""

    def __init__(self, folder: Path, source: str, name: str = "alice", run: str = "bots:bot", **spec: Any) -> None:
        self.paths = FleetPaths(folder)
        self.paths.ensure()
        self.name, self.run, self.spec = name, run, spec
        (folder / "bots.py").write_text(textwrap.dedent(source))
        self.process: subprocess.Popen[str] | None = None
        self.errors = folder / "stderr.txt"

    @property
    def web_socket(self) -> Path:
        return self.paths.bot_run(self.name) / "web.sock"

    @property
    def database(self) -> Path:
        return self.paths.bot_data(self.name) / "bot.db"

    def start(self, *, wait: bool = True, env: dict[str, str] | None = None) -> BotProcess:
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(CHILD), str(self.paths.folder), self.name, self.run, json.dumps(self.spec)],
                stdin=subprocess.DEVNULL, stderr=errors, text=True, env={**os.environ, **(env or {})},
            )  # fmt: skip
        if wait:
            self.wait_served()
        return self

    def wait_served(self) -> None:
        """Wait until the bot takes connections; fails when it ends before."""
        wait_for(self._answers, f"{self.name} serves its socket; it wrote: {self.errors.read_text()}")

    def ended(self) -> bool:
        """Wait until the process has ended or nothing is left for it to handle; tell whether it has ended."""
        assert self.process is not None
        wait_for(lambda: self.process.poll() is not None or not self.has_open_messages(), f"{self.name} ends or comes to rest")
        return self.process.poll() is not None

    def has_open_messages(self, begun: int = 0) -> bool:
        """Tell whether messages are not through, of those that met at least so many deaths."""
        if not self.database.exists():
            return True
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            try:
                (count,) = database.execute("SELECT count(*) FROM inbox WHERE state = 0 AND attempts >= ?", (begun,)).fetchone()
            except sqlite3.OperationalError:  # not made yet, or busy
                return True
        return bool(count)

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.errors.read_text()
        with contextlib.suppress(OSError):
            self.client().close()
            return True
        return False

    def client(self) -> Client:
        return Client(self.web_socket)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Supervisor:
    """The psvd end of the bot link: listens on bot.sock and speaks the protocol by hand."""

    def __init__(self, paths: FleetPaths) -> None:
        path = paths.socket("bot")
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.settimeout(DEADLINE_S)
        self.lines: list[dict[str, Any]] = []
        self._peer: socket.socket | None = None
        self._file: Any = None

    def welcome(self) -> dict[str, Any]:
        """Accept one bot, answer its hello, return the hello."""
        hello = self.meet()
        self.send(op="welcome")
        return hello

    def meet(self) -> dict[str, Any]:
        """Accept one bot and return its hello, without an answer."""
        self._peer, _ = self._listener.accept()
        self._peer.settimeout(DEADLINE_S)
        self._file = self._peer.makefile("rb")
        return dict(json.loads(self._file.readline()))

    def send(self, **line: Any) -> None:
        assert self._peer is not None
        self._peer.sendall(json.dumps(line).encode() + b"\n")

    def expect(self, op: str) -> dict[str, Any]:
        """Return the next line with this op."""
        while True:
            raw = self._file.readline()
            assert raw, f"the bot closed the link before {op}"
            line = json.loads(raw)
            if line["op"] == op:
                return line

    def close(self) -> None:
        if self._peer is not None:
            self._file.close()
            self._peer.close()
        self._listener.close()
