"""A Telegram connector at a double of the Bot API, with a port that keeps what it is given."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from processsupervisor.connectors.base import NetworkError
from processsupervisor.connectors.telegram import make
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.records import NO_EXTRAS, Accepted, Extras, Incoming, Outgoing, Place, SendState
from processsupervisor.testing.botapi.server import BotApi

TOKEN = "123456:AAtelegramtokenofthetest"
DEADLINE_S = 60.0
"""Patience alone: a machine that is busy enough has used up 20 s with nothing wrong."""


class Port:
    """Commits into a list. `refuses` is what is raised instead, as long as it is there; `fails` is raised by that many futures."""

    def __init__(self) -> None:
        self.accepted: list[Incoming] = []
        self.ids: set[tuple[Place, str]] = set()
        self.repeats = 0
        self.proofs = 0
        self.cursor_at: int | None = None
        self.ended: NetworkError | None = None
        self.refuses: PsvError | None = None
        self.fails: list[PsvError] = []
        self.moves: list[tuple[str, str]] = []
        self.sent_ids: dict[str, str] = {}
        self.tried: list[str] = []

    def accept(self, incoming: Incoming) -> asyncio.Future[Accepted]:
        self.tried.append(incoming.text)
        if self.refuses is not None:
            raise self.refuses
        future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        if self.fails:
            future.set_exception(self.fails.pop(0))
            return future
        if (incoming.place, incoming.id) in self.ids:
            self.repeats += 1
        else:
            self.ids.add((incoming.place, incoming.id))
            self.accepted.append(incoming)
        if incoming.cursor is not None:
            self.cursor_at = incoming.cursor
        future.set_result(Accepted(None, None))
        return future

    def prove(self, network: str) -> None:
        self.proofs += 1

    def end(self, error: NetworkError) -> None:
        self.ended = error

    async def cursor(self, network: str) -> int | None:
        return self.cursor_at

    async def network_id(self, out_id: str) -> str | None:
        return self.sent_ids.get(out_id)

    async def moved(self, old: Place, new: Place) -> None:
        self.moves.append((old.conversation, new.conversation))

    @property
    def texts(self) -> list[str]:
        return [incoming.text for incoming in self.accepted]


async def until(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about") from None


@contextlib.asynccontextmanager
async def connected(api: BotApi, port: Port, folder: Path, **settings: object) -> AsyncIterator[TelegramConnector]:
    """A connector that receives."""
    connector = make({"token": TOKEN, "base_url": api.url} | settings, "anna", folder)
    try:
        await connector.identify()
        await connector.open(port)
        yield connector
    finally:
        await connector.close()


def out(text: str, extras: Extras = NO_EXTRAS, *, to: object = 7, id_: str = "r1") -> Outgoing:
    """A committed row that is being sent."""
    return Outgoing(1, id_, Place("telegram", str(to)), None, text, 0.0, extras=extras, state=SendState.SENDING)
