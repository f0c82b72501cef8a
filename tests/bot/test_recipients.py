"""Who may be written to first: all who agreed, and nobody who left."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from processsupervisor import Bot, Message, Recipient, Refused, ask
from processsupervisor.bot import journal, recipients
from processsupervisor.testing import Lab


def telling() -> Bot:
    bot = Bot()
    bot.looked = asyncio.Event()
    bot.wait_s = 0.0

    @bot.scheduled("tell")
    async def tell(message: Message) -> None:
        async for one in bot.recipients():
            with suppress(Refused):
                await bot.send(one.network, one.conversation, "news")
        await asyncio.sleep(bot.wait_s)

    @bot.command("who")
    async def who(message: Message) -> str:
        said = await ask("Sure?")
        return f"{said}: {' '.join([one.conversation async for one in bot.recipients()])}"

    return bot


def test_all_who_agreed_and_can_be_reached(monkeypatch):
    """Page after page, in every room; not who said nothing, said /stop or went away."""
    monkeypatch.setattr(recipients, "_PAGE", 2)
    bot = telling()
    with Lab(bot) as lab:
        lab.start()

        async def found():
            return [one async for one in bot.recipients()]

        assert lab.run(found()) == []
        for name in ("eve", "bob", "ada", "out", "gone"):
            lab.person(name).says("/start")
        lab.person("silent").says("hello")
        lab.person("out").says("/stop")
        lab.person("gone").leaves()
        group = lab.group("club")
        group.adds_bot()
        group.person("ada").says("/start", is_addressed=True)
        everyone = lab.run(found())
        assert [one.conversation for one in everyone] == ["ada", "bob", "club", "eve"]
        assert everyone[0] == Recipient("memory", "ada") and not everyone[2].is_private
        assert lab.run(bot.schedule.once(1, "tell")).handler == "tell"
        lab.clock.advance(2)
        assert [name for name in ("ada", "bob", "eve", "out", "gone", "silent") if "news" in lab.person(name).shown] == ["ada", "bob", "eve"]
        assert group.shown[-1] == "news" and not lab.letters


@pytest.mark.parametrize("does", [lambda person: person.says("/stop"), lambda person: person.leaves()])
def test_who_leaves_between_the_look_and_the_send_gets_nothing_and_all_others_do(monkeypatch, does):
    """The loop passes over her: nothing fails."""
    bot = telling()
    with Lab(bot) as lab:
        for name in ("ada", "bob", "eve"):
            lab.person(name).says("/start")

        async def main():
            seen = []
            async for one in bot.recipients():
                if one.conversation == "ada":
                    await does(lab.person("bob"))
                with suppress(Refused):
                    await bot.send(one.network, one.conversation, "news")
                    seen.append(one.conversation)
            return seen

        assert lab.run(main()) == ["ada", "eve"]
        lab.settle()
        assert [name for name in ("ada", "bob", "eve") if "news" in lab.person(name).shown] == ["ada", "eve"]


def test_who_says_stop_while_the_handler_still_runs_gets_nothing():
    """It looked a while ago: what counts is the moment of the commit."""
    bot = telling()
    bot.wait_s = 10.0
    with Lab(bot) as lab:
        for name in ("ada", "bob"):
            lab.person(name).says("/start")
        lab.run(bot.schedule.once(1, "tell"))

        async def main():
            advancing = asyncio.ensure_future(lab.clock.advance(20))
            await asyncio.sleep(5)
            await lab.person("bob").says("/stop")
            await advancing

        lab.run(main())
        assert lab.person("ada").shown[-1] == "news" and "news" not in lab.person("bob").shown


def test_a_schedule_of_the_whole_bot_may_write_to_more_than_a_dialog_may_remember(monkeypatch):
    """Nothing of it is ever played again, so nothing is noted."""
    monkeypatch.setattr(journal, "MAX_ENTRIES", 5)
    bot = telling()
    with Lab(bot) as lab:
        lab.start()

        async def main():
            await asyncio.gather(*(lab.person(f"p{number}").says("/start") for number in range(12)))

        lab.run(main())
        lab.run(bot.schedule.once(1, "tell"))
        lab.clock.advance(2)
        assert sum(look.text == "news" for look in lab.sent) == 12


def test_a_dialog_that_is_played_again_is_told_the_same(monkeypatch):
    """The pages stand in its journal, as all that it was told."""
    monkeypatch.setattr(recipients, "_PAGE", 2)
    bot = telling()

    @bot.command("before")
    async def before(message: Message) -> str:
        names = [one.conversation async for one in bot.recipients()]
        await ask("Sure?")
        return " ".join(names)

    with Lab(bot) as lab:
        for name in ("ada", "bob", "eve"):
            lab.person(name).says("/start")
        lab.say("/before")
        lab.person("zoe").says("/start")
        lab.kill()
        lab.restart()
        lab.say("yes")
        lab.sees("ada bob eve")
        lab.say("/who")
        lab.say("yes")
        lab.sees("yes: ada bob eve zoe")
