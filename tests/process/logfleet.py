"""A fleet folder with a real logd and a stand-in for the keeper: it holds the FIFOs and speaks the keeper's side of the link."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from processsupervisor.kernel.paths import FleetPaths, short_socket_path

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str, timeout_s: float = 20.0) -> T:
    """Return the first true value of `condition`; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")


class LogFleet:
    """`logs` are the settings of every bot opened by `open`; keep is high so that nothing is dropped by itself."""

    def __init__(self, folder: Path, *, max_bytes: int = 10 << 20, keep: int = 10000) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = FleetPaths(folder)
        self.paths.ensure()
        self.logs = {"max_bytes": max_bytes, "keep": keep}
        self.held: dict[tuple[str, int], dict[str, Any]] = {}
        self.fifos: list[int] = []
        self.heard: list[dict[str, Any]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        directory = os.open(self.paths.run, os.O_PATH | os.O_DIRECTORY)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(short_socket_path(self.paths.socket("keeper"), directory))
        os.close(directory)
        self._listener.listen(8)
        self._link: socket.socket | None = None

    def start(self, **kwargs: Any) -> int:
        """Start logd, wait for its hello, tell it of every FIFO; returns its pid."""
        argv = [sys.executable, "-P", "-m", "processsupervisor.process.logd", str(self.paths.folder)]
        self.process = subprocess.Popen(argv, **kwargs)
        self.accept()
        return self.process.pid

    def accept(self) -> None:
        """Take logd's connection as a new keeper does."""
        self._listener.settimeout(20)
        self._link, _ = self._listener.accept()
        self._buffer = b""
        self.hear("hello")
        for message in self.held.values():
            self.tell(message)

    def cut(self) -> None:
        """End the connection as a dying keeper does."""
        assert self._link is not None
        self._link.close()

    def kill(self) -> None:
        """SIGKILL logd and wait for its end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Tell logd to stop and return its exit status."""
        assert self.process is not None
        self.tell({"op": "stop"})
        return self.process.wait(20)

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message to logd."""
        assert self._link is not None
        self._link.settimeout(20)
        self._link.sendall(json.dumps(message).encode() + b"\n")

    def hear(self, op: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the next message with that op (earlier ones of other kinds stay in `heard`)."""
        deadline = time.monotonic() + timeout_s
        while True:
            for position, message in enumerate(self.heard):
                if message["op"] == op:
                    return self.heard.pop(position)
            assert self._link is not None
            self._link.settimeout(max(0.01, deadline - time.monotonic()))
            data = self._link.recv(65536)
            assert data, "logd closed the link"
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            self.heard.extend(json.loads(line) for line in lines)

    def ping(self) -> None:
        """Wait until logd has handled everything sent so far."""
        number = time.monotonic_ns()
        self.tell({"op": "ping", "n": number})
        while self.hear("pong")["n"] != number:
            pass

    def open(self, bot: str, generation: int = 1, **fields: Any) -> tuple[int, int]:
        """Make and hold a FIFO pair, tell logd when there is one; returns write descriptors for stdout and stderr."""
        folder = self.paths.bot_run(bot)
        folder.mkdir(parents=True, exist_ok=True)
        writers = []
        for name in ("out", "err"):
            path = folder / f"{name}-{generation}"
            os.mkfifo(path)
            self.fifos.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
            writers.append(os.open(path, os.O_WRONLY))
        self.fifos.extend(writers)
        message = {
            "op": "open", "bot": bot, "generation": generation, "dir": str(folder), "logs": self.logs,
            "ready_log": None, "user": None, "dropped": {"out": 0, "err": 0}, **fields,
        }  # fmt: skip
        self.held[bot, generation] = message | {"dropped": {"out": 0, "err": 0}}
        if self.process is not None and self.process.poll() is None:
            self.tell(message)
        return writers[0], writers[1]

    def drain(self, bot: str, generation: int = 1) -> None:
        """Ask for a drain and wait for the answer; the pair is not told to later logds any more."""
        self.tell({"op": "drain", "bot": bot, "generation": generation})
        answer = self.hear("drained")
        assert (answer["bot"], answer["generation"]) == (bot, generation)
        self.held.pop((bot, generation), None)

    def stored(self, bot: str, stream: str = "stdout") -> bytes:
        """Return all bytes of a stream in the order of its segments, compacted ones unpacked."""
        import gzip

        folder = self.paths.bot_logs(bot)
        numbers = sorted({int(p.name.split(".")[1]) for p in folder.glob(f"{stream}.*.log*") if p.suffix != ".tmp"})
        data = b""
        for number in numbers:
            raw = folder / f"{stream}.{number:06d}.log"
            try:
                data += raw.read_bytes()
            except FileNotFoundError:
                data += gzip.decompress((folder / f"{raw.name}.gz").read_bytes())
        active = folder / f"{stream}.log"
        return data + (active.read_bytes() if active.exists() else b"")

    def close(self) -> None:
        """End logd and let go of everything."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for descriptor in self.fifos:
            os.close(descriptor)
        if self._link is not None:
            self._link.close()
        self._listener.close()
