"""A bot that dies at each named point, in the Lab: nothing is lost, nothing is answered twice where the network takes a key."""

from __future__ import annotations

import sqlite3

import pytest

from processsupervisor import Bot
from processsupervisor.testing import NO_KEY, Lab, MemoryNetwork, Point

UNCERTAIN = (Point.BEFORE_SEND, Point.AFTER_SEND)


@pytest.fixture
def bot():
    made = Bot()
    made.calls = []

    @made.on_message
    async def echo(message):
        made.calls.append(message.text)
        return f"echo {message.text} {await message.store.append('said', message.text)}"

    return made


def uncertain(lab: Lab) -> int:
    """Count what is marked in the database."""
    with sqlite3.connect(lab.folder / "bot.db") as connection:
        return connection.execute("SELECT count(*) FROM outbox WHERE uncertain").fetchone()[0]


@pytest.mark.parametrize("point", list(Point))
def test_a_death_at_any_point_loses_nothing_and_repeats_nothing(bot, point):
    """The next life brings everything to its end: the statement once, the reply once, the value once."""
    with Lab(bot) as lab:
        lab.die_at(point)
        lab.say("hi")
        assert lab.is_dead
        lab.restart()
        lab.say("and again")
        assert lab.you.shown == [lab.you.shown[0], "echo hi 1", "echo and again 2"] and "program" in lab.you.shown[0]
        assert bot.calls.count("hi") == (2 if point is Point.AFTER_HANDLER else 1) and lab.letters == []


@pytest.mark.parametrize("point", list(Point))
def test_without_keys_at_most_what_is_marked_appears_twice(bot, point):
    """Only a send whose outcome is unknown can be repeated, and it says so."""
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY)) as lab:
        lab.say("before")
        lab.die_at(point)
        lab.say("hi")
        lab.restart()
        shown = lab.you.shown.count("echo hi 2")
        assert shown == (2 if point is Point.AFTER_SEND else 1)
        assert uncertain(lab) == (1 if point in UNCERTAIN else 0)


@pytest.mark.parametrize("point", UNCERTAIN)
def test_at_most_once_leaves_a_gap_instead(bot, point):
    """What is unknown is marked and not sent again; everything else goes on."""
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY), chat={"replies": "at-most-once"}) as lab:
        lab.say("before")
        lab.die_at(point)
        lab.say("hi")
        lab.restart()
        lab.say("after")
        assert lab.you.shown.count("echo hi 2") == (1 if point is Point.AFTER_SEND else 0)
        assert lab.you.shown[-1] == "echo after 3" and uncertain(lab) == 1


def test_the_second_life_can_die_too(bot):
    """A point is struck once each time it is asked for; dying again and again ends as well."""
    with Lab(bot) as lab:
        lab.say("warm")
        for point in (Point.AFTER_ACCEPT, Point.AFTER_HANDLER, Point.BEFORE_SEND, Point.AFTER_SEND):
            lab.die_at(point)
            if point is Point.AFTER_ACCEPT:
                lab.say("hi")
            else:
                lab.restart()
            assert lab.is_dead, point
        lab.restart()
        assert lab.you.shown.count("echo hi 2") == 1


def test_many_people_and_a_death_in_the_middle(bot):
    """Fifty in flight: after one restart each has exactly one answer."""
    with Lab(bot) as lab:
        lab.say("warm")
        people = [lab.person(f"p{number}") for number in range(50)]

        async def all_speak():
            lab.die_at(Point.AFTER_COMPLETE, passes=20)
            for number, person in enumerate(people):
                await person.says(f"from {number}")

        lab.run(all_speak())
        lab.restart()
        for number, person in enumerate(people):
            assert person.shown[1:] == [f"echo from {number} 1"]
