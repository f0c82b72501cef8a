"""The bot's own socket run/bots/NAME/web.sock: JSON lines for the web process and any local client.

Here are binding and the list of readers; one connection's protocol is in websession.py. The bot is the only one that may
run under its name (its lock says so), so a socket file left there is stale and is replaced in one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from processsupervisor.connectors.base import Connector, Port, Posted
from processsupervisor.connectors.pulled import Pulled
from processsupervisor.connectors.websession import NETWORK, WebSession
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.paths import short_socket_path
from processsupervisor.storage.records import Outgoing, Place

MAX_CONNECTIONS = 64
_BACKLOG = 128


class WebConnector(Pulled):
    """Serves one bot at `path`; every client of the machine user may connect, at most 64 at a time."""

    network = NETWORK

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._server: asyncio.AbstractServer | None = None
        self._port: Port | None = None
        self._inode = 0
        self.posted: dict[str, Posted] = {}
        """The bot's other connectors whose networks post to the web process, by network."""
        self.sessions: set[WebSession] = set()
        self._readers: defaultdict[str, set[WebSession]] = defaultdict(set)

    async def open(self, port: Port) -> None:
        """Bind and serve. Raises SystemRefused when the folder cannot take a socket."""
        self._port = port
        try:
            listener = self._bind()
        except OSError as err:
            raise SystemRefused(f"cannot serve {self._path}: {err.strerror}") from err
        try:
            self._server = await asyncio.get_running_loop().create_unix_server(self._new_session, sock=listener, backlog=_BACKLOG)
        except BaseException:
            listener.close()
            raise

    def _bind(self) -> socket.socket:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        folder = os.open(fresh.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if hasattr(os, "O_PATH") else -1
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            os.fchmod(listener.fileno(), 0o600)  # before bind: the file is private from its first moment (Linux)
            listener.bind(short_socket_path(fresh, folder if folder >= 0 else None))
            fresh.chmod(0o600)
            listener.listen(_BACKLOG)
            self._inode = fresh.stat().st_ino
            fresh.replace(self._path)
        except BaseException:
            listener.close()
            raise
        finally:
            if folder >= 0:
                os.close(folder)
        return listener

    def _new_session(self) -> WebSession:
        assert self._port is not None
        return WebSession(self, self._port)

    def admit(self, session: WebSession) -> bool:
        """Take a connection in; False when there are too many."""
        if len(self.sessions) >= MAX_CONNECTIONS:
            return False
        self.sessions.add(session)
        return True

    def subscribe(self, session: WebSession, conversation: str) -> None:
        """Send everything of a conversation to a session from now on."""
        self._readers[conversation].add(session)

    def forget(self, session: WebSession) -> None:
        """Drop a closed session."""
        self.sessions.discard(session)
        for conversation in session.conversations:
            readers = self._readers.get(conversation)
            if readers is not None:
                readers.discard(session)
                if not readers:
                    del self._readers[conversation]

    def publish(self, out: Outgoing) -> None:
        """Hand a row or draft to the sessions that read its conversation."""
        if not self.is_news(out):
            return
        readers = self._readers.get(out.place.conversation)
        if readers:
            for session in tuple(readers):
                session.publish(out)

    def unanswered(self, place: Place, message_id: str) -> None:
        """Tell the readers of a conversation that a message was handled and has no reply."""
        for session in tuple(self._readers.get(place.conversation, ())):
            session.unanswered(message_id)

    async def close(self) -> None:
        """Stop listening, close every connection, remove the socket if it is still ours."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for session in tuple(self.sessions):
            session.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def hook_up(connectors: Sequence[Connector]) -> None:
    """Let the web connector of a bot hand what the web process was posted to the connectors whose networks do so."""
    # By the attribute: an isinstance against a protocol walks all of its class and costs each bot a tenth of a megabyte.
    posted = {connector.network: cast(Posted, connector) for connector in connectors if hasattr(connector, "take")}
    for connector in connectors:
        if isinstance(connector, WebConnector):
            connector.posted = posted
