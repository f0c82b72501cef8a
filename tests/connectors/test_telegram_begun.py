"""What stands in a group as the beginning of a reply ends: as the whole, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.connectors.telegramrig import TOKEN, WIDE, Port, connected, out, until

from processsupervisor import Bot, Message, Reply
from processsupervisor.bot.service import Service
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.telegram import begun, drafts
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import SendState
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.server import BotApi

FILE = "telegram-drafts.json"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GROUP_FIRST_S", "GROUP_EVERY_S"):
        monkeypatch.setattr(drafts, name, 0.0)
    monkeypatch.setattr(begun, "SWEEP_S", 0.05)


async def test_what_never_comes_is_taken_away(api: BotApi, tmp_path) -> None:
    """At the next start; what still comes, or has ended, is left as it is."""
    ada, port = api.bot(TOKEN), Port()
    group = ada.group("Team")
    async with connected(api, port, tmp_path) as connector:
        for number in (1, 2, 3):
            connector.publish(replace(out(f"begun {number}", to=group.id, id_=f"r{number}"), seq=None, final=False))
            await until(lambda n=number: f"begun {n} …" in ada.texts(group.id))
    later = Port()
    later.states = {"r1": None, "r2": SendState.SENT, "r3": SendState.WAITING}
    async with connected(api, later, tmp_path) as connector:
        await until(lambda: list(json.loads((tmp_path / FILE).read_text())) == ["r3"])
        standing = [message["text"] for message in group.messages.values() if message["from"]["is_bot"] and "text" in message]
        assert standing == ["begun 2 …", "begun 3 …"]
        await connector.send(out("whole 3", to=group.id, id_="r3"))
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(("fault", "is_kept"), [
    (Fault(FaultKind.CUT_BEFORE, "deleteMessage"), False), (Fault(FaultKind.ERROR, "deleteMessage"), False),
    (Fault(FaultKind.ERROR, "deleteMessage", status=400, description="Bad Request: message can't be deleted for everyone"), True)], ids=str)
async def test_a_deletion_that_fails_is_tried_again_unless_it_never_can_be(api: BotApi, tmp_path, fault: Fault, is_kept: bool) -> None:
    """Telegram deletes nothing that is older than two days; then it is forgotten."""
    ada, port = api.bot(TOKEN), Port()
    group = ada.group("Team")
    async with connected(api, port, tmp_path) as connector:
        connector.publish(replace(out("begun", to=group.id), seq=None, final=False))
        await until(lambda: "begun …" in ada.texts(group.id) and (tmp_path / FILE).exists())
        api.faults.add(replace(fault, struck=0))
        port.states = {"r1": None}
        await until(lambda: not (tmp_path / FILE).exists())
    assert any(message.get("text") == "begun …" for message in group.messages.values()) is is_kept


async def test_a_first_piece_of_which_nothing_is_known_is_the_only_one(api: BotApi, tmp_path) -> None:
    """Its number came with the answer that was cut: a second piece would be a second message."""
    ada, port = api.bot(TOKEN), Port()
    group = ada.group("Team")
    api.faults.add(Fault(FaultKind.CUT_AFTER, "sendMessage"))
    async with connected(api, port, tmp_path) as connector:
        for text in ("one", "one two"):
            connector.publish(replace(out(text, to=group.id), seq=None, final=False))
            await until(lambda: not connector._drafts._showing)
        await connector.send(out("one two three", to=group.id))
    assert ada.texts(group.id) == ["one …", "one two three"]


@contextlib.asynccontextmanager
async def running(api: BotApi, folder: Path, bot: Bot) -> AsyncIterator[Service]:
    bot.name = "anna"
    connector = TelegramConnector(read_settings({"token": TOKEN, "base_url": api.url}, "anna"), "anna", folder, WIDE)
    service = Service(bot, BotDatabase(folder / "bot.db"), [connector], settings=ChatSettings.from_spec({"retries": 1}))
    await service.start()
    try:
        yield service
    finally:
        await service.stop(5.0)


def answers(texts: Iterable[str]) -> list[str]:
    """Return what is not the statement, which is sent beside the first piece."""
    return [text for text in texts if "program answers here" not in text]


async def test_a_handler_that_answers_otherwise_the_second_time_leaves_nothing_behind(api: BotApi, tmp_path) -> None:
    """Two replies have grown when it fails; tried again it has one, in the place of the first: the beginning of the second is taken away."""
    ada, bot, tries = api.bot(TOKEN), Bot(), 0
    group = ada.group("Team")

    @bot.on_message
    async def answer(message: Message):
        nonlocal tries
        tries += 1
        if tries > 1:
            yield "no"
            return
        yield "first"  # the piece gives way to the statement of a program, which is sent just now: the next one shows it
        while "first …" not in ada.texts(group.id):
            await asyncio.sleep(0.01)
            yield ""
        yield Reply("second")
        yield "third"
        while "third …" not in ada.texts(group.id):
            await asyncio.sleep(0.01)
            yield ""
        raise ValueError

    async with running(api, tmp_path, bot):
        ada.says("@n123456_bot go", chat=group)
        await until(lambda: answers(message["text"] for message in group.messages.values() if message["from"]["is_bot"] and "text" in message) == ["no"])
    assert [text for text in answers(shown.text for shown in ada.shown) if text != "no …"] == ["first …", "third …", "no"]
    assert not (tmp_path / FILE).exists()
