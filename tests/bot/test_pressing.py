"""What is typed where there are no buttons to press: a number or a label is a press, everything else a message."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest
from tests.bot.talk import HERE, Talk

from processsupervisor import AskTimeout, Bot, Button, Edit, Message, Reply, ask
from processsupervisor.storage.known import HistoryEntry
from processsupervisor.storage.records import Extras, Kind
from processsupervisor.testing import Lab


def make_bot() -> Bot:
    """Return a bot that offers buttons, and answers everything else with what it heard."""
    bot = Bot()

    @bot.command("vote")
    async def vote(message: Message) -> Reply:
        return Reply("Pizza?", buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")], [Button("Menu", url="https://example.org")]])

    @bot.command("rate")
    async def rate(message: Message) -> Reply:
        return Reply("How good?", buttons=[[Button(str(stars), f"vote:{stars}") for stars in (5, 4, 3)]])

    @bot.button("vote")
    async def voted(message: Message, choice: str) -> Edit:
        return Edit(f"{message.kind} {choice} of {message.about}", buttons=[[Button("Again", "vote:again")]])

    @bot.command("count")
    async def count(message: Message) -> str:
        return f"{await ask('How many?')} they are"

    @bot.command("seat")
    async def seat(message: Message) -> str:
        try:
            return f"You sit {await ask('Where?', choices=['Inside', 'Outside'], timeout='1h')}."
        except AskTimeout:
            return "nowhere"

    @bot.on_message
    async def echo(message: Message) -> str:
        return f"heard {message.text}"

    return bot


def extras_of(*buttons: Button) -> Extras:
    return Extras(buttons=(tuple(button.row for button in buttons),))


@pytest.fixture
async def talk(tmp_path):
    made = await Talk(make_bot(), tmp_path).begin()
    yield made
    await made.ends()


@pytest.mark.parametrize("typed", ["1", "yes", " YES ", "Yes"])
async def test_a_number_or_a_label_is_the_press_of_that_button(talk, typed):
    """The handler of buttons gets its data, and the message that it belongs to."""
    await talk.says("/vote")
    shown = talk.out[-1].id
    assert await talk.says(typed) == [f"button yes of {shown}"]
    assert talk.out[-1].extras.edits == f"net:{shown}"


@pytest.mark.parametrize("typed", ["3", "0", "yes please", "Yes!", "Menu", "yes\nno", "", "1" * 300])
async def test_everything_else_is_a_message(talk, typed):
    """Another number, other words, what opens an address, several lines."""
    await talk.says("/vote")
    assert await talk.says(typed) == [f"heard {typed}"]


async def test_only_the_latest_message_can_be_pressed(talk):
    """Whatever was said behind it, the number means nothing any more; an edit is the latest, and stands for the first message."""
    await talk.says("/vote")
    shown = talk.out[-1].id
    await talk.says("no")
    assert await talk.says("1") == [f"button again of {shown}"]
    assert await talk.says("hello") == ["heard hello"]
    assert await talk.says("1") == ["heard 1"]
    await talk.says("/vote")
    await talk.database.send("other", HERE, "Good morning.")
    assert await talk.says("Yes") == ["heard Yes"]


async def test_buttons_that_are_sent_first_can_be_pressed(talk):
    """They count from their commit on, also where it was known that none were shown."""
    assert await talk.says("1") == ["heard 1"] and not talk.database.may_show_buttons(HERE)
    assert await talk.says("2") == ["heard 2"]
    await talk.database.send("first-1", HERE, "Pizza!", extras_of(Button("Yes", "vote:yes"), Button("No", "vote:no")))
    assert await talk.says("2") == ["button no of first-1"]


async def test_numbers_on_buttons_are_labels(talk):
    """Nobody means the third button by a 3 that stands on another one."""
    await talk.says("/rate")
    assert (await talk.says("3"))[0].startswith("button 3 of")
    await talk.says("/rate")
    assert await talk.says("1") == ["heard 1"]


async def test_the_next_life_knows_what_was_shown(talk, tmp_path):
    """From the outbox, for what was typed before it came as well."""
    await talk.says("/vote")
    shown = talk.out[-1].id
    await talk.ends()
    again = await Talk(make_bot(), tmp_path).begin()
    assert await again.says("2") == [f"button no of {shown}"]
    await again.ends()


async def test_a_press_stays_one_over_tries_and_replays(talk, tmp_path):
    """It is committed before its handler runs: something else is the latest message when that runs again."""
    tries = []

    @talk.bot.button("fail")
    async def fail(message: Message) -> None:
        tries.append((message.kind, message.text))
        await talk.database.send(f"told-{len(tries)}", HERE, "wait")
        raise RuntimeError

    await talk.says("hello")
    await talk.database.send("first", HERE, "Go?", extras_of(Button("Go", "fail")))
    talk.pump.answering.retry_after_s = (0.0, 0.0)
    await talk.says("go")
    assert tries == [(Kind.BUTTON, "fail")] * 3
    (letter,) = await talk.database.dead_letters()
    assert (letter.kind, letter.text) == (Kind.BUTTON, "fail")


async def test_the_past_shows_what_was_typed(talk, tmp_path):
    """Not the data, which nobody ever saw; the database has both."""
    await talk.says("/vote")
    await talk.says("1")
    entries = await talk.database.history(HERE, 10)
    assert [entry.text for entry in entries if entry.sender == "contact"] == ["/vote", "1"]
    assert isinstance(entries[-1], HistoryEntry) and entries[-1].extras.buttons
    with sqlite3.connect(tmp_path / "bot.db") as other:
        kind, text, envelope = other.execute("SELECT kind, text, envelope FROM inbox ORDER BY id DESC LIMIT 1").fetchone()
    assert (kind, text, json.loads(envelope)["said"]) == ("button", "vote:yes", "1")


async def test_what_a_question_waits_for_is_no_press(talk):
    """Its answer is whatever comes next, however many buttons stand there."""
    await talk.says("/count")
    await talk.database.send("first", HERE, "Go?", extras_of(Button("Go", "vote:go")))
    assert await talk.says("1") == ["1 they are"]


async def test_choices_are_pressed_by_the_same_rule(talk):
    """By number or words; what is none of them brings the question again, and that can be answered too."""
    assert await talk.says("/seat") == ["Where?"]
    assert await talk.says("3") == ["Please choose: Inside, Outside."]
    assert await talk.says("2") == ["You sit Outside."]
    await talk.says("/seat")
    await talk.says("/vote")
    assert (await talk.says("yes"))[0].startswith("button yes")
    assert await talk.says("inside.") == ["You sit Inside."]


async def test_commands_are_commands(talk):
    """Whatever stands on a button."""
    await talk.says("hello")
    await talk.database.send("first", HERE, "Go?", extras_of(Button("/help", "vote:go")))
    assert "I know these commands" in (await talk.says("/help"))[0]


def test_where_there_are_buttons_a_text_is_a_text():
    """On a network that shows buttons itself nobody needs a number."""
    with Lab(make_bot()) as lab:
        lab.say("/vote")
        lab.say("Yes")
        lab.sees("heard Yes")


async def test_what_was_typed_before_buttons_could_be_seen_presses_none_of_them(tmp_path):
    """Two lines at once: the second one is no answer to what the first one brings."""
    bot, pressed = Bot(), []

    @bot.command("menu")
    async def menu(message: Message) -> Reply:
        return Reply("Menu", buttons=[[Button("Tidy up", "tidy")]])

    @bot.button("tidy")
    async def tidy(message: Message) -> Reply:
        pressed.append("tidy")
        await asyncio.sleep(0.05)
        return Reply("Delete everything?", buttons=[[Button("Yes", "wipe")]])

    @bot.button("wipe")
    async def wipe(message: Message) -> None:
        pressed.append("wipe")

    made = await Talk(bot, tmp_path).begin()
    await made.says("/menu")
    await made.post("1")
    await made.post("1")
    await made.quiet()
    assert pressed == ["tidy"]
    await made.ends()
