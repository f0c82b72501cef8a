"""Dialogs beside everything else a handler can do: middlewares, files, deadlines, errors of every kind, random deaths."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from processsupervisor import AskTimeout, Bot, Conversation, File, Message, Reply, Schedule, ask, once
from processsupervisor.chat.points import Point
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Place
from processsupervisor.testing import Lab
from processsupervisor.testing.network import MemoryNetwork


def test_a_middleware_stands_around_the_whole_dialog():
    """It is begun once for the handler, and again only where the handler is played again; what it adds is told with the end."""
    bot, begun = Bot(), []

    @bot.middleware
    async def around(message, call_next):
        begun.append(message.text)
        answer = await call_next(message)
        return f"<{answer}>"

    @bot.command("go")
    async def go(message):
        return f"{await ask('First?')} {await ask('Second?')}"

    with Lab(bot) as lab:
        for text, seen in (("/go", "First?"), ("one", "Second?"), ("two", "<one two>")):
            lab.say(text)
            lab.sees(seen)
        assert begun == ["/go"]


def test_a_question_may_have_a_file_and_an_answer_too():
    """A file of a reply before the question is kept once; the answer's message has its files, after a restart as well."""
    bot = Bot()

    @bot.command("go")
    async def go(message: Message, conversation: Conversation):
        yield Reply("Look:", files=[File(b"picture", name="a.png")])
        said = await conversation.ask(Reply("And yours?", files=[File(b"other", name="b.png")]))
        (file,) = said.message.attachments
        yield await once("read", lambda: content_of(file))
        await ask("More?")
        yield f"{said.message.attachments[0].name}"

    async def content_of(file):
        return (await file.read()).decode()

    with Lab(bot) as lab:
        lab.say("/go")
        assert [one.content for one in lab.sees("Look").value.files] == [b"picture"]
        assert [one.content for one in lab.sees("And yours?").value.files] == [b"other"]
        lab.kill()
        lab.restart()
        lab.you.sends(b"mine", "mine.txt")
        lab.sees("mine")
        lab.kill()
        lab.restart()
        lab.say("no")
        lab.sees("mine.txt")
        assert len([look for look in lab.sent if look.shown.files]) == 2


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, BaseException])
def test_whatever_a_handler_raises_behind_an_answer(error):
    """It is tried again from the question, given up as a dead letter, and the question stays open."""
    bot, tries = Bot(), []

    @bot.command("go")
    async def go(message):
        said = await ask("Go?")
        tries.append(str(said))
        if said != "well":
            raise error
        return "done"

    with Lab(bot, chat={"retries": 1}) as lab:
        lab.say("/go")
        lab.sees("Go?")
        lab.say("badly")
        lab.sees("Sorry")
        assert tries == ["badly", "badly"]
        assert [letter.text for letter in lab.letters] == ["badly"]
        lab.say("well")
        lab.sees("done")


def test_one_that_takes_too_long_behind_an_answer():
    """Its deadline ends it; the question stays open, and /cancel ends the dialog."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        if await ask("Go?") == "slowly":
            await asyncio.sleep(1000)
        return "done"

    @bot.on_message
    async def other(message):
        return "other"

    with Lab(bot, chat={"deadline": "5s", "retries": 0}) as lab:
        lab.say("/go")
        lab.say("slowly")
        assert lab.letters[0].reason == "timeout"
        lab.say("fast")
        lab.sees("done")
        lab.say("/go")
        lab.say("slowly")
        lab.say("/cancel")
        lab.sees("Cancelled")
        lab.say("hello")
        lab.sees("other")


def test_what_is_scheduled_may_ask():
    """A handler of a schedule asks in its conversation; one of the whole bot has nobody to ask."""
    bot = Bot()

    @bot.command("later")
    async def later(message: Message, schedule: Schedule):
        await schedule.once("1h", "evening")

    @bot.scheduled("evening")
    async def evening(message: Message):
        return f"You said: {await ask('How was your day?')}"

    @bot.scheduled("nobody")
    async def nobody(message: Message):
        await ask("Is anybody there?")

    @bot.on_start
    async def begin():
        await bot.schedule.every("1d", "nobody")

    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("/later")
        lab.clock.advance("1h")
        lab.sees("How was your day?")
        lab.restart()
        lab.say("long")
        lab.sees("You said: long")
        lab.clock.advance("1d")
        assert "UsageError" in lab.letters[0].detail


def test_questions_outside_of_a_handler_are_told():
    """Nobody is there to be asked."""
    with pytest.raises(Exception, match="in a handler"):
        asyncio.run(ask("?"))


def test_a_handler_that_was_told_too_much_says_so():
    """The journal has a limit; the handler hears of it where it asks."""
    bot, said = Bot(), []

    @bot.command("go")
    async def go(message):
        await message.store.set("big", "x" * 900_000)
        for number in range(2):
            await message.store.get("big")
        try:
            await ask("Go?")
        except Exception as err:
            said.append(str(err))

    with Lab(bot) as lab:
        lab.say("/go")
    assert "1048576" in said[0]


POINTS = [Point.BEFORE_ACCEPT, Point.AFTER_ACCEPT, Point.BEFORE_HANDLER, Point.AFTER_HANDLER, Point.AFTER_COMPLETE, Point.BEFORE_SEND, Point.AFTER_SEND]


@pytest.mark.parametrize("seed", range(12))
def test_random_deaths_lose_and_double_nothing(seed):
    """Three people answer six questions each while the bot dies at random points: each sees every question once, and ends with its answers."""
    chance = random.Random(seed)
    bot = Bot()

    @bot.command("go")
    async def go(message):
        said = []
        for number in range(6):
            said.append(await ask(f"Question {number}?", timeout="1d"))
            await message.store.append("said", said[-1])
        return f"{said} {await message.store.get('said') == said}"

    with Lab(bot) as lab:
        people = [lab.person(name) for name in ("ada", "bob", "eve")]
        done = dict.fromkeys(people, -1)
        while any(count < 6 for count in done.values()):
            person = chance.choice([person for person, count in done.items() if count < 6])
            if chance.random() < 0.4:
                lab.die_at(chance.choice(POINTS), passes=chance.randrange(2))
            person.says("/go" if done[person] < 0 else f"a{done[person]}")
            if lab.is_dead or chance.random() < 0.1:
                lab.restart()
            lab.settle()
            done[person] += 1
        if lab.is_dead:
            lab.restart()
        lab.clock.advance("1m")
        for person in people:
            expected = [*(f"Question {number}?" for number in range(6)), f"{[f'a{number}' for number in range(6)]} True"]
            assert [text for text in person.shown if "program" not in text] == expected


def test_in_a_group_everybody_may_answer_what_a_schedule_asks():
    """Nobody wrote the message that its handler runs for; after a kill it is the same."""
    bot = Bot()

    @bot.command("go")
    async def go(message: Message, schedule: Schedule):
        await schedule.once("1m", "ask")

    @bot.scheduled("ask")
    async def ask_all(message):
        return f"{await ask('How?', choices=['good', 'bad'])} and {await ask('Why?')}"

    with Lab(bot) as lab:
        team = lab.group("team")
        team.adds_bot()
        team.person("ada").says("/go")
        lab.clock.advance("1m")
        team.sees("How?")
        lab.kill()
        lab.restart()
        team.person("bob").presses("good")
        team.person("ada").says("because", to=team.sees("Why?").value)
        team.sees("good and because")


@pytest.mark.parametrize("kind", ["function", "lambda", "async", "coroutine"])
def test_once_takes_what_an_author_writes(kind):
    """Chance is naturally a plain function; drawn once, whichever it is."""
    bot, drawn = Bot(), []

    def draw():
        drawn.append(1)
        return len(drawn)

    async def draw_async():
        return draw()

    @bot.command("go")
    async def go(message):
        work = {"function": draw, "lambda": lambda: 0 + draw(), "async": draw_async, "coroutine": draw_async()}
        others = [work.pop("coroutine")] if kind != "coroutine" else []
        for other in others:
            other.close()
        luck = await once("luck", work[kind])
        await ask("On?")
        return f"luck {luck}"

    with Lab(bot) as lab:
        lab.say("/go")
        lab.kill()
        lab.restart()
        lab.say("yes")
        lab.sees("luck 1")
    assert drawn == [1]


@pytest.mark.parametrize(
    ("work", "told"),
    [(5, "once is given a int, expected a function"), (lambda: {1}, "what once is to keep is not JSON: it holds a set")],
)
def test_what_once_cannot_keep_is_told_in_words(work, told):
    """The letter of the message says what was expected."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        await once("luck", work)

    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("/go")
        assert told in lab.letters[0].detail


def test_once_returns_the_same_the_first_time_too():
    """What JSON makes of a value is what a handler gets, and not only when it is played again."""
    bot, seen = Bot(), []

    async def pair():
        return (1, {2: 3})

    @bot.command("go")
    async def go(message):
        seen.append(await once("pair", pair))
        await ask("On?")
        return "end"

    with Lab(bot) as lab:
        lab.say("/go")
        lab.kill()
        lab.restart()
        lab.say("yes")
        lab.sees("end")
    assert seen == [[1, {"2": 3}]] * 2


def test_a_conversation_that_moves_while_a_question_is_kept_is_answered_where_it_is_then(monkeypatch):
    """The first question of a life waits for the disk before anything of it is noted."""
    bot = Bot()

    @bot.command("later")
    async def later(message: Message, schedule: Schedule):
        await schedule.once("1h", "asks")

    @bot.scheduled("asks")
    async def asks(message: Message):
        return f"you said {await ask('What?')}"

    read = BotDatabase.dialog_places
    old, new = Place("memory", "you"), Place("memory", "there")

    async def moving(self):
        monkeypatch.setattr(BotDatabase, "dialog_places", read)
        found = await read(self)
        await lab._stage.life.service.pump.moved(old, new)
        return found

    with Lab(bot) as lab:
        lab.say("/later")
        lab.restart()
        monkeypatch.setattr(BotDatabase, "dialog_places", moving)
        lab.clock.advance("1h")
        there = lab.person("there")
        there.sees("What?")
        there.says("this")
        there.sees("you said this")


def test_what_a_step_does_with_the_bot_itself_is_not_played_again():
    """A store used in `once`, and a file of a message sent first, before a question that a restart comes behind."""
    bot = Bot()

    @bot.command("book")
    async def book(message):
        seats = await ask("How many?")
        taken = await once("reserve", lambda: bot.store.append("taken", str(seats)))
        await bot.send("memory", "you", Reply("ticket", files=[File(b"x", name="t.txt")]))
        return f"{seats} {taken} {await ask('Sure?')}"

    with Lab(bot) as lab:
        for text in ("/start", "/book", "4"):
            lab.say(text)
        lab.sees("Sure?")
        lab.kill()
        lab.restart()
        lab.say("yes")
        lab.sees("4 1 yes")
        assert lab.run(bot.store.get("taken")) == ["4"] and lab.you.shown.count("ticket") == 1


def test_nobody_is_asked_inside_of_once():
    """An answer would be part of a step that is never played again."""
    bot, told = Bot(), []

    @bot.command("go")
    async def go(message):
        try:
            await once("form", lambda: ask("Name?"))
        except UsageError as err:
            told.append(err.message)

    with Lab(bot) as lab:
        lab.say("/go")
        lab.say("ada")
        assert told == ["a function that `once` calls can ask nobody"]


def test_half_a_character_of_another_service_is_kept_with_a_question():
    """JSON may have it, no database takes it as it is."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        smile = await once("look", smiling)
        await ask("Well?")
        return str(len(smile))

    async def smiling():
        return "smile \ud83d"

    with Lab(bot) as lab:
        lab.say("/go")
        lab.kill()
        lab.restart()
        lab.say("well")
        lab.sees("7")


def test_a_question_that_could_not_be_kept_waits_for_nothing():
    """Its message is a dead letter, the next one an ordinary message, and nothing of the handler counts."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        await message.store.set("half a character: \ud83d", True)
        await ask("Well?")
        await message.store.set("answered", True)

    @bot.on_message
    async def other(message):
        return f"kept {await message.store.keys()}"

    with Lab(bot) as lab:
        lab.say("/go")
        lab.say("hello")
        lab.sees("kept []")
        assert [letter.reason for letter in lab.letters] == ["bad-reply"]


def test_a_handler_that_was_given_up_cannot_ask_any_more():
    """The next message is no answer to it."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        while loop.time() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(end - loop.time())
        return await ask("sure?")

    @bot.on_message
    async def other(message):
        return "usual"

    with Lab(bot, chat={"retries": 0, "deadline": "10s"}) as lab:
        lab.say("/go")
        lab.clock.advance("1m")
        lab.say("hello")
        lab.sees("usual")


def test_a_handler_that_fails_behind_its_deadline_leaves_no_question_open():
    """The deadline has been used up: nothing else would ever end it."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        try:
            await ask("Sure?", timeout="1m")
        except AskTimeout:
            raise RuntimeError("service down") from None

    @bot.on_message
    async def other(message):
        return "usual"

    with Lab(bot, chat={"retries": 0}) as lab:
        lab.say("/go")
        lab.clock.advance("2m")
        assert [letter.reason for letter in lab.letters] == ["error"]
        lab.say("hello")
        lab.sees("usual")


class Late(MemoryNetwork):
    """Brings what waits there a moment after it has proved itself, as a first poll does."""

    def connect(self, receiver):
        asyncio.get_running_loop().call_later(0.5, super().connect, receiver)


@pytest.mark.parametrize("answers", [True, False])
def test_an_answer_in_time_that_the_network_brings_behind_the_deadline_counts(answers):
    """It was said while the bot was away. Without one the deadline comes some seconds behind the start."""
    bot = Bot()

    @bot.command("sure")
    async def sure(message: Message):
        try:
            return f"you said {await ask('Sure?', timeout='10m')}"
        except AskTimeout:
            return "too late"

    with Lab(bot, network=Late()) as lab:
        lab.clock.advance("1s")
        lab.say("/sure")
        lab.sees("Sure?")
        lab.kill()
        lab.clock.advance("1m")
        if answers:
            lab.say("yes")
        lab.clock.advance("1h")
        lab.restart()
        lab.clock.advance("10s")
        lab.sees("you said yes" if answers else "too late")


def test_a_network_that_stays_away_holds_a_deadline_up_for_half_a_minute():
    """And no schedule."""
    bot = Bot()
    heard = []

    @bot.command("sure")
    async def sure(message: Message, schedule: Schedule):
        await schedule.once("5m", "tick")
        try:
            await ask("Sure?", timeout="10m")
        except AskTimeout:
            heard.append("too late")

    @bot.scheduled("tick")
    async def tick(message: Message):
        heard.append("tick")

    with Lab(bot) as lab:
        lab.say("/sure")
        lab.kill()
        lab.network.unknown = NetworkError(ErrorKind.TRANSIENT, "away")
        lab.clock.advance("1h")
        lab.restart()
        lab.clock.advance("29s")
        assert heard == ["tick"]
        lab.clock.advance("10s")
        assert heard == ["tick", "too late"]
