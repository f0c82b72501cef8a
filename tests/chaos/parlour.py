"""A network that takes keys, for the runs with messages in flight: its connector, which runs in the bot. The network itself is in parlourlane.py.

Copied into the fleet's folder with an entry point, so that it is found as an installed package's connector is. Speaks JSON lines: messages come
with a number and are acknowledged when they are committed; a send names its key and waits for the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError, Port, Receipt
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.records import Attachment, Incoming, Outgoing, Place

AGAIN_S = 0.2


def make(settings: Mapping[str, Any], name: str, folder: Path) -> Parlour:
    """Return the connector to the socket that `settings` names."""
    return Parlour(str(settings["socket"]))


class Parlour:
    """The connector."""

    network = "parlour"
    has_network = True
    is_pulled = False
    capabilities = Capabilities(takes_key=True)

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._calls: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)

    async def identify(self) -> Identity:
        return Identity("1", "parlour-bot")

    async def open(self, port: Port) -> None:
        self._task = asyncio.create_task(self._run(port))

    async def _run(self, port: Port) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                while line := await reader.readline():
                    port.prove(self.network)
                    self._take(port, json.loads(line))
            self._writer = None
            self._drop()
            await asyncio.sleep(AGAIN_S)

    def _take(self, port: Port, line: dict[str, Any]) -> None:
        if "sent" in line:
            future = self._calls.pop(line["sent"], None)
            if future is not None and not future.done():
                future.set_result(str(line["network_id"]))
            return
        incoming = Incoming(Place(self.network, line["conversation"]), line["id"], line["conversation"], line["text"])
        try:
            accepted = port.accept(incoming)
        except PsvError:
            self._connect_again()
            return
        accepted.add_done_callback(lambda done: self._acknowledge(line["id"], done))

    def _acknowledge(self, message_id: str, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._connect_again()
        else:
            self._write({"acknowledge": message_id})

    def _connect_again(self) -> None:
        """What the bot cannot take now comes again with the next connection."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(line).encode() + b"\n")

    def _drop(self) -> None:
        calls, self._calls = self._calls, {}
        for future in calls.values():
            if not future.done():
                future.set_exception(NetworkError(ErrorKind.TRANSIENT, "parlour: the connection ended", is_uncertain=True))

    def publish(self, out: Outgoing) -> None:
        """Nothing: drafts are not shown there."""

    async def send(self, out: Outgoing) -> Receipt:
        if self._writer is None:
            raise NetworkError(ErrorKind.TRANSIENT, "parlour: not connected")
        number = next(self._numbers)
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        self._write({"send": number, "key": out.id, "conversation": out.place.conversation, "text": out.text})
        return Receipt(await future)

    async def typing(self, place: Place) -> None:
        """Nothing."""

    async def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        raise NetworkError(ErrorKind.PERMANENT, "parlour: there are no files")
        yield b""

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
