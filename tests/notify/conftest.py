"""Servers of the tests: real ones on ports of their own, that note what they get and answer as they are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.supervisor.conftest import fleet
from tests.supervisor.live import eventually

__all__ = ["fleet"]


class Receiver:
    """An HTTP server. `status`, `headers` and `body` are its next answers; while `gate` is not set, nobody is answered."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, dict[str, str](), b""
        self.gate = threading.Event()
        self.gate.set()
        self.got: list[tuple[str, str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(("POST", self.path, json.loads(content)))
                self._answer()

            def do_GET(self) -> None:
                receiver.got.append(("GET", self.path, None))
                self._answer()

            def _answer(self) -> None:
                receiver.gate.wait(30)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.body)))
                self.end_headers()
                self.wfile.write(receiver.body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that was killed is none."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def messages(self, cause: str | None = None, path: str = "/hook") -> list[dict[str, Any]]:
        """Return the messages that came, of one cause."""
        return [body for method, at, body in self.got if method == "POST" and at == path and cause in (None, body["cause"])]

    def until(self, cause: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many messages of a cause came."""
        return list(eventually(lambda: found if len(found := self.messages(cause)) >= count else None, f"{count} of {cause}; got {self.got}"))

    def close(self) -> None:
        """End the server."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes everything."""
    made = Receiver()
    yield made
    made.close()
