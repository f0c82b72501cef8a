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
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

MAX_CONNECTIONS = 512
REQUEST_DEADLINE_S = 10.0
KEEP_ALIVE_S = 10
END_DEADLINE_S = 0.6
"""With uvicorn's own pause of 0.1 s and the closing of files this keeps the whole end under a second."""


class PatientHttp(H11Protocol):
    """HTTP/1.1, with a deadline for the first request of a connection to arrive."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.loop.call_later(REQUEST_DEADLINE_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


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
