"""psvd's side of run/keeper.sock: requests with answers, and everything the keeper tells.

Reconnects for ever: while no keeper answers, bots go on and every request is refused with "no keeper".
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from typing import Any

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.anchor import Anchor
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import Exhausted, ProtocolError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.version import PROTOCOL

REQUEST_TIMEOUT_S = 15.0
SILENT_AFTER_S = 10.0
_RETRY_S = 0.2


class KeeperLink:
    """One connection to the keeper; `on_message` gets every line that is no answer, `on_welcome` the hello and its sockets."""

    def __init__(self, paths: FleetPaths, on_message: Callable[[dict[str, Any]], None]) -> None:
        self._run = Anchor(paths.run)  # in a moved folder a new keeper is found too
        self._on_message = on_message
        self._link: LineSocket | None = None
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._lost = asyncio.Event()
        self._pid: int | None = None
        self.last_pid: int | None = None
        self.is_new = True
        """Whether the last welcome was that of another keeper than the one before."""
        self.code = ""
        """Which copy of the package the keeper runs."""
        self._heard_mono = mono()
        self.welcome: dict[str, Any] = {}
        self.listeners: list[socket.socket] = []

    async def connect(self) -> None:
        """Connect, say hello and wait for the welcome; raises OSError or SystemRefused when no keeper answers."""
        link = LineSocket(connect_unix(f"{self._run.path}/keeper.sock", 2.0))
        reach(CrashPoint.PSVD_CONNECTED)
        link.send({"op": "hello", "role": "psvd", "pid": os.getpid(), "protocol": PROTOCOL, "code": Code.own().name})
        reach(CrashPoint.PSVD_HELLO_SAID)
        loop = asyncio.get_running_loop()
        welcomed: asyncio.Future[None] = loop.create_future()
        self._lost.clear()
        self._link = link
        self._welcomed = welcomed
        loop.add_reader(link.fileno(), self._readable)
        try:
            async with asyncio.timeout(5.0):
                await welcomed
        except TimeoutError as err:
            self._drop()
            raise SystemRefused("the keeper gives no answer") from err

    async def keep(self, on_back: Callable[[], None]) -> None:
        """Wait for the link to break and connect again, for ever; `on_back` is called after each new welcome."""
        while True:
            await self._lost.wait()
            with contextlib.suppress(OSError, SystemRefused):
                await self.connect()
                on_back()
                continue
            await asyncio.sleep(_RETRY_S)

    @property
    def pid(self) -> int | None:
        """The keeper's pid; None while there is none, or none that answers."""
        return None if self.is_silent else self._pid

    @property
    def is_silent(self) -> bool:
        """Tell whether a keeper holds its end of the link and says nothing: it is stopped, for it pings every few seconds."""
        return self._link is not None and mono() - self._heard_mono > SILENT_AFTER_S

    async def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send one request and return its answer; raises SystemRefused when the keeper is away, silent or refuses."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            self._send({"op": op, "id": number, **fields})
            reach(CrashPoint.PSVD_REQUEST_SENT)
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                result = await answer
        except TimeoutError as err:
            raise SystemRefused("the keeper gives no answer", hint="see psv status") from err
        finally:
            self._pending.pop(number, None)
        if not result.get("ok"):
            kind = Exhausted if result.get("code") == Exhausted.code else SystemRefused
            raise kind(str(result.get("message")), hint=str(result.get("hint", "")))
        return result

    def tell(self, op: str, **fields: Any) -> None:
        """Send a message that needs no answer; lost when the keeper is away."""
        with contextlib.suppress(SystemRefused):
            self._send({"op": op, **fields})

    def _send(self, message: dict[str, Any]) -> None:
        if self._link is None or not self._link.send(message):
            self._drop()
            raise SystemRefused("no keeper", hint="bots go on, but nothing is started until psv up brings a new keeper")
        if self._link.has_output:
            asyncio.get_running_loop().add_writer(self._link.fileno(), self._writable)

    def _writable(self) -> None:
        if self._link is None:
            return
        if not self._link.flush():
            self._drop()
        elif not self._link.has_output:
            asyncio.get_running_loop().remove_writer(self._link.fileno())

    def _readable(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            messages = link.receive()
        except ProtocolError:
            messages = None
        if messages is None:
            self._drop()
            return
        for message in messages:
            self._take(link, message)

    def _take(self, link: LineSocket, message: dict[str, Any]) -> None:
        op = message.get("op")
        if op == "answer":
            waiting = self._pending.get(int(message.get("id") or 0))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif op == "ping":
            link.send({"op": "pong", "n": message.get("n")})
            self._heard_mono = mono()
        elif op == "welcome":
            self.listeners = [socket.socket(fileno=fd) for fd in link.fds]
            link.fds.clear()
            self.is_new = int(message["keeper_pid"]) != self.last_pid
            self._pid = self.last_pid = int(message["keeper_pid"])
            self.welcome = message
            self.code = str(message.get("code", ""))
            self._heard_mono = mono()
            if not self._welcomed.done():
                self._welcomed.set_result(None)
        elif op == "renewed":
            self.code = str(message.get("code", ""))
        else:
            self._on_message(message)

    def _drop(self) -> None:
        link, self._link, self._pid = self._link, None, None
        if link is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(link.fileno())
            loop.remove_writer(link.fileno())
            link.close()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_result({"ok": False, "message": "no keeper", "hint": "psv up brings a new one"})
        self._lost.set()
