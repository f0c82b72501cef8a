"""What a person must notice: an answer twice, none, a count that jumps, answers out of order."""

from __future__ import annotations

from tests.chaos.people import Account, Person, accounts


def _person(messages: int, kind: str = "kill") -> Person:
    person = Person("ada", kind)
    for _ in range(messages):
        person.say()
    return person


def test_an_answer_for_each_is_neither_lost_nor_twice() -> None:
    """And nothing else is noted."""
    person = _person(2)
    person.on_text("ada 1 #1")
    person.on_text("ada 2 #2")
    assert accounts([person]) == {"kill": Account(said=2)}
    assert (person.unanswered, person.completed_twice, person.disordered, person.others) == ([], 0, 0, [])


def test_one_shown_twice_and_one_never_are_counted() -> None:
    """Three showings are one message answered twice, with two repeats."""
    person = _person(2)
    for _ in range(3):
        person.on_text("ada 1 #1")
    assert accounts([person]) == {"kill": Account(said=2, lost=1, twice=1, repeats=2)}
    assert person.unanswered == [2]


def test_messages_belong_to_the_round_in_which_they_were_said() -> None:
    """However late the answer comes."""
    person = _person(1, "term")
    person.kind = "kill"
    person.say()
    person.on_text("ada 1")
    assert accounts([person, _person(1)]) == {"term": Account(said=1), "kill": Account(said=2, lost=2)}


def test_a_count_that_jumps_was_counted_twice() -> None:
    """Once for the message at which it jumped; those behind it count on from there."""
    person = _person(4)
    for text in ("ada 1 #1", "ada 2 #3", "ada 3 #4", "ada 4 #6"):
        person.on_text(text)
    assert person.completed_twice == 2


def test_a_repeat_with_another_count_was_handled_twice() -> None:
    """A repeat of what was committed has the same."""
    person = _person(1)
    for text in ("ada 1 #1", "ada 1 #1", "ada 1 #2"):
        person.on_text(text)
    assert person.completed_twice == 1


def test_a_loss_is_no_jump_and_an_answer_before_an_earlier_one_is_out_of_order() -> None:
    """The count of a lost message is missing for ever."""
    person = _person(3)
    person.on_text("ada 3 #2")
    person.on_text("ada 2 #1")
    assert (person.completed_twice, person.disordered, person.unanswered) == (0, 1, [1])


def test_what_answers_nothing_is_kept_apart() -> None:
    """The statement, an apology, the answer to another person or to a message that was never said."""
    person = _person(1)
    for text in ("A program answers.", "bob 1", "ada 2", "ada 0"):
        person.on_text(text)
    assert len(person.others) == 4
    assert person.unanswered == [1]


def test_a_numbered_stream_must_not_go_back() -> None:
    """A reader resumes behind the last event that it has."""
    person = _person(2)
    message_id, text = person.say()
    assert person.unaccepted[message_id] == text
    person.on_reply(4, message_id, "ada 3 #3", 0.0)
    person.on_reply(4, "ada-1", "ada 1 #1", 0.0)
    assert person.faults == ["ada: event 4 after event 4"]
    assert message_id not in person.unaccepted
