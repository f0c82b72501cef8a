"""JSON lines over a non-blocking unix stream socket, with descriptors beside, for loops without asyncio.

Used by the keeper (which must stay tiny) and by whoever sits in a plain select loop. A line is one JSON object of at most
MAX_LINE_BYTES. What is to be sent waits in a bounded buffer: a peer that does not read is cut off, never waited for.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import sys
from typing import Any

from processsupervisor.kernel.errors import ProtocolError

MAX_LINE_BYTES = 1 << 20
MAX_OUTGOING_BYTES = 8 << 20
_MAX_FDS = 16


class LineSocket:
    """One connection: `receive` gives whole objects, `send` queues one, `flush` writes what the peer takes."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.fds: list[int] = []
        """Descriptors received and not yet taken; the owner takes or closes them."""
        self.is_broken = False
        """Whether the peer is known to have gone. What it sent before can still be read; then comes the end of file."""
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def peer_pid(self) -> int:
        """Return the pid of the process at the other end when it connected; 0 when the kernel does not say."""
        try:
            credentials = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except (OSError, AttributeError):
            return 0
        return int.from_bytes(credentials[:4], sys.byteorder)

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self.socket.fileno()

    @property
    def has_output(self) -> bool:
        """Tell whether something waits to be written."""
        return bool(self._outgoing)

    def receive(self) -> list[dict[str, Any]] | None:
        """Return the objects that are whole now; None at end of file. Raises ProtocolError for anything else than objects."""
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except InterruptedError:
                continue
            except OSError:
                return None
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received = array.array("i")
                    received.frombytes(payload[: len(payload) - len(payload) % 4])
                    self.fds.extend(received)
            if not data:
                return None
            self._incoming += data
            if len(data) < 65536:
                break
        return self._take_lines()

    def _take_lines(self) -> list[dict[str, Any]]:
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        if len(self._incoming) > MAX_LINE_BYTES:
            raise ProtocolError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        objects = []
        for line in lines:
            if not line:
                continue
            try:
                value = json.loads(line)
            except ValueError as err:
                raise ProtocolError("a line is not JSON") from err
            if not isinstance(value, dict):
                raise ProtocolError("a line is not a JSON object")
            objects.append(value)
        return objects

    def send(self, value: dict[str, Any], fds: tuple[int, ...] = ()) -> bool:
        """Send one object; False when the peer is gone or has stopped reading. With `fds` nothing may be queued before it."""
        data = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        if fds:
            try:
                sent = socket.send_fds(self.socket, [data], list(fds))
            except OSError:
                return self._break()
            self._outgoing += data[sent:]
            return True
        if len(self._outgoing) + len(data) > MAX_OUTGOING_BYTES:
            return False
        self._outgoing += data
        return self.flush()

    def flush(self) -> bool:
        """Write what the peer takes now; False when it is gone."""
        while self._outgoing:
            try:
                sent = self.socket.send(self._outgoing)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                return self._break()
            del self._outgoing[:sent]
        return True

    def _break(self) -> bool:
        self.is_broken = True
        self._outgoing.clear()
        return False

    def carry(self) -> dict[str, Any]:
        """Return what `carried` needs to go on with this connection in the program that this process becomes."""
        return {"fd": self.fileno(), "incoming": self._incoming.decode("latin-1"), "outgoing": self._outgoing.decode("latin-1")}

    @classmethod
    def carried(cls, facts: dict[str, Any]) -> LineSocket:
        """Go on with a connection that came through an exec."""
        link = cls(socket.socket(fileno=int(facts["fd"])))
        link._incoming += str(facts["incoming"]).encode("latin-1")
        link._outgoing += str(facts["outgoing"]).encode("latin-1")
        return link

    def close(self) -> None:
        """Close the connection and every descriptor nobody took."""
        for descriptor in self.fds:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.fds.clear()
        self.socket.close()
