"""The to-do bot, without a fleet, a network or time that passes: pytest examples/todo"""

from datetime import UTC, datetime

import pytest

from bot import bot as todo
from processsupervisor.testing import Lab


@pytest.fixture
def lab():
    with Lab(todo, start=datetime(2026, 3, 27, 12, 0, tzinfo=UTC)) as made:
        yield made


def test_what_is_added_is_listed_and_struck_off(lab):
    lab.say("/list")
    lab.sees("nothing to be done")
    lab.say("/add buy milk")
    lab.sees("Shall I remind you?")
    lab.press("not at all")
    lab.sees("1. buy milk: noted.")
    lab.say("/list")
    lab.sees("1. buy milk")
    lab.say("/done 1")
    lab.sees("buy milk: done.")
    lab.say("/done 1")
    lab.sees("There is no number 1")


def test_the_dialog_survives_a_restart(lab):
    lab.say("/add")
    lab.sees("What is to be done?")
    lab.restart()
    lab.say("call Ada")
    lab.sees("Shall I remind you?")
    lab.kill()
    lab.restart()
    lab.say("in an hour")
    lab.sees("1. call Ada: noted, I remind you on 27 March at 13:00 UTC.")


def test_it_reminds_once_also_when_it_was_down(lab):
    lab.say("/add call Ada")
    lab.press("in 10 minutes")
    lab.kill()
    lab.clock.advance("20m")
    lab.restart()
    lab.clock.advance("1s")
    lab.sees("You wanted to be reminded: call Ada")
    lab.press("Done")
    lab.sees("call Ada: done.")
    lab.clock.advance("2d")
    lab.you.sees_nothing()


def test_what_is_done_needs_no_reminder(lab):
    lab.say("/add call Ada")
    lab.press("tomorrow")
    lab.say("/done 1")
    lab.sees("done.")
    lab.clock.advance("2d")
    lab.you.sees_nothing()


def test_a_question_that_nobody_answers_is_not_waited_for_for_ever(lab):
    lab.say("/add buy milk")
    lab.clock.advance("10m")
    lab.sees("1. buy milk: noted.")
    lab.say("/add")
    lab.clock.advance("10m")
    lab.say("hello")
    lab.sees("I keep your list")


def test_every_morning_it_says_what_is_left(lab):
    lab.say("/daily")
    lab.sees("first on 28 March at 07:00 UTC")
    lab.clock.advance("1d")
    lab.you.sees_nothing()  # nothing is left
    lab.say("/add buy milk")
    lab.press("not at all")
    lab.clock.advance("1d")  # the clocks are changed in this night
    lab.sees("Good morning. This is left:\n1. buy milk")
    lab.say("/daily")
    lab.sees("no more")
    lab.clock.advance("2d")
    lab.you.sees_nothing()
