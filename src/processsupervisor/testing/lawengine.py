"""The bot behind a connector under test (`Engine`): service, pump, sender and storage are real, the handler is lawbot.py's.

Between bot and connector stands a `Witness`, which sees what the connector says and can hold or refuse its messages. Cases live by
real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from processsupervisor.bot.service import Service
from processsupervisor.connectors.base import Capabilities, Connector, Identity, NetworkError, Port, Receipt
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Accepted, Attachment, Incoming, Outgoing, Place
from processsupervisor.testing.lawbot import make_bot

DEADLINE_S = 30.0
_STOP_S = 5.0


class Witness:
    """The bot as a connector sees it. `is_held` keeps the commits from the connector, `refusal` is raised instead of accepting."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.accepted: list[Incoming] = []
        self.proofs: list[str] = []
        self.ended: list[NetworkError] = []
        self.refusal: PsvError | None = None
        self.failures = 0
        """Commits that failed."""
        self.is_held = False
        self.is_mute = False
        """The commits happen, and the connector never hears of them."""
        self._held: list[tuple[Incoming, asyncio.Future[Accepted]]] = []

    def accept(self, incoming: Incoming) -> asyncio.Future[Accepted]:
        self.accepted.append(incoming)
        if self.refusal is not None:
            raise self.refusal
        if self.is_held:
            future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
            self._held.append((incoming, future))
            return future
        if self.is_mute:
            self._port.accept(incoming)
            return asyncio.get_running_loop().create_future()
        future = self._port.accept(incoming)
        future.add_done_callback(self._note)
        return future

    def _note(self, done: asyncio.Future[Accepted]) -> None:
        self.failures += not done.cancelled() and done.exception() is not None

    def release(self) -> None:
        """Commit what was held."""
        self.is_held = False
        held, self._held = self._held, []
        for incoming, future in held:
            self._port.accept(incoming).add_done_callback(functools.partial(_hand_on, future))

    def prove(self, network: str) -> None:
        self.proofs.append(network)
        self._port.prove(network)

    def end(self, error: NetworkError) -> None:
        self.ended.append(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def _hand_on(future: asyncio.Future[Accepted], done: asyncio.Future[Accepted]) -> None:
    if future.done() or done.cancelled():
        return
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)


class Watched:
    """A connector that is opened on a Witness; everything else is the connector's own."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.witness: Witness | None = None
        self.published: list[Outgoing] = []

    @property
    def network(self) -> str:
        return self.connector.network

    @property
    def has_network(self) -> bool:
        return self.connector.has_network

    @property
    def is_pulled(self) -> bool:
        return self.connector.is_pulled

    @property
    def capabilities(self) -> Capabilities:
        return self.connector.capabilities

    async def identify(self) -> Identity | None:
        return await self.connector.identify()

    async def open(self, port: Port) -> None:
        self.witness = Witness(port)
        await self.connector.open(self.witness)

    def publish(self, out: Outgoing) -> None:
        self.published.append(out)
        self.connector.publish(out)

    async def send(self, out: Outgoing) -> Receipt:
        return await self.connector.send(out)

    async def typing(self, place: Place) -> None:
        await self.connector.typing(place)

    def fetch(self, attachment: Attachment) -> AsyncIterator[bytes]:
        return self.connector.fetch(attachment)

    async def close(self) -> None:
        await self.connector.close()


class Engine:
    """A real bot behind one connector, on the data in `folder`."""

    def __init__(self, connector: Connector, folder: Path) -> None:
        self.folder = folder
        self.connector = connector
        self.watched = Watched(connector)
        self.database = BotDatabase(folder / "bot.db")
        self.begun: list[str] = []
        """The messages whose handler began."""
        self.service = Service(make_bot(self.begun), self.database, [self.watched])
        self._is_stopped = False

    @property
    def witness(self) -> Witness:
        """Return what stands between bot and connector."""
        assert self.watched.witness is not None
        return self.watched.witness

    async def start(self) -> None:
        await self.service.start()

    async def stop(self, timeout_s: float = _STOP_S) -> None:
        """Stop in good order; a second time does nothing."""
        if not self._is_stopped:
            self._is_stopped = True
            await self.service.stop(timeout_s)

    def stored(self) -> list[str]:
        """Return the texts in the inbox, read by another connection."""
        return [text for (text,) in self._read("SELECT text FROM inbox ORDER BY id")]

    def answers(self) -> list[str]:
        """Return what the bot has to say, as it is committed, shown or not."""
        return [text for (text,) in self._read("SELECT text FROM outbox ORDER BY seq")]

    def count(self, condition: str) -> int:
        """Return how many rows of the outbox are so."""
        return sum(count for (count,) in self._read(f"SELECT count(*) FROM outbox WHERE {condition}"))

    def _read(self, query: str) -> list[tuple[Any, ...]]:
        if not self.database.path.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database.path)) as other:
            try:
                return other.execute(query).fetchall()
            except sqlite3.OperationalError:  # the file is being made
                return []

    async def quiet(self) -> None:
        """Wait until nothing is handled or sent."""
        await until(self._is_quiet, "rest")

    def _is_quiet(self) -> bool:
        return not self.service.pump.unfinished and all(sender.is_idle for sender in self.service.senders.values())


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds. Raises AssertionError that says what did not come."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about within {DEADLINE_S:g} s") from None
