"""uvicorn as this process needs it: no ticking while idle, an end within a second, no silent half-open requests.

Signals belong to main; uvicorn's own handling would end the process by the signal instead of with status 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import Server

MAX_CONNECTIONS = 512
REQUEST_DEADLINE_S = 10.0
KEEP_ALIVE_S = 10
MAX_SURPLUS_BYTES = 1 << 20
END_DEADLINE_S = 0.6
"""With uvicorn's own pause of 0.1 s and the closing of files this keeps the whole end under a second."""


class PatientHttp(H11Protocol):
    """HTTP/1.1 with limits: a deadline for the first request of a connection, and an end to a body that was refused.

    uvicorn reads and drops what comes after the answer without a limit. It has to read some, because a close with unread
    bytes resets the connection and the client would lose the answer.
    """

    _surplus_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.loop.call_later(REQUEST_DEADLINE_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and count those of a body that was answered already."""
        super().data_received(data)
        if not self._is_surplus(self.cycle):
            self._surplus_bytes = 0
            return
        if self._surplus_bytes == 0:
            self.loop.call_later(REQUEST_DEADLINE_S, self._close_if_surplus, self.cycle)
        self._surplus_bytes += len(data)
        if self._surplus_bytes > MAX_SURPLUS_BYTES:
            self.transport.close()

    def _close_if_surplus(self, cycle: RequestResponseCycle) -> None:
        if self._is_surplus(cycle):
            self.transport.close()

    def _is_surplus(self, cycle: RequestResponseCycle | None) -> bool:
        # The states of h11 (uvicorn's library, not ours to import) are named by their repr.
        return cycle is not None and cycle is self.cycle and cycle.response_complete and repr(self.conn.their_state) == "SEND_BODY"


class WebServer(Server):
    """Serves `app` on one socket until `stop` is called."""

    def __init__(self, app: ASGIApp, on_stop: Callable[[], None]) -> None:
        super().__init__(
            Config(
                app,
                http=PatientHttp,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,  # addresses hold conversation names
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._on_stop = on_stop
        self._ended = asyncio.Event()

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until stopped."""
        await self.serve(sockets=[listener])

    def stop(self) -> None:
        """End all streams, then the server; what is not done after END_DEADLINE_S is cut off."""
        self._on_stop()
        self.should_exit = True
        self._ended.set()
        asyncio.get_running_loop().call_later(END_DEADLINE_S, self._force)

    def _force(self) -> None:
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop would wake ten times a second for ever."""
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to main."""
        yield
