"""The keeper's connections: accept, read whole lines, write what the peer takes, drop whoever breaks the rules.

What a line means is the keeper's business; this only moves lines. Standard library only.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from typing import Any

from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.process.groundwork import OwnLog


class Links:
    """All connections of run/keeper.sock; `on_message(link, line)` for each line, `on_lost(link)` once when one ends."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        log: OwnLog,
        on_message: Callable[[LineSocket, dict[str, Any]], None],
        on_lost: Callable[[LineSocket], None],
    ) -> None:
        self._selector = selector
        self._log = log
        self._on_message = on_message
        self._on_lost = on_lost
        self._links: dict[int, LineSocket] = {}

    def accept(self, listener: socket.socket) -> None:
        """Take the next connection."""
        with contextlib.suppress(OSError):  # the peer is gone again, or descriptors ran out: it comes back
            connection, _ = listener.accept()
            self.adopt(LineSocket(connection))

    def adopt(self, link: LineSocket) -> None:
        """Serve a connection that exists already."""
        self._links[link.fileno()] = link
        self._selector.register(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_output else 0))

    def serve(self, descriptor: int, mask: int) -> None:
        """Do what a descriptor is ready for; a descriptor that was dropped meanwhile is passed over."""
        link = self._links.get(descriptor)
        if link is None:
            return
        if mask & selectors.EVENT_WRITE:
            link.flush()  # if the peer has gone, what it said before is still read
        if mask & selectors.EVENT_READ or link.is_broken:
            try:
                messages = link.receive()
            except ProtocolError as err:
                self._log.write("link cut", error=err.message)
                messages = None
            if messages is None:
                self.drop(link)
                return
            for message in messages:
                try:
                    self._on_message(link, message)
                except (KeyError, TypeError, ValueError) as err:
                    self._log.write("link cut", error=f"a line lacks what it needs: {err!r}")
                    self.drop(link)
                    return
        if self._links.get(descriptor) is link:
            self._watch(link)

    def send(self, link: LineSocket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send one line; a peer that has stopped reading is dropped, one that is gone when what it said before has been read."""
        if link.send(message, fds) or link.is_broken:
            self._watch(link)
        else:
            self.drop(link)

    def drop(self, link: LineSocket) -> None:
        """End a connection; dropping it twice does nothing."""
        if self._links.pop(link.fileno(), None) is None:
            return
        self._selector.unregister(link)
        self._on_lost(link)
        link.close()

    def _watch(self, link: LineSocket) -> None:
        self._selector.modify(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_output else 0))
