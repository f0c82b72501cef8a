"""A dialog in a Lab whose bot dies at every point of every message: nothing is lost, asked twice, or done twice."""

from __future__ import annotations

import pytest

from processsupervisor import AskTimeout, Bot, Message, ask
from processsupervisor.chat.points import Point
from processsupervisor.testing import Lab

POINTS = [Point.BEFORE_ACCEPT, Point.AFTER_ACCEPT, Point.BEFORE_HANDLER, Point.AFTER_HANDLER, Point.AFTER_COMPLETE]


def survey() -> Bot:
    bot = Bot()

    @bot.command("survey")
    async def ask_all(message: Message) -> str:
        count = await message.store.append("begun", 1)
        name = await ask("Your name?", timeout="1h")
        await message.store.append("names", name)
        try:
            age = await ask(f"{name}, your age?", timeout="1h")
        except AskTimeout:
            age = "unknown"
        return f"survey {count}: {await message.store.get('names')}, {age}"

    return bot


EXPECTED = ["Your name?", "Ada, your age?", "survey 1: ['Ada'], 36"]


def talked(lab: Lab) -> list[str]:
    return [text for text in lab.you.shown if "program" not in text]


def answer(lab: Lab, text: str, expected: str) -> None:
    """Say something; whoever is not heard says it again to the next life, as networks that deliver again do."""
    lab.say(text)
    if lab.is_dead:
        lab.restart()
    lab.sees(expected)


@pytest.mark.parametrize("passes", [0, 1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_a_bot_that_dies_anywhere_goes_on_where_it_was(point, passes):
    """Each point of each of the three messages: every question and the end are shown once, and the store was written once."""
    with Lab(survey()) as lab:
        lab.die_at(point, passes=passes)
        for text, expected in zip(["/survey", "Ada", "36"], EXPECTED, strict=True):
            answer(lab, text, expected)
        assert talked(lab) == EXPECTED


def test_a_deadline_passes_over_a_death():
    """The question was asked an hour ago when the next life begins: the handler hears of it, once."""
    with Lab(survey()) as lab:
        lab.say("/survey")
        lab.say("Ada")
        lab.kill()
        lab.clock.advance("2h")
        lab.restart()
        lab.clock.advance("1m")
        lab.sees("survey 1: ['Ada'], unknown")
        lab.restart()
        lab.clock.advance("1d")
        lab.you.sees_nothing()


def test_a_death_at_the_deadline_itself():
    """The bot dies while the handler hears that nobody answered."""
    with Lab(survey()) as lab:
        lab.say("/survey")
        lab.say("Ada")
        lab.die_at(Point.AFTER_HANDLER)
        lab.clock.advance("2h")
        assert lab.is_dead
        lab.restart()
        lab.clock.advance("1m")
        assert talked(lab)[2:] == ["survey 1: ['Ada'], unknown"]


def test_a_network_without_keys_and_a_slow_handler_change_nothing():
    """The deadline of a message does not count while a handler waits for an answer."""
    with Lab(survey(), chat={"deadline": "5s"}) as lab:
        lab.say("/survey")
        lab.clock.advance("30m")
        lab.say("Ada")
        lab.sees("Ada, your age?")
        lab.clock.advance("30m")
        lab.say("36")
        lab.sees("survey 1")
        assert lab.letters == []


@pytest.mark.parametrize("mode", ["debounce", "interrupt"])
def test_the_other_modes_have_dialogs_too(mode):
    """Answers go to the question whatever becomes of messages that come together."""
    with Lab(survey(), chat={"mode": mode}) as lab:
        lab.say("/survey")
        lab.sees("Your name?")
        lab.say("Ada")
        lab.sees("Ada, your age?")
        lab.say("36")
        lab.sees("survey 1: ['Ada'], 36")
