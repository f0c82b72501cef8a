"""psvd asks a bot to replay a dead letter: one answer to each question, and none is no wedge."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from processsupervisor.kernel.errors import Refused
from processsupervisor.supervisor import letters
from processsupervisor.supervisor.letters import LetterDesk


class Bot:
    """A handle whose link keeps what was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[dict] = []
        self.link = SimpleNamespace(send=self.asked.append)


async def ask(desk: LetterDesk, bot: Bot, letter: int) -> asyncio.Task:
    task = asyncio.create_task(desk.ask(bot, "letter", letter))
    await asyncio.sleep(0)
    return task


async def test_each_question_gets_its_own_answer():
    """Of two bots and two letters, in any order; an answer that nobody waits for, or of another bot, does nothing."""
    desk, anna, bert = LetterDesk(), Bot("anna"), Bot("bert")
    tasks = [await ask(desk, anna, 1), await ask(desk, bert, 2), await ask(desk, anna, 3)]
    first, third, second = *(line["id"] for line in anna.asked), bert.asked[0]["id"]
    desk.on_answer("bert", {"id": first, "message": "not mine"})
    desk.on_answer("anna", {"id": 99})
    desk.on_answer("anna", {"id": third, "message": "it has no letter 3"})
    desk.on_answer("bert", {"id": second, "message": ""})
    desk.on_answer("anna", {"id": first, "message": ""})
    answers = [await task for task in tasks]
    assert [(answer["name"], answer["ok"]) for answer in answers] == [("anna", True), ("bert", True), ("anna", False)]


async def test_a_bot_that_does_not_answer_is_told(monkeypatch):
    """After the deadline; one without a link at once."""
    monkeypatch.setattr(letters, "ANSWER_S", 0.01)
    bot = Bot("anna")
    with pytest.raises(Refused, match="did not answer"):
        await LetterDesk().ask(bot, "letter", 1)
    bot.link = None
    with pytest.raises(Refused, match="does not talk"):
        await LetterDesk().ask(bot, "letter", 1)
