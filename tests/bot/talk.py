"""A bot's pump on a real database, talked to by a test: what one life leaves, the next one finds."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from processsupervisor.bot.api import Bot
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.pump import Pump
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import Capabilities
from processsupervisor.connectors.pulled import Pulled
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Envelope, Incoming, Kind, Outgoing, Place

HERE = Place("test", "a")
DEADLINE_S = 15.0


class Wire(Pulled):
    """A network called "test" that can do everything, without anybody behind it."""

    network = "test"
    has_network = False
    capabilities = Capabilities(markup=True, edits=True, buttons=True, files=True, drafts=True)

    def __init__(self, publish) -> None:
        self.publish = publish

    async def open(self, port) -> None: ...
    async def close(self) -> None: ...


class Talk:
    """One life of a bot. `says` returns what the bot answered to that message."""

    def __init__(self, bot: Bot, folder: Path, **settings) -> None:
        self.bot = bot
        self.out: list[Outgoing] = []
        self._changed = asyncio.Event()
        self.database = BotDatabase(folder / "bot.db")
        self.pump = Pump(bot, self.database, "A program.", Networks([Wire(self._publish)]), reminded=lambda _at: None, settings=ChatSettings(**settings))

    def _publish(self, out: Outgoing) -> None:
        if out.final:
            self.out.append(out)
            self._changed.set()

    async def begin(self) -> Talk:
        self.bot.registry.resolve()
        await self.pump.recover()
        return self

    async def post(self, text: str, place: Place = HERE, *, kind: Kind = Kind.MESSAGE, envelope: Envelope = Envelope(), sender: str = "ada"):
        return (await self.pump.accept(Incoming(place, uuid.uuid4().hex, sender, text, kind, envelope))).row

    async def says(self, text: str, place: Place = HERE, **more) -> list[str]:
        """Say something, wait until it is through, and return what came for it."""
        row = await self.post(text, place, **more)
        await self.quiet()
        return [out.text for out in self.out if out.id.split(".")[0] == row.reply_id]

    async def presses(self, label: str, place: Place = HERE, **more) -> list[str]:
        """Press the newest button with this label."""
        data = next(button.data for out in reversed(self.out) for row in out.extras.buttons for button in row if button.label == label)
        return await self.says(data, place, kind=Kind.BUTTON, envelope=Envelope(about="m1", token="t"), **more)

    async def quiet(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.pump.wait_quiet()

    async def ends(self) -> None:
        """End this life; what was not through is found by the next."""
        await self.pump.drain(0.2)
        self.pump.answering.dialogs.close()
        await self.database.close()
