"""A whole bot on Telegram in one process: real service, storage and sender, at the double of the Bot API."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.connectors.telegramrig import TOKEN, until

from processsupervisor import Bot, Button, Edit, Message, Reply
from processsupervisor.bot.service import Service
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.telegram import make
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import SendState
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import Person
from processsupervisor.testing.botapi.server import BotApi

EVE = Person(8, "Eve")


def make_bot() -> Bot:
    """What the tests talk to."""
    bot = Bot()
    bot.name = "anna"

    @bot.command("long")
    async def long(message: Message, count: int) -> Reply:
        return Reply("<b>" + "word " * (count // 5) + "x" * (count % 5), markup="html")

    @bot.command("keep")
    async def keep(message: Message, text: str) -> str:
        await message.store.set("kept", text)
        return "kept"

    @bot.command("kept")
    async def kept(message: Message) -> str:
        return f"here is {await message.store.get('kept')}"

    @bot.button("gone")
    async def gone(message: Message) -> Edit:
        return Edit("changed")

    @bot.command("offer")
    async def offer(message: Message) -> Reply:
        return Reply("offer", buttons=[[Button("Take it", "gone")]])

    @bot.on_message
    async def echo(message: Message) -> str:
        return f"echo {message.text}"

    return bot


@contextlib.asynccontextmanager
async def running(api: BotApi, folder: Path, **settings: object) -> AsyncIterator[Service]:
    """The bot, from its start to its stop in good order."""
    connector = make({"token": TOKEN, "base_url": api.url}, "anna", folder)
    service = Service(make_bot(), BotDatabase(folder / "bot.db"), [connector], settings=ChatSettings.from_spec(settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop(5.0)


def states(folder: Path) -> list[tuple[str, int, int]]:
    """Return text, state and whether it was uncertain, of every row that was sent or is to be."""
    with contextlib.closing(sqlite3.connect(folder / "bot.db")) as other:
        return other.execute("SELECT text, state, uncertain FROM outbox ORDER BY seq").fetchall()


async def test_a_long_text_with_broken_markup_arrives_whole(api: BotApi, tmp_path) -> None:
    """4,097 characters and a tag that is never closed: two messages, nothing of the text missing, no tag shown."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.says("/long 4097")
        await until(lambda: len(ada.texts()) == 3)
    pieces = ada.texts()[1:]
    assert all(len(piece) <= 4096 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(("word " * 819 + "xx").split())


async def test_a_retry_after_is_obeyed_and_the_message_comes_once(api: BotApi, tmp_path) -> None:
    """Nothing is called for that chat before; another chat is answered meanwhile."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.says("first")
        await until(lambda: "echo first" in ada.texts())
        api.faults.add(Fault(FaultKind.RATE, "sendMessage", retry_after_s=1))
        began = time.monotonic()
        ada.says("limited")
        await until(lambda: api.faults.struck.get(FaultKind.RATE))
        ada.says("hello", EVE)
        await until(lambda: "echo hello" in ada.texts(EVE.id))
        assert "echo limited" not in ada.texts()
        await until(lambda: "echo limited" in ada.texts())
    assert time.monotonic() - began >= 1.0
    assert ada.times_shown()["echo limited"] == 1 and api.known(TOKEN).called["sendMessage"] == 6


async def test_a_lost_answer_is_marked_and_follows_the_setting(api: BotApi, tmp_path) -> None:
    """At least once: shown twice and marked. At most once: shown once, marked, and the next message goes on."""
    ada = api.bot(TOKEN)
    for replies, times in (("at-least-once", 2), ("at-most-once", 1)):
        folder = tmp_path / replies
        async with running(api, folder, replies=replies):
            ada.says(f"{replies} one")
            await until(lambda t=f"echo {replies} one": t in ada.texts())
            api.faults.add(Fault(FaultKind.CUT_AFTER, "sendMessage"))
            ada.says(f"{replies} two")
            await until(lambda t=f"echo {replies} two", n=times: ada.times_shown()[t] == n)
            ada.says(f"{replies} three")
            await until(lambda t=f"echo {replies} three": t in ada.texts())
        marked = {text: (state, uncertain) for text, state, uncertain in states(folder)}
        state = SendState.SENT if times == 2 else SendState.UNCERTAIN
        assert marked[f"echo {replies} two"] == (state, 1) and marked[f"echo {replies} three"] == (SendState.SENT, 0)
        assert ada.times_shown()[f"echo {replies} two"] == times


async def test_a_group_takes_its_values_to_the_supergroup(api: BotApi, tmp_path) -> None:
    """What was kept under the old id is found under the new one, and an answer on its way follows."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        group = ada.group("Team")
        ada.says("/keep treasure", chat=group)
        await until(lambda: "kept" in ada.texts(group.id))
        bigger = ada.upgrades(group)
        ada.says("/kept", chat=bigger)
        await until(lambda: "here is treasure" in ada.texts(bigger.id))


async def test_an_edit_of_a_deleted_message_fails_alone(api: BotApi, tmp_path, caplog) -> None:
    """It is noted as failed, in Telegram's words; the conversation goes on."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.says("/offer")
        offer = await asyncio.to_thread(ada.wait_for, "offer")
        with api.heard:  # at once: the bot must not come between
            ada.presses(offer.message_id, "gone")
            ada.deletes(offer.message_id)
        ada.says("still there?")
        await until(lambda: "echo still there?" in ada.texts())
    assert [state for text, state, _ in states(tmp_path) if text == "changed"] == [SendState.FAILED]
    assert "telegram: Bad Request: message to edit not found" in caplog.text


async def test_who_blocked_the_bot_is_not_written_to(api: BotApi, tmp_path) -> None:
    """Its reply fails for good, others are answered; when it comes back so is it."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.says("hello")
        await until(lambda: "echo hello" in ada.texts())
        api.faults.add(Fault(FaultKind.ERROR, "sendMessage", status=403, description="Forbidden: bot was blocked by the user"))
        ada.says("last words")
        ada.says("hello", EVE)
        await until(lambda: "echo hello" in ada.texts(EVE.id))
        ada.says("back again")
        await until(lambda: "echo back again" in ada.texts())
    assert "echo last words" not in ada.texts()
