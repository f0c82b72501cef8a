"""A database of another time, or of another bot, in the place of this one: what waits at Telegram is answered, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from tests.connectors.telegramrig import TOKEN, WIDE, until

from processsupervisor import Bot, Message
from processsupervisor.bot.service import Service
from processsupervisor.connectors.telegram import BOT_FILE, DRAFTS_FILE, OF_DATABASE
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.storage.backup import back_up, restore
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import SendState
from processsupervisor.testing.botapi.server import BotApi

OTHER = "654321:AAofanotherbot"


@contextlib.asynccontextmanager
async def running(api: BotApi, folder: Path, token: str = TOKEN) -> AsyncIterator[None]:
    """A bot that repeats what it is told."""
    bot = Bot()
    bot.name = "anna"

    @bot.on_message
    async def answer(message: Message) -> str:
        return f"echo {message.text}"

    connector = TelegramConnector(read_settings({"token": token, "base_url": api.url}, "anna"), "anna", folder, WIDE)
    service = Service(bot, BotDatabase(folder / "bot.db"), [connector])
    await service.start()
    try:
        yield
    finally:
        await service.stop(5.0)


async def answered(api: BotApi, *texts: str, token: str = TOKEN) -> None:
    """Wait until Ada has read these answers, and all is confirmed to Telegram."""
    await until(lambda: {f"echo {text}" for text in texts} <= set(api.bot(token).texts()), f"answers to {texts}")
    await until(lambda: not api.known(token).updates.waiting, "the confirmation")


def is_all_sent(folder: Path) -> bool:
    """Tell whether the file knows that every reply arrived: one that it does not is sent again after a restore, as it must be."""
    with contextlib.closing(sqlite3.connect(folder / "bot.db")) as file:
        return file.execute("SELECT count(*) FROM outbox WHERE state <> ?", (int(SendState.SENT),)).fetchone() == (0,)


def put_back(folder: Path) -> None:
    restore(folder / "backup.db", folder / "bot.db", beside=OF_DATABASE)


async def test_what_came_while_the_bot_was_stopped_is_answered_once(api: BotApi, tmp_path) -> None:
    """What was answered after the backup is not answered again: Telegram has it no more."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.says("one")
        await answered(api, "one")
        await until(lambda: is_all_sent(tmp_path))
        await asyncio.to_thread(back_up, tmp_path / "bot.db", tmp_path / "backup.db")
        ada.says("two")
        await answered(api, "two")
    ada.says("three")
    put_back(tmp_path)
    for text in ("four", "five"):
        async with running(api, tmp_path):
            ada.says(text)
            await answered(api, "three", text)
    assert {text: times for text, times in ada.times_shown().items() if text.startswith("echo")} == {
        f"echo {text}": 1 for text in ("one", "two", "three", "four", "five")}


async def test_the_offset_of_another_bot_confirms_nothing_unread(api: BotApi, tmp_path) -> None:
    """The backup is of the token before: its offset lies among the numbers of the new one, and its messages have the same numbers."""
    async with running(api, tmp_path):
        for text in ("one", "two"):
            api.bot(TOKEN).says(text)
        await answered(api, "one", "two")
        await asyncio.to_thread(back_up, tmp_path / "bot.db", tmp_path / "backup.db")
    ada = api.bot(OTHER)
    api.known(OTHER).updates.jump(1000)
    async with running(api, tmp_path, OTHER):
        ada.says("first")
        await answered(api, "first", token=OTHER)
    put_back(tmp_path)
    with api.heard:
        account = api.known(OTHER)
        account._last_message_id = 0
        account.updates.jump(995)
    for text in ("a", "b", "c", "d"):
        ada.says(text)
    async with running(api, tmp_path, OTHER):
        await answered(api, "a", "b", "c", "d", token=OTHER)
    assert json.loads((tmp_path / BOT_FILE).read_text()) == {"first": 0, "last": 654321}


async def test_a_beginning_of_the_newer_time_is_not_taken_for_this_replys(api: BotApi, tmp_path) -> None:
    """The ids of replies are given a second time; what they meant before is neither edited nor taken away."""
    ada = api.bot(TOKEN)
    group = ada.group("Team")
    async with running(api, tmp_path):
        ada.says("@n123456_bot one", chat=group)
        await answered(api, "@n123456_bot one")
        await asyncio.to_thread(back_up, tmp_path / "bot.db", tmp_path / "backup.db")
    standing = next(shown.message_id for shown in ada.shown if shown.text == "echo @n123456_bot one")
    (tmp_path / DRAFTS_FILE).write_text(json.dumps({f"r{number}": [str(group.id), standing] for number in range(10)}))
    put_back(tmp_path)
    ada.says("@n123456_bot two", chat=group)
    async with running(api, tmp_path):
        await answered(api, "@n123456_bot two")
    assert group.messages[standing]["text"] == "echo @n123456_bot one"
    assert next(shown.kind for shown in ada.shown if shown.text == "echo @n123456_bot two") == "message"
