"""Albums on Telegram: so many messages with one number, which the bot gets as one, none confirmed before it is committed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.connectors.telegramrig import TOKEN, Port, connected, until

from processsupervisor import Bot, Message
from processsupervisor.bot.service import Service
from processsupervisor.connectors.telegram import make, polling
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.testing.botapi.server import BotApi


@contextlib.asynccontextmanager
async def running(api: BotApi, folder: Path) -> AsyncIterator[None]:
    """A bot that says what it got."""
    bot = Bot()
    bot.name = "anna"

    @bot.on_message
    async def answer(message: Message) -> str:
        sizes = [len(await file.read()) for file in message.attachments]
        return f"{message.text}: {sizes}"

    connector = make({"token": TOKEN, "base_url": api.url}, "anna", folder)
    service = Service(bot, BotDatabase(folder / "bot.db"), [connector])
    await service.start()
    try:
        yield
    finally:
        await service.stop(5.0)


async def test_the_parts_of_an_album_know_each_other(api: BotApi, tmp_path) -> None:
    """Each is accepted by itself, with the number of the album; a file alone has none."""
    port, ada = Port(), api.bot(TOKEN)
    async with connected(api, port, tmp_path):
        ada.sends_album("photo", [b"1", b"2"], caption="look")
        ada.sends("photo", b"3")
        await until(lambda: len(port.accepted) == 3)
    first, second, alone = (incoming.envelope.album for incoming in port.accepted)
    assert first == second != "" and alone == ""


async def test_an_album_of_a_group_speaks_to_the_bot_as_a_whole(api: BotApi, tmp_path, monkeypatch) -> None:
    """The caption stands under one of its files alone; others may come with a later poll. One that speaks to nobody stays so."""
    port, ada = Port(), api.bot(TOKEN)
    group = ada.group("Team")
    ada.sends_album("photo", [b"1", b"2", b"3"], chat=group, caption="@n123456_bot look")
    ada.sends_album("photo", [b"4", b"5"], chat=group, caption="look")
    monkeypatch.setattr(polling, "_LIMIT", 2)  # so that the album stands in more than one batch
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.accepted) == 6)
    assert [incoming.envelope.is_addressed for incoming in port.accepted[1:]] == [True, True, True, False, False]


async def test_an_album_is_answered_once_with_all_its_files(api: BotApi, tmp_path) -> None:
    """In private and in a group, where only the caption names the bot."""
    ada = api.bot(TOKEN)
    async with running(api, tmp_path):
        ada.sends_album("photo", [b"1", b"22", b"333"], caption="mine")
        group = ada.group("Team")
        ada.sends_album("document", [b"1", b"22"], chat=group, caption="@n123456_bot ours")
        await until(lambda: "mine: [1, 2, 3]" in ada.texts() and "@n123456_bot ours: [1, 2]" in ada.texts(group.id))
    assert len([text for text in ada.texts() if ": [" in text]) == 2


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_an_album_that_the_disk_refuses_in_part_is_not_confirmed(api: BotApi, tmp_path, failing: int) -> None:
    """What is not stored comes again from Telegram, in its order."""
    port, ada = Port(), api.bot(TOKEN)
    ada.sends_album("photo", [b"1", b"2", b"3"])
    real, tried = port.accept, 0

    def accept(incoming):
        nonlocal tried
        tried += 1
        if tried == failing:
            port.fails = [StorageError("the disk is full")]
        return real(incoming)

    port.accept = accept
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.accepted) == 3)
    assert [incoming.cursor is not None for incoming in sorted(port.accepted, key=lambda one: one.id)] == [False, False, True]
    assert len({incoming.envelope.album for incoming in port.accepted}) == 1
