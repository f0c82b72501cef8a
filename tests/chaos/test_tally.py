"""What a client must notice: a reply twice, a reply to nothing, another text, an event out of order."""

from __future__ import annotations

from tests.chaos.tally import APOLOGY, Tally


def test_a_message_is_open_until_its_echo_came() -> None:
    """The reply proves the acceptance too, if that was lost with its connection."""
    tally = Tally("a")
    first = tally.new(10.0)
    assert (tally.is_quiet, list(tally.unaccepted)) == (False, [first])
    tally.on_reply(2, first, "echo say 1", 10.25)
    assert (tally.is_quiet, tally.unaccepted, tally.sent, tally.accepted, tally.answered) == (True, {}, 1, 1, 1)
    assert list(tally.latencies) == [0.25]
    assert tally.faults == []


def test_a_second_reply_a_strange_one_and_a_wrong_one_are_faults() -> None:
    """Each is said once."""
    tally = Tally("a")
    first, second = tally.new(0.0), tally.new(0.0)
    tally.on_reply(1, first, "echo say 1", 0.1)
    tally.on_reply(2, first, "echo say 1", 0.2)
    tally.on_reply(3, "never", "echo", 0.3)
    tally.on_reply(4, second, "echo say 1", 0.4)
    assert [fault.partition(": ")[2][:8] for fault in tally.faults] == ["a second", "a reply ", "a-2 said"]


def test_an_event_that_was_there_before_is_a_fault() -> None:
    """A client that goes on after the last event it has must not get it again."""
    tally = Tally("a")
    tally.on_reply(5, tally.new(0.0), "echo say 1", 0.1)
    tally.on_reply(5, tally.new(0.0), "echo say 2", 0.2)
    assert tally.faults == ["a: event 5 after event 5"]


def test_late_answers_are_kept_with_the_time_they_were_due() -> None:
    """So that a late one can be laid beside the kill that made it late."""
    tally = Tally("a")
    tally.on_reply(1, tally.new(100.0), "echo say 1", 101.5)
    tally.on_reply(2, tally.new(101.0), "echo say 2", 101.9)
    assert tally.late == [(100.0, 1.5)]


def test_an_apology_is_counted_and_judged_elsewhere() -> None:
    """It is the policy's answer after three deaths, which the client cannot know of."""
    tally = Tally("a")
    tally.on_reply(1, tally.new(0.0), APOLOGY, 0.1)
    assert (tally.apologies, tally.faults) == (1, [])


def test_the_audit_finds_replies_that_are_there_twice_or_gone() -> None:
    """What the bot has kept is compared with what was seen."""
    tally = Tally("a")
    for number in (1, 2):
        tally.on_reply(number, tally.new(0.0), f"echo say {number}", 0.1)
    assert tally.audit({"a-1": ["echo say 1"], "a-2": ["echo say 2"]}) == []
    assert tally.audit({"a-1": ["echo say 1", "echo say 1"]}) == ["a: 2 replies to a-1", "a: 1 replies were seen and are gone"]
