"""A conversation whose network gives it another id goes on as the one it was: values, order, the question that waits. In a Lab."""

from __future__ import annotations

import asyncio

import pytest

from processsupervisor import Bot, Message, ask
from processsupervisor.connectors.base import ErrorKind
from processsupervisor.storage.records import Place
from processsupervisor.testing import Lab
from processsupervisor.testing.people import Group

OLD, NEW = Place("memory", "old"), Place("memory", "new")
DEADS = pytest.mark.parametrize("dies", [False, True], ids=["in one life", "over a kill"])


@pytest.fixture
def bot():
    made = Bot()
    made.heard = []
    made.at_work = 0

    @made.on_message
    async def count(message: Message) -> str:
        made.heard.append(message.text)
        made.at_work += 1
        assert made.at_work == 1
        number = await message.store.get("count", 0) + 1
        await message.store.set("count", number)
        try:
            await asyncio.sleep(5)
        finally:
            made.at_work -= 1
        return f"number {number}"

    @made.command("book")
    async def book(message: Message) -> str:
        count = await ask("How many?")
        await message.store.set("booked", str(count))
        return f"booked {count}"

    @made.command("show")
    async def show(message: Message) -> str:
        return f"you have {await message.store.get('booked', 'nothing')} of {await message.store.keys()}"

    return made


@pytest.fixture
def lab(bot):
    with Lab(bot) as lab:
        lab.group("old").adds_bot()
        yield lab


def says(group: Group, text: str) -> asyncio.Future:
    return asyncio.ensure_future(group.person("ada").says(text, is_addressed=True))


async def move(lab: Lab) -> None:
    """Tell the bot of it as a connector does."""
    await lab._stage.life.service.pump.moved(OLD, NEW)


def test_a_message_that_waits_under_the_old_id_finds_its_values(lab, bot):
    """They were moved in front of it; what it writes goes where they are."""
    old, new = lab.group("old"), lab.group("new")
    old.person("ada").says("@bot 1")

    async def main():
        said = [says(old, "2"), says(old, "3")]
        await asyncio.sleep(1)
        await move(lab)
        await asyncio.gather(*said)

    lab.run(main())
    new.person("ada").says("@bot 4")
    assert [*old.shown[1:], *new.shown] == [f"number {number}" for number in (1, 2, 3, 4)]


@DEADS
def test_what_is_stored_behind_an_answer_is_there_afterwards(lab, bot, dies):
    """The handler began under the old id and goes on under the new one."""
    old, new = lab.group("old"), lab.group("new")
    old.person("ada").says("/book")
    lab.run(move(lab))
    if dies:
        lab.kill()
        lab.restart()
    new.person("ada").says("4", is_addressed=True)
    new.person("ada").says("/show")
    assert new.shown == ["booked 4", "you have 4 of ['booked']"]


@DEADS
@pytest.mark.parametrize("how", ["is told", "is found out by a send"])
def test_messages_of_both_ids_are_handled_in_their_order_one_at_a_time(lab, bot, dies, how):
    """What waits under the old id is older; so it is for what an earlier life left."""
    old, new = lab.group("old"), lab.group("new")
    if how == "is found out by a send":
        lab.network.fail(ErrorKind.GONE, at=OLD, moved_to="new")

    async def main():
        said = [says(old, "1"), says(old, "2"), says(old, "3")]
        await asyncio.sleep(6)
        if how == "is told":
            await move(lab)
        said.append(says(new, "4"))
        await asyncio.sleep(1)
        if dies:
            lab._stage.fall()
            bot.at_work = 0
            await lab._stage.restart()
        await asyncio.gather(*said)
        await lab._stage.settle()

    lab.run(main())
    assert list(dict.fromkeys(bot.heard)) == ["1", "2", "3", "4"] and new.shown[-1] == "number 4"


def test_an_answer_that_waits_under_the_old_id_is_the_answer(lab, bot):
    """The dialog has moved already when its turn comes."""
    old, new = lab.group("old"), lab.group("new")
    old.person("ada").says("/book")
    slow = asyncio.Event()

    @bot.command("wait")
    async def wait(message: Message) -> None:
        await slow.wait()

    async def main():
        said = [says(old, "/wait"), says(old, "4")]
        await asyncio.sleep(1)
        await move(lab)
        slow.set()
        await asyncio.gather(*said)

    lab.run(main())
    assert new.shown == ["booked 4"] and not bot.heard
