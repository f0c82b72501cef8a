"""A double of Telegram's Bot API on a loopback port, just enough for a client to poll, and the ear of the benchmarks.

It tells when a bot is ready: the moment its first getUpdates arrives on a new connection, by the token in the path. Long polls are
held, so an idle bot costs nothing. One thread with a loop of its own; nothing here is a part of what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from types import TracebackType

_REQUEST = re.compile(rb"^(?:GET|POST) /bot([^/]+)/(\w+)")
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_HOLD_S = 600.0


class BotApi:
    """Listens from `with` on; `arrivals[token]` are the monotonic times at which new connections of that bot began to poll."""

    def __init__(self) -> None:
        self.url = ""
        self.arrivals: dict[str, list[float]] = {}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="botapi", daemon=True)

    def __enter__(self) -> BotApi:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512), self._loop).result(10)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def forget(self) -> None:
        """Drop all arrivals: a new run begins."""
        with self._changed:
            self.arrivals.clear()

    def wait_for_tokens(self, tokens: list[str], timeout_s: float) -> float:
        """Wait until every token has polled; return the monotonic time of the last first poll. TimeoutError names how many lack."""
        with self._changed:
            if not self._changed.wait_for(lambda: all(t in self.arrivals for t in tokens), timeout_s):
                raise TimeoutError(f"{sum(t not in self.arrivals for t in tokens)} of {len(tokens)} bots never polled")
            return max(self.arrivals[t][0] for t in tokens)

    def wait_for_arrival(self, token: str, count: int, timeout_s: float) -> float:
        """Wait for the `count`-th connection of `token` that polls; return its monotonic time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.arrivals.get(token, ())) >= count, timeout_s):
                raise TimeoutError("no successor polled")
            return self.arrivals[token][count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        polled = False
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = _REQUEST.match(head)
                length = _LENGTH.search(head)
                await reader.readexactly(int(length.group(1)) if length else 0)
                if request is None:
                    break
                token, method = request.group(1).decode(), request.group(2).decode()
                if method == "getUpdates":
                    if not polled:
                        polled = True
                        self._arrived(token)
                    await asyncio.wait_for(reader.read(1), _HOLD_S)
                    break
                _answer(writer, token, method)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _arrived(self, token: str) -> None:
        now = time.monotonic()
        with self._changed:
            self.arrivals.setdefault(token, []).append(now)
            self._changed.notify_all()


def _answer(writer: asyncio.StreamWriter, token: str, method: str) -> None:
    result: object = True
    if method == "getMe":
        number = int(token.partition(":")[0])
        result = {"id": number, "is_bot": True, "first_name": "bench", "username": f"bench{number}_bot"}
    body = json.dumps({"ok": True, "result": result}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
