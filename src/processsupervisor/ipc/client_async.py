"""The asyncio client of psvd's control socket, for the web process.

One connection a call: calls are rare there, and a stream never holds up a call. Every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import MAX_LINE_BYTES
from processsupervisor.kernel.errors import NoSupervisor, ProtocolError, PsvError, from_wire
from processsupervisor.kernel.paths import FleetPaths


async def open_unix(path: Any, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a unix socket of any path length.

    The connect itself is made non-blocking by hand and outside asyncio, which takes EAGAIN on a full backlog for success.
    """
    client = connect_unix(path, timeout_s)
    client.setblocking(False)
    return await asyncio.open_unix_connection(sock=client, limit=MAX_LINE_BYTES)


class AsyncControlClient:
    """Calls operations of psvd; holds no connection between calls."""

    def __init__(self, paths: FleetPaths, timeout_s: float = 10.0) -> None:
        self._paths = paths
        self._timeout_s = timeout_s

    async def call(self, op: str, args: dict[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        """Return the result of one operation; raises NoSupervisor or the PsvError answered."""
        async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
            async for event, result in self._exchange(op, args):
                if event is None:
                    return result
        raise ProtocolError("the supervisor ended a call without an answer")

    async def stream(self, op: str, args: dict[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of an operation until it ends; there is no deadline between events."""
        async for event, _ in self._exchange(op, args):
            if event is not None:
                yield event

    async def _exchange(self, op: str, args: dict[str, Any] | None) -> AsyncIterator[tuple[dict[str, Any] | None, Any]]:
        try:
            reader, writer = await open_unix(self._paths.socket("psv"), 2.0)
        except OSError as err:
            raise NoSupervisor(f"no supervisor runs for {self._paths.folder}") from err
        try:
            writer.write(json.dumps({"id": 1, "op": op, "args": args or {}}).encode() + b"\n")
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise NoSupervisor("the supervisor ended before it answered")
                answer = json.loads(line)
                if "event" in answer:
                    yield answer["event"], None
                elif answer.get("ok"):
                    yield None, answer.get("result")
                    return
                else:
                    raise from_wire(answer.get("error") or {})
        except (OSError, ValueError) as err:
            raise PsvError("the connection to the supervisor broke") from err
        finally:
            writer.close()
