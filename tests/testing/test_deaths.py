"""A bot that dies at each named point, in the Lab: nothing is lost, nothing is answered twice where the network takes a key."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter

import pytest

from processsupervisor import Bot
from processsupervisor.testing import NO_KEY, ErrorKind, Lab, MemoryNetwork, Point

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


def spare(lab: Lab) -> None:
    """Take back what lab.die_at was told."""
    for point in Point:
        lab.die_at(point, passes=1_000_000)


def play(lab: Lab, dice: random.Random) -> dict[str, list[str]]:
    """Let three people talk while the bot dies, the network fails and time passes; return what each has said.

    After two deaths the bot comes to rest: a message during which it died three times is given up, which is a law of its own.
    """
    said: dict[str, list[str]] = {"ada": [], "bob": [], "eve": []}
    deaths = 0
    for number in range(30):
        match dice.randrange(5):
            case 0:
                spare(lab)
                if deaths == 2:
                    lab.restart()
                    lab.clock.advance("1m")
                    deaths = 0
                lab.die_at(dice.choice(list(Point)), passes=dice.randrange(3))
                deaths += 1
            case 1:
                lab.restart()
            case 2:
                kind = dice.choice([ErrorKind.TRANSIENT, ErrorKind.RATE])
                lab.network.fail(kind, retry_after_s=2, is_taken=kind is ErrorKind.TRANSIENT and dice.random() < 0.5)
            case 3:
                lab.clock.advance(dice.choice([0.1, 1, 60]))
        name = dice.choice(list(said))
        said[name].append(f"{name} {number}")
        lab.person(name).says(said[name][-1])
    spare(lab)
    lab.restart()
    lab.clock.advance("1d")
    return said


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_each_message_is_answered_once(bot, seed):
    """In order and without a gap, where the network takes a key."""
    with Lab(bot) as lab:
        for name, texts in play(lab, random.Random(seed)).items():
            assert lab.person(name).shown[1:] == [f"echo {text} {number}" for number, text in enumerate(texts, 1)]
        assert lab.letters == []


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_no_more_is_repeated_than_is_marked(bot, seed):
    """Without keys nothing is lost either, and what is shown twice is among what is marked uncertain."""
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY)) as lab:
        twice = 0
        for name, texts in play(lab, random.Random(seed)).items():
            wanted = [f"echo {text} {number}" for number, text in enumerate(texts, 1)]
            shown = lab.person(name).shown
            assert list(dict.fromkeys(shown))[1:] == wanted
            twice += sum(count > 1 for count in Counter(shown).values())
        assert twice <= uncertain(lab)
