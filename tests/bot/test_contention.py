"""Handlers of several conversations that read and change the same value of the whole bot: none is lost, and nothing is said twice."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.bot.talk import Talk

from processsupervisor import Bot, BotStore, Button, Edit, Message, Reply, ask, step
from processsupervisor.chat.points import Point
from processsupervisor.storage.records import Place
from processsupervisor.testing import Lab


def poll(wait_s: float | None = None) -> Bot:
    """A bot that counts who pressed its button, by the way that an author writes first."""
    bot = Bot()
    bot.runs = 0

    @bot.command("vote")
    async def offer(message: Message) -> Reply:
        return Reply("Pizza?", buttons=[[Button("Yes", "vote:yes")]])

    @bot.button("vote")
    async def vote(message: Message, votes: BotStore[dict[str, str]], choice: str) -> Edit:
        bot.runs += 1
        said = await votes.get("votes", {})
        if wait_s is not None:
            await asyncio.sleep(wait_s)
        said[message.sender] = choice
        await votes.set("votes", said)
        return Edit(f"{len(said)} of {sorted(said)[0]}")

    return bot


async def everybody(people, what: str, text: str) -> None:
    await asyncio.gather(*(getattr(person, what)(text) for person in people))


def kept(lab: Lab, key: str):
    return lab.run(lab.bot.store.get(key))


# --- none is lost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait_s", [None, 3.0])
def test_two_hundred_votes_at_once_are_two_hundred(wait_s):
    """Each sees its own vote counted once, with all that came before it and none that did not; nobody hears an apology."""
    bot = poll(wait_s)
    with Lab(bot, chat={"retries": 0}) as lab:
        people = [lab.person(f"p{number:03}") for number in range(200)]
        lab.start()
        lab.run(everybody(people, "says", "/vote"))
        lab.run(everybody(people, "presses", "Yes"))
        assert len(kept(lab, "votes")) == 200 and not lab.letters
        assert sorted(int(person.last.text.split()[0]) for person in people) == list(range(1, 201))


async def test_two_hundred_votes_at_once_on_a_real_database(tmp_path):
    """The same with the thread that writes, and its files: each is answered once."""
    bot = poll(0.0)
    talk = await Talk(bot, tmp_path).begin()
    try:
        places = [Place("test", f"p{number}") for number in range(200)]
        rows = await asyncio.gather(*(talk.post("/vote", place, sender=place.conversation) for place in places))
        await talk.quiet()
        shown = await asyncio.gather(*(talk.presses("Yes", place, sender=place.conversation) for place in places))
        assert sorted(int(texts[0].split()[0]) for texts in shown) == list(range(1, 201)) and {len(texts) for texts in shown} == {1}
        assert len(await talk.database.dead_letters()) == 0 and talk.pump.handled == 2 * len(rows)
    finally:
        await talk.ends()


def test_thirty_two_conversations_that_read_wait_and_write_come_to_an_end():
    """Five messages in each: all are counted, and each was run a few times at most."""
    bot = Bot()
    runs: dict[str, int] = {}

    @bot.on_message
    async def count(message: Message) -> str:
        runs[f"{message.sender} {message.text}"] = runs.get(f"{message.sender} {message.text}", 0) + 1
        total = await bot.store.get("total", 0)
        await asyncio.sleep(0.2)
        await bot.store.set("total", total + 1)
        return f"{total + 1}"

    with Lab(bot) as lab:
        lab.start()
        people = [lab.person(f"p{number}") for number in range(32)]

        async def talk(person):
            for number in range(5):
                await person.says(f"{number}")

        async def main():
            await asyncio.gather(*map(talk, people))

        lab.run(main())
        assert kept(lab, "total") == 160
        assert sorted(int(text) for person in people for text in person.shown[1:]) == list(range(1, 161))
        assert max(runs.values()) <= 8


def test_a_slow_handler_gets_its_turn_beside_quick_ones():
    """It loses three times; then the quick ones wait for it before their commit."""
    bot = Bot()
    bot.slow = 0

    @bot.command("slow")
    async def slow(message: Message) -> str:
        bot.slow += 1
        total = await bot.store.get("total", 0)
        await asyncio.sleep(10)
        await bot.store.set("total", total + 1)
        return "slow"

    @bot.command("quick")
    async def quick(message: Message) -> str:
        await bot.store.set("total", await bot.store.get("total", 0) + 1)
        return "quick"

    with Lab(bot) as lab:
        lab.start()

        async def main():
            said = [asyncio.ensure_future(lab.person("slow").says("/slow"))]
            for number in range(60):
                await asyncio.sleep(1)
                said.append(asyncio.ensure_future(lab.person(f"p{number}").says("/quick")))
            await asyncio.gather(*said)

        lab.run(main())
        assert bot.slow == 4 and kept(lab, "total") == 61 and lab.person("slow").shown[1:] == ["slow"]


def test_a_handler_is_run_again_at_once_and_that_is_no_failed_try(caplog):
    """No time passes and nothing is tried again for an error, although `retries` is 0; other keys disturb nobody."""
    bot = poll(0.0)

    @bot.on_message
    async def other(message: Message, store: BotStore[int]) -> str:
        bot.others = getattr(bot, "others", 0) + 1
        await store.set(message.sender, await store.get(message.sender, 0) + 1)
        return f"{len(await bot.store.get('votes', {}))}"

    with Lab(bot, chat={"retries": 0}) as lab:
        people = [lab.person(name) for name in ("ada", "bob", "eve")]
        lab.start()
        lab.run(everybody(people, "says", "/vote"))
        before = lab.clock.now
        lab.run(everybody(people, "presses", "Yes"))
        assert lab.clock.now == before and bot.runs > 3
        lab.run(everybody(people, "says", "hello"))
        assert bot.others == 3 and "failed" not in caplog.text


def test_what_is_written_without_having_been_read_takes_the_place_of_what_was_there():
    """Nothing is run again for it."""
    bot = Bot()
    bot.runs = 0

    @bot.on_message
    async def last(message: Message) -> None:
        bot.runs += 1
        await bot.store.set("last", message.text)
        await bot.store.get("last")

    with Lab(bot) as lab:
        lab.start()
        lab.run(everybody([lab.person(f"p{number}") for number in range(10)], "says", "hello"))
        assert bot.runs == 10


# --- in the middle of something -----------------------------------------------------------------------------------------


def test_what_grew_is_shown_once_in_the_end():
    """Each reads its own number, whole, in one message."""
    bot = Bot()

    @bot.on_message
    async def count(message: Message):
        yield "you are "
        total = await bot.store.get("total", 0) + 1
        await bot.store.set("total", total)
        await asyncio.sleep(0.2)
        yield f"number {total}"

    with Lab(bot) as lab:
        lab.start()
        people = [lab.person(f"p{number}") for number in range(12)]
        lab.run(everybody(people, "says", "hello"))
        assert sorted(person.last.text for person in people) == sorted(f"you are number {number}" for number in range(1, 13))
        assert all(len(person.shown) == 2 for person in people)


def test_a_step_that_was_kept_is_not_lost_to_the_message_that_interrupted_it():
    """The interrupted handler runs again, to its end; the message that came is answered behind it."""
    bot = Bot()

    @bot.command("buy")
    async def buy(message: Message) -> str:
        async with step():
            total = await bot.store.get("sold", 0)
            await asyncio.sleep(1)
            await bot.store.set("sold", total + 1)
        await asyncio.sleep(5)
        return "bought"

    @bot.on_message
    async def echo(message: Message) -> str:
        return message.text

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        lab.start()
        people = [lab.person(f"p{number}") for number in range(6)]

        async def hurry(person):
            first = asyncio.ensure_future(person.says("/buy"))
            await asyncio.sleep(2)
            await person.says("well?")
            await first

        async def main():
            await asyncio.gather(*map(hurry, people))

        lab.run(main())
        assert kept(lab, "sold") == 6 and all(person.shown[-1] == "well?" for person in people)
        assert sum("bought" in person.shown for person in people) == 5  # the one that won was interrupted


# --- dialogs ---------------------------------------------------------------------------------------------------------------


def asking() -> Bot:
    """A bot that changes a value before its first question, between its questions and behind the last one."""
    bot = Bot()
    bot.asked = 0

    @bot.command("join")
    async def join(message: Message) -> str:
        number = len(await bot.store.get("began", [])) + 1
        await bot.store.append("began", message.sender)
        bot.asked += 1
        name = await ask(f"Name of number {number}?", timeout="1h")
        await bot.store.append("names", f"{message.sender} {name}")
        sure = await ask("Sure?", choices=["yes", "no"])
        people = await bot.store.get("people", {})
        people[message.sender] = f"{name} {sure}"
        await bot.store.set("people", people)
        return f"{len(people)} are in"

    return bot


@pytest.mark.parametrize("mode", ["queue", "debounce", "interrupt"])
def test_dialogs_lose_nothing_before_between_and_behind_their_questions(mode):
    """Twenty people answer at the same moments: each is asked once, and each value has all of them."""
    bot = asking()
    with Lab(bot, chat={"mode": mode}) as lab:
        people = [lab.person(f"p{number:02}") for number in range(20)]
        lab.start()
        lab.run(everybody(people, "says", "/join"))
        assert sorted(int(person.last.text.split()[-1][:-1]) for person in people) == list(range(1, 21))
        lab.run(everybody(people, "says", "Jo"))
        lab.run(everybody(people, "presses", "yes"))
        everyone = {f"p{number:02}" for number in range(20)}
        assert set(kept(lab, "began")) == everyone and len(kept(lab, "began")) == 20
        assert set(kept(lab, "names")) == {f"{name} Jo" for name in everyone} and len(kept(lab, "names")) == 20
        assert kept(lab, "people") == dict.fromkeys(sorted(everyone), "Jo yes")
        assert sorted(int(person.last.text.split()[0]) for person in people) == list(range(1, 21))
        assert {len(person.shown) for person in people} == {4} and bot.asked > 20


@pytest.mark.parametrize("point", [Point.BEFORE_HANDLER, Point.AFTER_HANDLER, Point.AFTER_COMPLETE])
@pytest.mark.parametrize("passes", [0, 5, 14])
def test_whoever_dies_between_losing_and_winning_has_lost_nothing(point, passes):
    """The bot dies at every stage of a dialog of six people, again and again: values and questions are as if it had not."""
    with Lab(asking()) as lab:
        people = [lab.person(f"p{number}") for number in range(6)]
        lab.start()
        for what, text in (("says", "/join"), ("says", "Jo"), ("presses", "yes")):
            lab.die_at(point, passes=passes)
            lab.run(everybody(people, what, text))
            lab.restart()
            lab.settle()
        assert len(kept(lab, "began")) == len(kept(lab, "names")) == len(kept(lab, "people")) == 6
        assert sorted(int(person.last.text.split()[0]) for person in people) == list(range(1, 7)) and not lab.letters
        for person in people:
            assert sum("Name" in text for text in person.shown) <= 2 and sum("are in" in text for text in person.shown) <= 2


async def test_first_questions_and_answers_to_one_value_never_wait_for_each_other(tmp_path):
    """A message that has its turn to be alone and lost against a first question has no worker: it keeps nobody out meanwhile."""
    bot, people = Bot(), 120

    @bot.command("book")
    async def book(message: Message, values: BotStore[int]) -> str:
        number = await values.get("n", 0)
        await asyncio.sleep(random.choice((0, 0.05)))
        await values.set("n", number + 1)
        return await ask(f"name of {number + 1}?")

    @bot.command("vote")
    async def vote(message: Message, values: BotStore[int]) -> str:
        number = await values.get("n", 0)
        await values.set("n", number + 1)
        return str(number + 1)

    talk = await Talk(bot, tmp_path, at_once=4).begin()
    for number in range(people):
        await talk.post("/book" if number % 2 else "/vote", Place("test", f"p{number}"), sender=f"p{number}")
    await talk.quiet()
    assert await talk.database.read_value("bot", "n") == str(people) and await talk.database.dead_letters() == []
    await talk.ends()
