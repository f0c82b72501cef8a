"""The poll bot in a group of three: pytest examples/poll"""

import pytest

from bot import bot as poll
from processsupervisor.testing import Lab


@pytest.fixture
def lab():
    with Lab(poll) as made:
        yield made


@pytest.fixture
def group(lab):
    made = lab.group("Office")
    made.adds_bot()
    made.sees("Hello, Office.")
    return made


def test_everybody_has_one_vote_and_may_change_it(group):
    ada, bob, eve = (group.person(name) for name in ("ada", "bob", "eve"))
    ada.says("/poll Lunch? | Pizza | Soup")
    group.sees("Lunch?\n0 × Pizza\n0 × Soup\n0 voted.")
    for person in (ada, bob, eve):
        person.presses("Pizza")
    group.sees("3 × Pizza\n0 × Soup\n3 voted.")
    bob.presses("Soup")
    group.sees("2 × Pizza\n1 × Soup\n3 voted.")
    bob.presses("Soup")
    group.sees("2 × Pizza\n0 × Soup\n2 voted.")


def test_votes_survive_a_restart(lab, group):
    group.person("ada").says("/poll Lunch? | Pizza | Soup")
    group.person("ada").presses("Soup")
    lab.kill()
    lab.restart()
    group.person("bob").presses("Soup")
    group.sees("2 × Soup\n2 voted.")


def test_only_who_asked_closes_it_and_then_nobody_votes(group):
    ada, bob = group.person("ada"), group.person("bob")
    ada.says("/poll Lunch? | Pizza | Soup")
    bob.presses("Close")
    group.sees("Only who asked")
    bob.presses("Pizza")
    ada.presses("Close")
    assert group.sees("1 × Pizza\n0 × Soup\nClosed.").value.buttons == []


def test_what_is_no_poll_is_explained(group):
    group.person("ada").says("/poll Lunch?")
    group.sees("two to 8 answers")
    group.person("ada").says(f"/poll Lunch? | Pizza | {'x' * 300}")
    group.sees("at most 60 characters")


def test_people_may_talk_without_it(group):
    group.person("ada").says("What about lunch?")
    group.sees_nothing()
