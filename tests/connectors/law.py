"""The law of connectors (connectors/base.py) as a suite: subclass ConnectorLaw and give a `rig` fixture.

The bot behind the connector is real: pump, database, an echo handler. A rig hides only how a network speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Protocol

from processsupervisor.bot.api import Bot
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.pump import Pump
from processsupervisor.connectors.base import MAX_TEXT_BYTES, Connector
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Outgoing, Place

STATEMENT = "A program answers here."
DEADLINE_S = 40.0


def make_bot() -> Bot:
    """An echo that streams when asked."""
    bot = Bot()

    @bot.on_message
    async def echo(message):
        if not message.text.startswith("stream"):
            return f"echo {message.text}"
        return pieces(message.text)

    async def pieces(text):
        for word in ("echo", " ", text):
            yield word
            await asyncio.sleep(0.06)

    return bot


class Engine:
    """A real pump and database behind one connector."""

    def __init__(self, folder: Path, connector: Connector) -> None:
        self.database = BotDatabase(folder / "bot.db")
        self.connector = connector
        self.published: list[Outgoing] = []
        self.pump = Pump(make_bot(), self.database, STATEMENT, Networks(publish=self._publish), reminded=lambda _: None)
        self.pump.answering.retry_after_s = ()

    def _publish(self, out: Outgoing) -> None:
        self.published.append(out)
        self.connector.publish(out)

    async def start(self) -> None:
        self.pump.open()
        await self.connector.open(self.pump)

    async def stop(self) -> None:
        await self.pump.drain(1.0)
        await self.connector.close()
        await self.database.close()

    def stored(self) -> list[tuple[str, int]]:
        """Return text and state of every inbox row, read by another connection."""
        if not self.database.path.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database.path)) as other:
            return other.execute("SELECT text, state FROM inbox ORDER BY id").fetchall()


class Rig(Protocol):
    """One person at one connector."""

    engine: Engine
    place: Place

    async def say(self, text: str) -> None:
        """Send a message, without waiting for what becomes of it."""

    async def told_refused(self) -> str:
        """Wait for the word that a message was not taken and return it."""

    async def seen(self, text: str) -> None:
        """Wait until a final text has been shown to the person."""

    def shown(self) -> list[str]:
        """Return every final text shown so far."""


class ConnectorLaw:
    """What holds on every network."""

    async def test_a_message_is_answered_once_behind_the_statement(self, rig):
        """The person sees that a program answers, then the reply, each once."""
        await rig.say("hello")
        await rig.seen("echo hello")
        assert rig.shown() == [STATEMENT, "echo hello"]

    async def test_replies_come_in_the_order_of_the_messages(self, rig):
        """A fast second message does not overtake a slow first one."""
        await rig.say("stream one")
        await rig.say("two")
        await rig.seen("echo two")
        assert rig.shown()[1:] == ["echo stream one", "echo two"]

    async def test_a_streamed_reply_ends_as_one_final_text(self, rig):
        """Drafts may be shown; in the end the whole text stands there once."""
        await rig.say("stream me")
        await rig.seen("echo stream me")
        assert rig.shown().count("echo stream me") == 1
        assert any(not out.final for out in rig.engine.published)

    async def test_a_paused_bot_refuses_and_stores_nothing(self, rig):
        """The person is told; after resume the next message is taken."""
        await rig.engine.pump.pause()
        await rig.say("not now")
        assert "paused" in await rig.told_refused()
        assert rig.engine.stored() == []
        rig.engine.pump.resume()
        await rig.say("now")
        await rig.seen("echo now")

    async def test_an_endless_message_is_refused(self, rig):
        """Text beyond 64 KiB is not stored, and the person is told."""
        await rig.say("x" * (MAX_TEXT_BYTES + 1))
        assert "64 KiB" in await rig.told_refused()
        assert rig.engine.stored() == []

    async def test_a_failing_database_is_told_and_recovers(self, rig):
        """A message that could not be committed is refused with the reason, the connector lives on."""
        rig.engine.database.path.parent.mkdir(parents=True, exist_ok=True)
        rig.engine.database.path.write_bytes(b"no database at all" * 300)
        await rig.say("lost?")
        assert "not a database" in await rig.told_refused()
        rig.engine.database.path.unlink()
        await rig.say("again")
        await rig.seen("echo again")

    async def test_unpaired_surrogates_and_nul_do_no_harm(self, rig):
        """Text that UTF-8 cannot hold is stored with a replacement, the rest as it is."""
        await rig.say("a\x00b ünïcödé 🙂")
        await rig.seen("echo a\x00b ünïcödé 🙂")

    async def test_publishing_to_nobody_is_harmless(self, rig):
        """A row of a conversation that nobody reads raises nothing."""
        rig.engine.connector.publish(Outgoing(99, "x", Place(rig.place.network, "nobody"), None, "text", 0.0))

    async def test_a_closed_connector_takes_nothing(self, rig):
        """After close nothing more reaches the inbox."""
        await rig.say("first")
        await rig.seen("echo first")
        rig.engine.pump.refuse(Refused("ended", code="stopping"))
        await rig.engine.connector.close()
        with contextlib.suppress(OSError):
            await rig.say("late")
        await asyncio.sleep(0.05)
        assert [text for text, _ in rig.engine.stored()] == ["first"]
