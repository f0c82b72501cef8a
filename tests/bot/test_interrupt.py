"""Mode interrupt ends what a newer message of the same person makes needless, and nothing else. In a Lab."""

from __future__ import annotations

import asyncio
import json

import pytest

from processsupervisor import Bot, Message, Reply, Schedule, ask, step
from processsupervisor.testing import Lab
from processsupervisor.testing.people import Person


@pytest.fixture
def bot():
    made = Bot()

    @made.on_message
    async def slow(message: Message) -> str:
        await asyncio.sleep(5)
        return f"answer to {message.text}"

    @made.command("plan")
    async def plan(message: Message, schedule: Schedule) -> None:
        await schedule.once("10s", "report")

    @made.scheduled("report")
    async def report(message: Message) -> str:
        await asyncio.sleep(5)
        return "the report"

    @made.command("order")
    async def order(message: Message) -> str:
        what = await ask("What?")
        async with step():
            await message.store.append("orders", str(what))
        await asyncio.sleep(5)
        return f"ordered {json.dumps(await message.store.get('orders'))}"

    return made


@pytest.fixture
def lab(bot):
    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        lab.start()
        yield lab


def talk(lab: Lab, *lines: tuple[float, Person, str]) -> None:
    """Say each line after so many seconds more, whatever the bot does meanwhile."""

    async def main():
        said = []
        for wait_s, person, text in lines:
            await asyncio.sleep(wait_s)
            said.append(asyncio.ensure_future(person.says(text)))
        await asyncio.gather(*said)

    lab.run(main())


def test_in_a_group_only_the_same_person_ends_an_answer(lab):
    """Whether the newer message comes while the older one runs, or waits already when it begins."""
    group = lab.group("team")
    group.adds_bot()
    ada, bob = group.person("ada"), group.person("bob")
    talk(lab, (0, ada, "@bot a"), (1, bob, "@bot b"), (1, bob, "@bot c"))
    assert group.shown[1:] == ["answer to @bot a", "answer to @bot c"]


def test_what_is_scheduled_is_not_ended_by_a_message(lab):
    """It would count as done."""
    talk(lab, (0, lab.you, "/plan"), (12, lab.you, "hi"), (1, lab.you, "there"))
    assert lab.you.shown[1:] == ["the report", "answer to there"]


@pytest.mark.parametrize("dies", [False, True], ids=["awake", "asleep"])
def test_the_answer_to_a_question_is_not_ended(lab, dies):
    """What its step has stored is kept, so the question must not stay open."""
    lab.say("/order")
    if dies:
        lab.kill()
        lab.restart()
    talk(lab, (0, lab.you, "tea"), (1, lab.you, "thanks"), (0, lab.you, "much"))
    assert lab.you.shown[1:] == ["What?", 'ordered ["tea"]', "answer to much"]


def test_a_newer_message_ends_the_wait_for_another_try_of_an_answer(lab, bot):
    """The question is still open, and the newer message answers it."""

    @bot.command("count")
    async def count(message: Message) -> Reply:
        return Reply(f"counted {int(await ask('How many?'))}")

    lab.say("/count")
    talk(lab, (0, lab.you, "many"), (0.2, lab.you, "3"))
    assert lab.you.shown[1:] == ["How many?", "counted 3"] and lab.letters == []
