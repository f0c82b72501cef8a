"""What the law of connectors needs of a network under test: a `Rig`, which is the other side of one connector, and what it can do.

The bot behind the connector is real: service, pump, sender, storage, an echo handler. Between the two stands a `Witness`, which
sees what the connector says and can hold or refuse its messages. Cases live by real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from processsupervisor.bot.api import Bot
from processsupervisor.bot.message import Message
from processsupervisor.bot.service import Service
from processsupervisor.connectors.base import Capabilities, Connector, ErrorKind, Identity, NetworkError, Port, Receipt
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Accepted, Attachment, Incoming, Outgoing, Place
from processsupervisor.testing.writer import UnsyncedWriter

STATEMENT = "A program answers here."
DEADLINE_S = 30.0
_STOP_S = 5.0


class Ability(StrEnum):
    """What a network has, and a rig can show: cases that need what a network lacks are not part of its law."""

    REFUSES = "the person is told that a message was not taken"
    KEEPS = "the network keeps a message until it is acknowledged, and brings it again"
    REPEATS = "the same message can come twice"
    ACKNOWLEDGES = "it can be seen from outside that a message was acknowledged"
    ROOMS = "there are several conversations"
    REOPENS = "another connector can go on where one ended"
    PULLS = "readers take rows by themselves"
    RESUMES = "a reader can go on behind the last row that it saw"
    SENDS = "rows are sent"
    KEYS = "a repeated send is shown once"
    CURSOR = "how far the network was read is kept with the messages"
    GROUPS = "there are groups"
    EDITS = "messages of the bot can be changed"
    BUTTONS = "messages of the bot can have buttons"
    FILES = "files come in and go out"


class Mishap(StrEnum):
    """What may befall the next send."""

    AUTH = "the token is refused"
    RATE = "too much at once; the next may come after 7 s"
    SERVER = "the network fails, and does not carry it out"
    CUT_BEFORE = "the connection ends before it is carried out"
    CUT_AFTER = "it is carried out, and the connection ends before the answer"
    REFUSED = "the network cannot carry out this one"
    BLOCKED = "the person has blocked the bot"
    MOVED = "the conversation has another id now"


RETRY_AFTER_S = 7.0
MOVED_TO = "-1009"


class Rig(Protocol):
    """One network with people at it. What a network lacks (Ability) need not work."""

    place: Place
    """Where `say` speaks."""

    def connect(self, folder: Path) -> Connector:
        """Return a new connector, not open. Files to be sent lie below `folder`."""

    async def say(self, text: str, *, to: str = "") -> str:
        """Send a message, into another conversation if `to` names one; returns the id that the network gives it, "" if unknown."""

    def shown(self, *, to: str = "") -> list[str]:
        """Return every final text that appeared to the person so far, in order."""

    # REFUSES, REPEATS, ACKNOWLEDGES, RESUMES

    async def told_refused(self) -> str:
        """Wait for the word that a message was not taken and return it."""

    async def repeat(self) -> None:
        """Bring the last message once more."""

    def acknowledged(self) -> int:
        """Return how many messages the connector has acknowledged, repeats included where the network counts them."""

    async def resume(self, seq: int) -> Callable[[], Sequence[str]]:
        """Begin to read behind a row; returns what tells the texts read so far."""

    # SENDS

    def befall(self, mishap: Mishap) -> None:
        """Let this happen to the next send, once."""

    def deny(self, kind: ErrorKind) -> None:
        """From now on refuse the bot: its token (AUTH), or because another one receives (CONFLICT)."""

    def calls(self) -> int:
        """Return how many sends reached the network, failed ones included."""

    # GROUPS, EDITS, BUTTONS, FILES

    async def say_in_group(self, text: str) -> None:
        """Say something in a group that the bot is in; "@BOT" in it stands for its name there."""

    async def join(self) -> None:
        """Add the bot to a group."""

    async def leave(self) -> None:
        """Remove it."""

    async def edit(self, text: str) -> None:
        """Change the last message."""

    async def press(self, label: str) -> None:
        """Press the button with this label, of the newest message that has it."""

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        """Send a file with a text."""

    def files(self) -> dict[str, bytes]:
        """Return the files that the bot has sent, by name."""

    def buttons(self) -> list[str]:
        """Return the labels of the buttons of the newest message."""

    def standing(self) -> list[str]:
        """Return the texts of the bot's messages as they stand now."""

    def forget_message(self, network_id: str) -> None:
        """Delete a message of the bot at the network."""


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
        self.database = BotDatabase(folder / "bot.db", writer=UnsyncedWriter(folder / "bot.db"))
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

    async def stop(self) -> None:
        """Stop in good order; a second time does nothing."""
        if not self._is_stopped:
            self._is_stopped = True
            await self.service.stop(_STOP_S)

    def stored(self) -> list[str]:
        """Return the texts in the inbox, read by another connection."""
        return self._texts("SELECT text FROM inbox ORDER BY id")

    def answers(self) -> list[str]:
        """Return what the bot has to say, as it is committed, shown or not."""
        return self._texts("SELECT text FROM outbox ORDER BY seq")

    def _texts(self, query: str) -> list[str]:
        if not self.database.path.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database.path)) as other:
            try:
                return [text for (text,) in other.execute(query)]
            except sqlite3.OperationalError:  # the file is being made
                return []

    async def quiet(self) -> None:
        """Wait until nothing is handled or sent."""
        await until(self._is_quiet, "rest")

    def _is_quiet(self) -> bool:
        return not self.service.pump.unfinished and all(sender.is_idle for sender in self.service.senders.values())


def make_bot(begun: list[str]) -> Bot:
    """Return an echo that streams when asked, and takes its time when asked; it notes in `begun` what it handles."""
    bot = Bot()
    bot.options = {"about": STATEMENT}

    @bot.on_message
    async def echo(message: Message) -> Any:
        begun.append(message.text)
        if message.text.startswith("slow"):
            await asyncio.sleep(0.3)
        if not message.text.startswith("stream"):
            return f"echo {message.text}"
        return _pieces(message.text)

    return bot


async def _pieces(text: str) -> AsyncIterator[str]:
    for word in ("echo", " ", text):
        yield word
        await asyncio.sleep(0.06)


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds. Raises AssertionError that says what did not come."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about within {DEADLINE_S:g} s") from None
