"""Dialogs on a real database: a handler that asks goes on with the answer, in this life or a later one, and repeats nothing."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from tests.bot.talk import HERE, Talk

from processsupervisor import Bot
from processsupervisor.bot.dialogs import CANCELLED, CHANGED, CLOSED, FORGOTTEN, NOT_YOURS
from processsupervisor.bot.questions import AskTimeout, ask, once
from processsupervisor.kernel import clock
from processsupervisor.storage.records import Envelope, Kind, Place, RoomKind


@pytest.fixture
async def begin(tmp_path):
    """Begin a life of a bot; the one before ends first."""
    lives: list[Talk] = []

    async def start(bot: Bot, **settings) -> Talk:
        while lives:
            await lives.pop().ends()
        lives.append(await Talk(bot, tmp_path, **settings).begin())
        return lives[-1]

    yield start
    while lives:
        await lives.pop().ends()


def shop(seen: list[str] | None = None) -> Bot:
    """A bot whose command asks twice, reads and writes between, and counts what it really does."""
    bot = Bot()
    seen = seen if seen is not None else []

    @bot.command("order")
    async def order(message):
        seen.append("begun")
        number = await message.store.get("orders", 0) + 1
        await message.store.set("orders", number)
        yield f"Order {number}. "
        what = await ask("What do you want?")
        await message.store.append("list", what)
        luck = await once("luck", lambda: draw(seen))
        how_many = await ask(f"How many {what}?")
        yield f"{how_many} {what}, luck {luck}, order {await message.store.get('orders')}, {await message.store.get('list')}"

    @bot.command("list")
    async def show(message):
        return str(await message.store.get("list", []))

    @bot.on_message
    async def other(message):
        return f"not in a dialog: {message.text}"

    return bot


async def draw(seen: list[str]) -> int:
    seen.append("drawn")
    return 40 + len([one for one in seen if one == "drawn"])


async def test_a_handler_asks_and_goes_on_with_the_answer(begin):
    """What it answered before a question is sent with the question; behind the last one messages go their usual way."""
    seen = []
    talk = await begin(shop(seen))
    assert await talk.says("/order") == ["Order 1. ", "What do you want?"]
    assert await talk.says("tea") == ["How many tea?"]
    assert await talk.says("two") == ["two tea, luck 41, order 1, ['tea']"]
    assert await talk.says("three") == ["not in a dialog: three"]
    assert seen == ["begun", "drawn"]


async def test_after_a_restart_it_goes_on_where_it_was(begin):
    """The handler is played again: what it was told before is told again, nothing is done or said twice."""
    seen = []
    talk = await begin(shop(seen))
    await talk.says("/order")
    talk = await begin(shop(seen))
    assert await talk.says("tea") == ["How many tea?"]
    talk = await begin(shop(seen))
    assert await talk.says("two") == ["two tea, luck 41, order 1, ['tea']"]
    assert seen == ["begun", "drawn", "begun", "begun"][: len(seen)] or seen.count("drawn") == 1
    assert await talk.says("/list") == ["['tea']"]
    assert await talk.says("more") == ["not in a dialog: more"]
    assert await talk.database.dialog_places() == []


async def test_what_changed_meanwhile_does_not_confuse_it(begin):
    """A value that was read before the question is the same when the handler is played again, whatever it is now."""
    bot = Bot()

    @bot.command("sum")
    async def add(message):
        first = await message.store.get("n", 1)
        second = await ask("And?")
        return f"{first} + {second}, now {await message.store.get('n')}"

    @bot.command("set")
    async def put(message, n: int):
        await message.store.set("n", n)

    talk = await begin(bot)
    await talk.says("/sum")
    await talk.says("/set 7")
    talk = await begin(bot)
    assert await talk.says("2") == ["1 + 2, now 7"]


async def test_a_command_stands_beside_the_question_and_the_core_answers_itself(begin):
    """/list, /about and /help answer no question; another command that asks takes the dialog's place."""
    talk = await begin(shop())
    await talk.says("/order")
    assert await talk.says("/list") == ["[]"]
    assert await talk.says("/about") == ["A program."]
    assert (await talk.says("/help"))[0].startswith("I know")
    assert (await talk.says("/start"))[0].startswith("You agreed")
    assert await talk.says("/order") == ["Order 2. ", "What do you want?"]
    assert await talk.says("/unknown") == ["How many /unknown?"]


async def test_cancel_ends_the_dialog(begin):
    """/cancel, in this life or after a restart; without a dialog it is the author's."""
    seen = []
    talk = await begin(shop(seen))
    await talk.says("/order")
    assert await talk.says("/cancel") == [CANCELLED]
    assert await talk.says("tea") == ["not in a dialog: tea"]
    await talk.says("/order")
    talk = await begin(shop(seen))
    assert await talk.says("/cancel") == [CANCELLED]
    assert await talk.says("/cancel") == ["not in a dialog: /cancel"]


async def test_a_code_that_changed_ends_the_dialog_with_a_sentence(begin, caplog):
    """The journal does not fit: said in the log without anybody's words, told to the contact, and the conversation goes on."""
    talk = await begin(shop())
    await talk.says("/order")
    await talk.says("tea-for-nobody")

    other = Bot()

    @other.command("order")
    async def order(message):
        await message.store.get("something else")
        return await ask("?")

    caplog.set_level(logging.ERROR)
    talk = await begin(other)
    assert await talk.says("two") == [CHANGED]
    assert "the code of its handler is another one" in caplog.text and "step 1" in caplog.text
    assert "tea-for-nobody" not in caplog.text
    assert await talk.says("/order") == ["?"]
    talk = await begin(Bot())
    assert await talk.says("x") == [CHANGED]


async def test_a_journal_of_a_newer_version_is_not_guessed_at(begin, caplog):
    """The contact is told, the log names the version, and the dialog ends."""
    talk = await begin(shop())
    await talk.says("/order")
    await talk.database.run(lambda db: db.execute("UPDATE dialogs SET journal = replace(journal, '\"v\":1', '\"v\":9')"))
    talk = await begin(shop())
    assert await talk.says("tea") == [CHANGED]
    assert "version 9" in caplog.text
    assert await talk.says("tea") == ["not in a dialog: tea"]


async def test_a_handler_that_ends_too_early_does_not_fit_either(begin):
    """One that asks no more is no reason to answer with its first words again."""
    talk = await begin(shop())
    await talk.says("/order")
    await talk.says("tea")
    shorter = Bot()

    @shorter.command("order")
    async def order(message):
        number = await message.store.get("orders", 0) + 1
        await message.store.set("orders", number)
        return "done"

    talk = await begin(shorter)
    assert await talk.says("two") == [CHANGED]


async def test_choices_are_buttons_numbers_or_words(begin):
    """Anything else is asked again; a button of a question that is closed says so."""
    bot = Bot()

    @bot.command("tea")
    async def tea(message):
        kind = await ask("Which?", choices=["Green", "Black"])
        sugar = await ask("Sugar?", choices=["yes", "no"])
        return f"{kind}, {sugar}"

    talk = await begin(bot)
    await talk.says("/tea")
    assert [[button.label for button in row] for row in talk.out[-1].extras.buttons] == [["Green", "Black"]]
    assert await talk.says("white") == ["Please choose: Green, Black."]
    assert await talk.presses("Black") == ["Sugar?"]
    assert talk.out[-1].extras.acknowledges == "t"
    assert await talk.presses("Green") == [CLOSED]
    talk = await begin(bot)
    assert await talk.says("2") == ["Black, no"]
    await talk.says("/tea")
    assert await talk.says(" green. ") == ["Sugar?"]


async def test_in_a_group_only_who_was_asked_answers(begin):
    """Others go on talking to the bot."""
    talk = await begin(shop())
    group = Envelope(room=RoomKind.GROUP)
    await talk.says("/order", envelope=group)
    assert await talk.says("me too", envelope=group, sender="bob") == ["not in a dialog: me too"]
    assert await talk.says("tea", envelope=group) == ["How many tea?"]


async def test_in_a_group_a_button_is_for_who_was_asked(begin):
    """Somebody else who presses it is told so, and the question stays open."""
    bot = Bot()

    @bot.command("tea")
    async def tea(message):
        return f"{await ask('Which?', choices=['Green', 'Black'])}"

    talk = await begin(bot)
    await talk.says("/tea", envelope=Envelope(room=RoomKind.GROUP))
    pressed = Envelope(room=RoomKind.GROUP, about="m1", token="t")
    data = talk.out[-1].extras.buttons[0][0].data
    assert await talk.says(data, kind=Kind.BUTTON, envelope=pressed, sender="bob") == [NOT_YOURS]
    assert talk.out[-1].extras.acknowledges == "t"
    assert await talk.says(data, kind=Kind.BUTTON, envelope=pressed) == ["Green"]


async def late(talk: Talk) -> list[str]:
    """Fire the timers as if a day had gone by, and return what was said."""
    before = len(talk.out)
    talk.pump.put(await talk.database.fire_timers(clock.wall() + 86400))
    await talk.quiet()
    return [out.text for out in talk.out[before:]]


def timed() -> Bot:
    bot = Bot()

    @bot.command("name")
    async def name(message):
        try:
            answer = await ask("Your name?", timeout="10m")
        except AskTimeout:
            yield "Never mind."
            return
        yield f"Hello {answer}. "
        await ask("And your age?", timeout="10m")
        yield "Thanks."

    return bot


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_question_has_a_deadline_that_lasts(begin, restarts):
    """AskTimeout is raised in the handler, in this life or the next; one that it lets through ends it quietly."""
    talk = await begin(timed())
    await talk.says("/name")
    talk = await begin(timed()) if restarts else talk
    assert await late(talk) == ["Never mind."]
    await talk.says("/name")
    assert await talk.says("Ada") == ["Hello Ada. ", "And your age?"]
    talk = await begin(timed()) if restarts else talk
    assert await late(talk) == []
    assert await late(talk) == [] and await talk.database.dialog_places() == []


async def test_a_question_without_a_deadline_takes_the_one_before_away(begin):
    """No timer is left when the handler asks on without one, nor when it has ended."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        await ask("First?", timeout="1h")
        await ask("Second?")
        await ask("Third?", timeout="1h")

    talk = await begin(bot)
    counts = []
    for text in ("/go", "1", "2", "3"):
        await talk.says(text)
        counts.append(len(await talk.database.timers()))
    assert counts == [1, 0, 1, 0]


async def test_a_deadline_that_comes_behind_the_answer_is_none(begin):
    """The timer of an answered question changes nothing, also when it had fired already."""
    talk = await begin(timed())
    await talk.says("/name")
    fired = await talk.database.fire_timers(clock.wall() + 86400)
    assert await talk.says("Ada") == ["Hello Ada. ", "And your age?"]
    before = len(talk.out)
    talk.pump.put(fired)
    await talk.quiet()
    assert len(talk.out) == before
    assert await talk.says("40") == ["Thanks."]


async def test_a_handler_that_fails_behind_an_answer_is_tried_again_from_the_question(begin):
    """The answer is not lost, and what was committed with the question is not done again."""
    bot, tries = Bot(), []

    @bot.command("go")
    async def go(message):
        await message.store.append("log", "asked")
        answer = await ask("Go?")
        tries.append(answer)
        await message.store.append("log", "answered")
        if len(tries) < 2:
            raise RuntimeError
        return str(await message.store.get("log"))

    talk = await begin(bot, retries=1)
    talk.pump.answering.retry_after_s = (0.0,)
    await talk.says("/go")
    assert await talk.says("yes") == ["['asked', 'answered']"]
    assert tries == ["yes", "yes"]


async def test_what_is_too_much_in_memory_sleeps_and_what_is_too_much_on_disk_is_told(begin):
    """The limits hold; a dialog that sleeps goes on, one that is forgotten says so once."""
    talk = await begin(shop())
    dialogs = talk.pump.answering.dialogs
    dialogs._most_awake, dialogs._most = 2, 4
    places = [Place("test", str(number)) for number in range(5)]
    for place in places:
        await talk.says("/order", place)
    assert len(dialogs._awake) == 2
    assert [out.text for out in talk.out if out.place == places[0]][-1] == FORGOTTEN
    assert await talk.says("tea", places[0]) == ["not in a dialog: tea"]
    assert await talk.says("tea", places[1]) == ["How many tea?"]
    assert len(await talk.database.dialog_places()) == 4


async def test_a_handler_that_waits_changes_nothing_when_the_bot_ends(begin):
    """What it does while it is taken down has no effect, and the next life asks it again."""
    bot = Bot()

    @bot.command("go")
    async def go(message):
        try:
            return f"got {await ask('Go?')}"
        finally:
            await message.store.set("torn", True)

    @bot.on_message
    async def look(message):
        return str(await message.store.get("torn"))

    talk = await begin(bot)
    await talk.says("/go")
    assert await talk.says("/cancel") == [CANCELLED]
    assert await talk.says("look") == ["None"], "nor when it is cancelled"
    await talk.says("/go")
    talk = await begin(bot)
    assert await talk.says("/nothing", Place("test", "b")) == ["None"]
    assert json.loads(await talk.database.read_value("c4:test:a", "torn") or "null") is None
    assert await talk.says("on") == ["got on"]
    assert json.loads(await talk.database.read_value("c4:test:a", "torn")) is True


async def test_a_task_of_the_handler_cannot_ask(begin):
    """It is told how to write it instead."""
    bot, said = Bot(), []

    @bot.command("go")
    async def go(message):
        try:
            await asyncio.create_task(ask("Go?"))
        except Exception as err:
            said.append(str(err))

    talk = await begin(bot)
    await talk.says("/go")
    assert "timeout=" in said[0]
    assert HERE not in await talk.database.dialog_places()
