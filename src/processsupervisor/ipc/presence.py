"""A process of our own shows who it is and that it lives: a signed lock for life, hello to the keeper, a pong for every ping.

For the roles that want nothing else of the keeper (web, notify, zygotes). Without a keeper there is no presence, and nothing is
tried again: psvd replaces these processes when a new keeper comes. Standard library only.
"""

from __future__ import annotations

import json
import os
import time

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.errors import LockHeld, ProtocolError
from processsupervisor.kernel.files import hold_role_lock
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.version import PROTOCOL

_LOCK_WAIT_S = 3.0
"""A predecessor that was asked to end is gone within a few seconds."""


def take_role_lock(paths: FleetPaths, role: str) -> int:
    """Take the lock of `role` for life and return its descriptor; raises LockHeld when somebody else goes on holding it."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    identity = Identity.of(os.getpid())  # so that whoever must end a process that nobody talks to any more knows it for certain
    while True:
        try:
            return hold_role_lock(paths.role_lock(role), json.dumps(identity.to_json() if identity else {}))
        except LockHeld:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


class Presence:
    """One connection to run/keeper.sock; its owner calls `serve` whenever `fileno` is readable."""

    def __init__(self, paths: FleetPaths, role: str) -> None:
        self._link: LineSocket | None = None
        try:
            self._link = LineSocket(connect_unix(paths.socket("keeper"), 2.0))
        except OSError:
            return
        self._link.send({"op": "hello", "role": role, "pid": os.getpid(), "protocol": PROTOCOL, "code": Code.own().name})

    def fileno(self) -> int:
        """Return the descriptor to watch; -1 without a connection."""
        return self._link.fileno() if self._link is not None else -1

    def serve(self) -> bool:
        """Answer what came; False when the connection has ended (its descriptor is to be forgotten before the next call)."""
        if self._link is None:
            return False
        try:
            messages = self._link.receive()
        except ProtocolError:
            messages = None
        return messages is not None and all(self._link.send({"op": "pong", "n": m.get("n")}) for m in messages if m.get("op") == "ping")

    def close(self) -> None:
        """End the connection; doing it twice does nothing."""
        if self._link is not None:
            self._link.close()
            self._link = None
