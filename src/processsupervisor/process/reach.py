"""Whether something answers at a port or an address: one try, without a deadline of its own.

Used until a program is ready (readiness.py) and again and again while it runs (health/).
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

_LEAST_REFUSED = 400


class NoAnswer(OSError):
    """Something is there and does not answer as it should."""


async def accept(port: int, host: str = "127.0.0.1") -> None:
    """Connect to `port`; raises OSError when nothing accepts."""
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def answer(url: str) -> None:
    """GET `url`; raises OSError when nothing is there, NoAnswer for a status of 400 and above, or for no HTTP at all."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    host, port = parts.hostname or "127.0.0.1", parts.port or (443 if is_secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    reader, writer = await asyncio.open_connection(host, port, ssl=True if is_secure else None)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: psv\r\n\r\n".encode())
        status = (await _first_line(reader)).split()
    finally:
        writer.close()
    if len(status) < 2 or not status[1].isdigit():
        raise NoAnswer("no HTTP answer" if status else "closed without an answer")
    if int(status[1]) >= _LEAST_REFUSED:
        raise NoAnswer(f"status {int(status[1])}")


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as err:  # a line longer than the reader's limit
        raise NoAnswer("no HTTP answer") from err
