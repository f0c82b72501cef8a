"""One life of a bot at a network in memory: brings it what people say, shows them what it answers.

`cut` is the death of the process: nothing reaches the bot or the network any more, whatever its tasks still do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from processsupervisor.connectors.base import Capabilities, ErrorKind, Identity, NetworkError, Port, Receipt, check_incoming, clean_text
from processsupervisor.connectors.lacking import worded
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.storage.records import Accepted, Attachment, Incoming, Kind, Outgoing, Place
from processsupervisor.testing.network import MemoryNetwork, ShownFile

RETRY_S = 1.0
_FINAL_REFUSALS = frozenset({"empty", "too-long", "bad-message"})
_PIECE_BYTES = 64 * 1024


class MemoryConnector:
    """Serves one bot at `network`; files that it sends lie below `folder`."""

    has_network = True
    is_pulled = False

    def __init__(self, network: MemoryNetwork, folder: Path) -> None:
        self._network = network
        self._folder = folder
        self._port: Port | None = None
        self._retries: set[asyncio.TimerHandle] = set()

    @property
    def network(self) -> str:
        return self._network.name

    @property
    def capabilities(self) -> Capabilities:
        return self._network.capabilities

    async def identify(self) -> Identity:
        """Return who the bot is there. Raises what the network was told to."""
        if self._network.unknown is not None:
            raise self._network.unknown
        return self._network.identity

    async def open(self, port: Port) -> None:
        """Begin to receive."""
        self._port = port
        port.prove(self.network)
        self._network.connect(self)

    def receive(self, incoming: Incoming) -> None:
        """Hand a message to the bot; acknowledge it when it is committed, try again later when the bot cannot take it now."""
        if self._port is None:
            return
        self._port.prove(self.network)
        try:
            if incoming.kind in (Kind.MESSAGE, Kind.EDIT) and not incoming.envelope.attachments:
                check_incoming(incoming.place, incoming.id, incoming.text)
            future = self._port.accept(_cleaned(incoming))
        except PsvError as err:
            self._refused(incoming, err)
            return
        future.add_done_callback(lambda done: self._answered(incoming, done))

    def _answered(self, incoming: Incoming, done: asyncio.Future[Accepted]) -> None:
        if self._port is None or done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._network.acknowledge(incoming)
        else:
            self._refused(incoming, error if isinstance(error, PsvError) else Refused("the bot failed"))

    def _refused(self, incoming: Incoming, err: PsvError) -> None:
        self._network.refused.append(str(err))
        if err.code in _FINAL_REFUSALS:
            self._network.acknowledge(incoming)
            return
        self._retries = {timer for timer in self._retries if timer.when() > asyncio.get_running_loop().time()}
        self._retries.add(asyncio.get_running_loop().call_later(RETRY_S, self.receive, incoming))

    def denied(self, error: NetworkError) -> None:
        """Hear that the network does not serve the bot any more."""
        if self._port is not None:
            self._port.end(error)

    def publish(self, out: Outgoing) -> None:
        """Show a piece of a streamed reply."""
        if self._port is not None and not out.final and self.capabilities.drafts:
            self._network.drafts.append(out)

    async def send(self, out: Outgoing) -> Receipt:
        """Send a committed row. Raises NetworkError as the network was told to."""
        await asyncio.sleep(0)
        if self._port is None:
            raise NetworkError(ErrorKind.TRANSIENT, f"{self.network}: not connected")
        out = worded(out, self.capabilities)
        if not out.text.strip() and not out.extras.files and out.extras.edits is None and out.extras.acknowledges is None:
            raise NetworkError(ErrorKind.PERMANENT, f"{self.network}: a message needs a text or a file")
        receipt = Receipt(self._network.take(out, self._files(out)))
        self._port.prove(self.network)
        return receipt

    def _files(self, out: Outgoing) -> list[ShownFile]:
        try:
            return [ShownFile(file.name, file.mime, (self._folder / file.path).read_bytes()) for file in out.extras.files]
        except OSError as err:
            raise NetworkError(ErrorKind.PERMANENT, f"{self.network}: a file that was to be sent is not there any more") from err

    async def typing(self, place: Place) -> None:
        """Show that an answer is being made."""
        if self._port is not None and self.capabilities.typing:
            self._network.chat(place.conversation).typing_at.append(clock.mono())

    async def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """Return the content of a file that came in, in pieces. Raises NetworkError for one that the network does not know."""
        if not self.capabilities.files:
            raise NetworkError(ErrorKind.PERMANENT, f"{self.network} has no files")
        content = self._network.contents.get(attachment.ref)
        if content is None:
            raise NetworkError(ErrorKind.PERMANENT, f"{self.network}: there is no such file")
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES]

    def cut(self) -> None:
        """End as by SIGKILL."""
        self._port = None
        for timer in self._retries:
            timer.cancel()
        self._retries.clear()
        self._network.disconnect(self)

    async def close(self) -> None:
        """Take and send nothing any more."""
        self.cut()


def _cleaned(incoming: Incoming) -> Incoming:
    return Incoming(
        incoming.place, incoming.id, incoming.sender, clean_text(incoming.text), incoming.kind, incoming.envelope, incoming.cursor
    )
