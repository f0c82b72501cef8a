"""logd's connection to the keeper: tried again with jitter while there is none, written without waiting.

Says hello by itself; what the keeper's messages mean is logd's business. After a cut the keeper repeats all it knows.
"""

from __future__ import annotations

import os
import random
import select
import socket
from typing import Any

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.anchor import Anchor
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.observe.logging import log
from processsupervisor.version import PROTOCOL

_RETRY_FROM_S, _RETRY_TO_S = 0.05, 1.0


class KeeperLink:
    """At most one connection, registered with the owner's epoll."""

    def __init__(self, paths: FleetPaths, epoll: select.epoll) -> None:
        self._run = Anchor(paths.run)  # in a moved folder a new keeper is found too
        self._epoll = epoll
        self._lines: LineSocket | None = None
        self._retry_s = _RETRY_FROM_S
        self.connect_at: float | None = mono()
        """Monotonic time of the next try; None while connected."""

    @property
    def descriptor(self) -> int:
        """Return the connection's descriptor, -1 without one."""
        return self._lines.fileno() if self._lines is not None else -1

    def connect(self) -> None:
        """Try once; on failure `connect_at` says when to try again."""
        self._retry_s = min(_RETRY_TO_S, self._retry_s * 2)
        self.connect_at = mono() + random.uniform(_RETRY_FROM_S, self._retry_s)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(f"{self._run.path}/keeper.sock")
        except OSError:  # a full backlog (EAGAIN) included
            connection.close()
            return
        self._lines = LineSocket(connection)
        self.connect_at, self._retry_s = None, _RETRY_FROM_S
        self._epoll.register(self._lines.fileno(), select.EPOLLIN)
        self.tell({"op": "hello", "role": "logd", "pid": os.getpid(), "protocol": PROTOCOL, "code": Code.own().name})

    def serve(self, events: int) -> list[dict[str, Any]]:
        """Handle what epoll reported; returns the messages that came."""
        lines = self._lines
        if lines is None:
            return []
        try:
            messages = lines.receive() if events & ~select.EPOLLOUT else []
        except ProtocolError as err:
            log.warning("link to the keeper cut", error=err.message)
            messages = None
        if messages is None or not lines.flush():
            self._cut()
        else:
            self._watch()
        return messages or []

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message; without a keeper it is dropped, since the next keeper asks anew."""
        if self._lines is not None:
            if self._lines.send(message):
                self._watch()
            else:
                self._cut()

    def _watch(self) -> None:
        if self._lines is not None:
            wanted = select.EPOLLIN | (select.EPOLLOUT if self._lines.has_output else 0)
            self._epoll.modify(self._lines.fileno(), wanted)

    def _cut(self) -> None:
        if self._lines is not None:
            self._epoll.unregister(self._lines.fileno())
            self._lines.close()
            self._lines = None
            self.connect_at = mono() + random.uniform(0.0, _RETRY_FROM_S)
