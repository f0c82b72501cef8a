"""Values of the whole bot that are changed outside of handlers too, and who is given up in the end."""

from __future__ import annotations

import asyncio

import pytest

from processsupervisor import Bot, BotStore, Message
from processsupervisor.kernel.errors import UsageError
from processsupervisor.testing import Lab


def kept(lab: Lab, key: str):
    return lab.run(lab.bot.store.get(key))


def test_update_counts_beside_handlers():
    """A task of the bot's own, fifty calls of update at once, and handlers: nothing is lost."""
    bot = Bot()

    @bot.on_message
    async def count(message: Message, totals: BotStore[int]) -> str:
        return str(await totals.update("total", lambda total: total + 1, 0))

    with Lab(bot) as lab:
        lab.start()

        async def main():
            updates = [bot.store.update("total", lambda total: total + 1, 0) for _ in range(50)]
            appended = [bot.store.append("list", number) for number in range(20)]
            people = [lab.person(f"p{number}").says("hello") for number in range(10)]
            done = await asyncio.gather(*updates, *people, *appended)
            assert len(set(done[:50])) == 50 and sorted(done[60:]) == list(range(1, 21))

        lab.run(main())
        assert kept(lab, "total") == 60 and sorted(kept(lab, "list")) == list(range(20))


def test_a_value_that_is_set_from_outside_again_and_again_leaves_a_handler_its_turn():
    """Each second a task of the bot's own sets what a handler reads, and changes two seconds later."""
    bot = Bot()
    bot.runs = 0

    @bot.lifespan
    async def beat():
        async def tick():
            while True:
                await asyncio.sleep(1)
                await bot.store.set("beat", asyncio.get_running_loop().time())

        task = asyncio.create_task(tick())
        yield
        task.cancel()

    @bot.on_message
    async def count(message: Message) -> str:
        bot.runs += 1
        beats = await bot.store.get("beat", 0)
        await asyncio.sleep(2.5)
        await bot.store.set("beat", beats + 1)
        return "done"

    with Lab(bot) as lab:
        lab.start()

        async def main():
            said = asyncio.ensure_future(lab.say("hello"))
            await lab.clock.advance(30)
            await said

        lab.run(main())
        lab.sees("done")
        assert bot.runs == 4 and not lab.letters


def test_update_of_a_missing_value_begins_with_the_default_each_time():
    """A default that `change` changes is not changed for the next try."""
    bot = Bot()
    with Lab(bot) as lab:
        lab.start()

        def add(values):
            values.append(1)
            return values

        async def main():
            await asyncio.gather(bot.store.update("a", add, []), bot.store.set("b", 1), bot.store.update("a", add, []))

        lab.run(main())
        assert kept(lab, "a") == [1, 1]

        async def later(value):
            return value

        with pytest.raises(UsageError, match="plain function"):
            lab.run(bot.store.update("a", later, []))
        assert kept(lab, "a") == [1, 1]


def test_a_message_that_never_wins_is_given_up(caplog, monkeypatch):
    """Thirty times is the end: an apology, and a letter. What writes here waits for nobody, as nothing of the bot's own does."""
    monkeypatch.setattr("processsupervisor.storage.alone.Alone.has", lambda *_: False)
    bot = Bot()
    bot.runs = 0
    wanted: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    @bot.on_start
    async def begin() -> None:
        async def spoil():
            while True:
                done = await wanted.get()
                await bot.store.set("total", bot.runs)
                done.set()

        bot.task = asyncio.create_task(spoil())

    @bot.on_stop
    async def end() -> None:
        bot.task.cancel()

    @bot.on_message
    async def count(message: Message) -> str:
        bot.runs += 1
        total = await bot.store.get("total", 0)
        done = asyncio.Event()
        wanted.put_nowait(done)
        await done.wait()
        await bot.store.set("total", total + 1)
        return "never"

    with Lab(bot) as lab:
        lab.say("hello")
        assert bot.runs == 30 and len(lab.letters) == 1 and "Sorry" in lab.you.last.text
        assert "others changed what it had read" in caplog.text
