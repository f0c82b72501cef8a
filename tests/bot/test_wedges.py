"""Handlers that do their worst to the engine: one message may end badly, its conversation and all others go on. In a Lab."""

from __future__ import annotations

import asyncio
import contextlib

from processsupervisor import Bot, Button, Reply, Schedule
from processsupervisor.chat.points import Point
from processsupervisor.chat.settings import FAILED
from processsupervisor.connectors.base import Capabilities
from processsupervisor.testing import Lab
from processsupervisor.testing.network import MemoryNetwork


async def stay() -> None:
    """Take no notice of any cancellation."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


def both(lab: Lab) -> None:
    """Let two people write at the same time."""

    async def main():
        await asyncio.gather(lab.person("ada").says("stay"), lab.person("bob").says("hi"))

    lab.run(main())


def test_a_message_under_suspicion_that_never_ends_holds_up_no_other():
    """What may have killed the bot runs alone, until it ends or its deadline does."""
    bot = Bot()

    @bot.on_message
    async def answer(message):
        if message.text == "stay":
            await stay()
        return f"echo {message.text}"

    with Lab(bot) as lab:
        lab.start()
        lab.die_at(Point.BEFORE_HANDLER, passes=1)
        both(lab)
        assert lab.is_dead
        lab.die_at(Point.BEFORE_HANDLER, passes=1)
        lab.restart()
        assert lab.is_dead
        lab.restart()
        lab.clock.advance("2m")
        assert lab.person("bob").shown[-1] == "echo hi"
        assert [letter.reason for letter in lab.letters] == ["timeout"]


def test_messages_made_one_that_are_given_up_are_all_kept():
    """Each has a letter of its own, and comes back with its own text."""
    bot = Bot()
    bot.works = False

    @bot.on_message
    async def answer(message):
        if not bot.works:
            raise ValueError
        return f"echo {message.text}"

    with Lab(bot, chat={"mode": "debounce", "retries": 0}) as lab:
        lab.start()

        async def main():
            await asyncio.gather(lab.say("one"), lab.say("two"))

        lab.run(main())
        assert sorted(letter.text for letter in lab.letters) == ["one", "two"]
        assert lab.you.shown.count(FAILED) == 1


def test_a_handler_that_swallows_its_cancellations_leaves_none_to_the_next():
    """The count of a task's cancellations is that of its own message, whoever works on in it."""
    bot = Bot()
    counts = []

    @bot.on_message
    async def answer(message):
        counts.append(asyncio.current_task().cancelling())
        if message.text == "deaf":
            for _ in range(2):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(100)
        return "told"

    with Lab(bot, chat={"mode": "interrupt"}) as lab:
        lab.start()

        async def main():
            first = asyncio.ensure_future(lab.say("deaf"))
            await asyncio.sleep(1)
            await asyncio.gather(first, lab.say("next"))

        lab.run(main())
        lab.say("last")
        assert counts == [0, 0, 0]


def test_a_handler_that_cancels_itself_is_a_failure_like_any_other():
    """The conversation goes on behind it, and nothing of the cancellation is left."""
    bot = Bot()

    @bot.on_message
    async def answer(message):
        if message.text == "cancel":
            asyncio.current_task().cancel()
            await asyncio.sleep(1)
        return f"echo {message.text} {asyncio.current_task().cancelling()}"

    with Lab(bot, chat={"retries": 1}) as lab:
        lab.say("cancel")
        assert lab.you.shown[-1] == FAILED and len(lab.letters) == 1
        lab.say("next")
        assert lab.you.shown[-1] == "echo next 0"


def test_a_reply_that_cannot_be_kept_is_given_up_like_one_that_is_none():
    """Nothing can make bytes of half a character; another try would make the same."""
    bot = Bot()

    @bot.on_message
    async def answer(message):
        if message.text == "half":
            await message.store.set("dropped", 1)
            return Reply("choose", buttons=[[Button("\ud83d", "half:1")]])
        return str(await message.store.keys())

    with Lab(bot) as lab:
        lab.say("half")
        assert lab.you.shown[-1] == FAILED and [letter.reason for letter in lab.letters] == ["bad-reply"]
        lab.say("keys")
        assert lab.you.shown[-1] == "[]"


def test_a_reply_of_nothing_but_space_that_is_too_long_is_left_out():
    """As a short one is; the message is through, and comes back at no start."""
    bot = Bot()
    heard = []

    @bot.on_message
    async def answer(message):
        heard.append(message.text)
        return " " * 5000 if message.text == "space" else "echo"

    with Lab(bot, network=MemoryNetwork(capabilities=Capabilities(max_text_chars=4096))) as lab:
        lab.say("space")
        lab.say("next")
        lab.restart()
        assert heard == ["space", "next"]
        assert lab.you.shown[-1] == "echo" and len(lab.you.shown) == 2 and lab.letters == []


def test_a_stream_that_ends_in_nothing_sends_nothing():
    """Only readers that pull have seen an id grow, which has to end."""
    bot = Bot()

    @bot.on_message
    async def plan(message, schedule: Schedule):
        await schedule.once("10s", "grow")
        return "planned"

    @bot.scheduled("grow")
    async def grow(message):
        yield "half"
        await asyncio.sleep(1)
        raise ValueError

    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("hi")
        lab.clock.advance("1m")
        assert [letter.reason for letter in lab.letters] == ["error"]
        assert lab.you.shown[-1] == "planned"
