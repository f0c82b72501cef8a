"""LineChat, a network of JSON lines over TCP, as a connector.

    [bots.anna.networks.linechat]
    host = "chat.example.org"
    port = 7000
    token = "secret:linechat"

One connection: `hello` with the token, then messages come and are acknowledged by their number, and what is sent is answered by its
key. A connection that ends is made anew; messages that were not acknowledged come again then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError, Port, Receipt, check_incoming
from processsupervisor.connectors.lacking import worded
from processsupervisor.kernel.errors import ConfigError, PsvError
from processsupervisor.storage.records import Attachment, Incoming, Outgoing, Place

NETWORK = "linechat"
ANSWER_S = 10.0
AGAIN_S = 0.2
MAX_AGAIN_S = 30.0
MAX_LINE_BYTES = 1 << 20  # a line that cannot be read cannot be acknowledged, and would come for ever
_KINDS = {
    "token": ErrorKind.AUTH, "conflict": ErrorKind.CONFLICT, "busy": ErrorKind.RATE, "broken": ErrorKind.TRANSIENT,
    "refused": ErrorKind.PERMANENT, "blocked": ErrorKind.GONE, "moved": ErrorKind.GONE,
}  # fmt: skip


def make(settings: Mapping[str, Any], name: str, folder: Path) -> LineChat:
    """Return the connector of one bot. Raises ConfigError when a setting is missing."""
    missing = [key for key in ("host", "port", "token") if not settings.get(key)]
    if missing:
        raise ConfigError(f"networks.{NETWORK} has no {', '.join(missing)}")
    return LineChat(str(settings["host"]), int(settings["port"]), str(settings["token"]))


class LineChat:
    """Serves one bot at one server."""

    network = NETWORK
    has_network = True
    is_pulled = False
    capabilities = Capabilities(takes_key=True, max_text_chars=4000)

    def __init__(self, host: str, port: int, token: str) -> None:
        self._address = host, port
        self._token = token
        self._port: Port | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def identify(self) -> Identity:
        """Ask who the token is of, on a connection that receives nothing."""
        _, writer, welcome = await self._dial(receives=False)
        writer.close()
        return Identity(welcome["id"], welcome["name"])

    async def open(self, port: Port) -> None:
        """Receive from now on."""
        self._port = port
        self._keeping = asyncio.get_running_loop().create_task(self._keep(port))

    async def _dial(self, *, receives: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]:
        """Connect and say hello. Raises NetworkError, which never holds the token."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(*self._address, limit=MAX_LINE_BYTES)
                writer.write(_line({"op": "hello", "token": self._token, "receives": receives}))
                welcome = json.loads(await reader.readline())
        except (OSError, ValueError, TimeoutError) as err:
            raise NetworkError(ErrorKind.TRANSIENT, f"{NETWORK}: no answer from {self._address[0]}") from err
        if welcome["op"] != "welcome":
            writer.close()
            raise _error(welcome)
        return reader, writer, welcome

    async def _keep(self, port: Port) -> None:
        """Hold a connection until the server refuses the bot for good."""
        wait_s = AGAIN_S
        while True:
            try:
                await self._receive(port)
                wait_s = AGAIN_S
            except NetworkError as err:
                if err.kind in (ErrorKind.AUTH, ErrorKind.CONFLICT):
                    port.end(err)
                    return
            except (OSError, ValueError):
                pass
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, MAX_AGAIN_S)

    async def _receive(self, port: Port) -> None:
        reader, writer, _ = await self._dial(receives=True)
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()  # the server sends no more than 100 that are not acknowledged
        handing = asyncio.get_running_loop().create_task(self._hand_over(port, messages, writer))
        self._writer = writer
        self._connected.set()
        try:
            port.prove(NETWORK)
            while line := await reader.readline():
                port.prove(NETWORK)
                self._take(json.loads(line), messages)
        finally:
            self._connected.clear()
            handing.cancel()
            writer.close()
            cut = NetworkError(ErrorKind.TRANSIENT, f"{NETWORK}: the connection ended before the answer", is_uncertain=True)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(cut)

    def _take(self, line: dict[str, Any], messages: asyncio.Queue[dict[str, Any]]) -> None:
        if line["op"] == "message":
            messages.put_nowait(line)
        elif line["op"] == "denied":
            raise _error(line)
        elif (answer := self._answers.get(line.get("key", ""))) is not None and not answer.done():
            answer.set_result(line)

    async def _hand_over(self, port: Port, messages: asyncio.Queue[dict[str, Any]], writer: asyncio.StreamWriter) -> None:
        """Commit messages in their order; one that cannot be taken now is tried until it can, and only then acknowledged."""
        while True:
            line = await messages.get()
            incoming = Incoming(Place(NETWORK, line["room"]), line["id"], line["sender"], line["text"])
            while not await _is_committed(port, incoming):
                await asyncio.sleep(AGAIN_S)
            writer.write(_line({"op": "ack", "number": line["number"]}))

    async def send(self, out: Outgoing) -> Receipt:
        """Send a row under its id, which the server takes for a key; what LineChat lacks is said in words. Raises NetworkError."""
        if self._port is None:
            raise NetworkError(ErrorKind.TRANSIENT, f"{NETWORK}: not connected")
        out = worded(out, self.capabilities)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        is_written = False
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._connected.wait()
                assert self._writer is not None
                self._answers[out.id] = answer
                self._writer.write(_line({"op": "send", "key": out.id, "room": out.place.conversation, "text": out.text}))
                is_written = True
                line = await answer
        except TimeoutError as err:
            raise NetworkError(ErrorKind.TRANSIENT, f"{NETWORK}: no answer to a message", is_uncertain=is_written) from err
        finally:
            self._answers.pop(out.id, None)
        if line["op"] != "sent":
            raise _error(line)
        return Receipt(line["id"])

    def publish(self, out: Outgoing) -> None:
        """Show no drafts: the network has none."""

    async def typing(self, place: Place) -> None:
        """Do nothing: the network cannot show it."""

    async def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Refuse: no files come in."""
        raise NetworkError(ErrorKind.PERMANENT, f"{NETWORK} has no files")
        yield b""  # makes this an iterator

    async def close(self) -> None:
        """Take and send nothing any more."""
        self._port = None
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait((keeping,))


async def _is_committed(port: Port, incoming: Incoming) -> bool:
    try:
        check_incoming(incoming.place, incoming.id, incoming.text)
    except PsvError:
        return True  # nobody can ever take it: it must not come again
    try:
        await port.accept(incoming)
    except PsvError:
        return False
    return True


def _error(line: dict[str, Any]) -> NetworkError:
    kind = str(line.get("kind"))
    return NetworkError(
        _KINDS.get(kind, ErrorKind.TRANSIENT), f"{NETWORK}: {kind}", retry_after_s=line.get("retry_after"), moved_to=line.get("moved_to")
    )


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
