"""When a program counts as ready: after a time, when a port accepts, when a page answers, or when it says so by sd_notify.

Native bots say it over their link, and a match in the log is found by logd; neither needs anything here. A probe tells
once and then ends; whoever started it cancels it when the generation is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from processsupervisor.config.spec import ReadySpec
from processsupervisor.kernel.identity import ancestors_of
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import reading_path
from processsupervisor.observe.redact import redact
from processsupervisor.process.reach import accept, answer

_PROBE_TIMEOUT_S = 2.0
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.5


async def _until(probe: Callable[[], Awaitable[None]]) -> None:
    """Return when `probe` has raised nothing for the first time."""
    wait_s = _FIRST_WAIT_S
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await probe()
                return
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)


def goal_of(ready: ReadySpec) -> str:
    """Return what a bot that is STARTING waits for, in words; an address without a password in it."""
    match ready["kind"]:
        case "log":
            return f"a line of its output that matches {ready['value']}"
        case "tcp":
            return f"port {ready['value']} of 127.0.0.1 to accept"
        case "http":
            return redact(f"{ready['value']} to answer 2xx or 3xx")
        case "notify":
            return "READY=1 by sd_notify"
        case "after":
            return f"it to have run for {float(ready['value'] or 0.0):g} s"
    return "it to say that it is ready"


def too_late(ready: ReadySpec, timeout_s: float) -> str:
    """Return why a start was given up."""
    return f"not ready within {timeout_s:g} s: waited for {goal_of(ready)}"


class NotifySocket:
    """Receives READY=1 of one program by sd_notify(3), at an abstract address that fits however deep the folder lies."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.address = f"@psv-notify-{secrets.token_hex(16)}"
        self._socket.bind("\0" + self.address[1:])
        self._said: set[int] = set()  # who was not believed, and all above it: it may turn out to be the bot (handle.on_status)

    async def said(self, pid: int) -> None:
        """Return when the process `pid`, or one below it, has sent READY=1."""
        if pid in self._said:
            return
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._socket.fileno(), readable.set)
        try:
            await self._first_ready(pid, readable)
        finally:
            loop.remove_reader(self._socket.fileno())

    async def _first_ready(self, pid: int, readable: asyncio.Event) -> None:
        while True:
            await readable.wait()
            readable.clear()
            data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            sender = next((int.from_bytes(p[:4], "little") for _, kind, p in ancillary if kind == socket.SCM_CREDENTIALS), -1)
            if b"READY=1" in data.split(b"\n"):
                line = {sender, *ancestors_of(sender)}
                if pid in line:
                    return
                self._said = line

    def close(self) -> None:
        """Give the address back."""
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())


class Readiness:
    """The probe of one generation at a time; `on_ready` is called at most once for each `watch`.

    A program that waits for its values has not begun, however long its process runs.
    """

    def __init__(self, paths: FleetPaths, bot: str) -> None:
        self._reading = reading_path(paths, bot)
        self._task: asyncio.Task[None] | None = None
        self._notify: NotifySocket | None = None

    def open_address(self, ready: ReadySpec) -> str | None:
        """Return the address for NOTIFY_SOCKET when the program is to speak sd_notify, else None."""
        if ready["kind"] != "notify":
            return None
        self._notify = NotifySocket()
        return self._notify.address

    def watch(self, ready: ReadySpec, pid: int, on_ready: Callable[[], None], age_s: float = 0.0) -> None:
        """Begin to probe the process `pid`, which has run for `age_s` unwatched, as its `ready` table says; no other any more."""
        if self._task is not None:
            self._task.cancel()
        probe = self._probe(ready, pid, age_s)
        if probe is None:
            return
        task = asyncio.get_running_loop().create_task(probe)
        self._task = task
        task.add_done_callback(lambda done: self._on_done(done, on_ready))

    def _probe(self, ready: ReadySpec, pid: int, age_s: float) -> Coroutine[Any, Any, None] | None:
        value = ready.get("value")
        match ready["kind"]:
            case "after":
                return self._after(float(value or 0.0), age_s)
            case "tcp":
                return _until(lambda: accept(int(value or 0)))
            case "http":
                return _until(lambda: answer(str(value)))
            case "notify" if self._notify is not None:
                return self._notify.said(pid)
        return None

    async def _after(self, wanted_s: float, age_s: float) -> None:
        if self._reading.exists():
            await _until(self._has_begun)
            age_s = 0.0
        await asyncio.sleep(max(0.0, wanted_s - age_s))

    async def _has_begun(self) -> None:
        if self._reading.exists():
            raise FileExistsError

    def _on_done(self, done: asyncio.Task[None], on_ready: Callable[[], None]) -> None:
        if done is self._task and not done.cancelled() and done.exception() is None:
            on_ready()

    def close(self) -> None:
        """End the probe; the generation is over."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._notify is not None:
            self._notify.close()
            self._notify = None
