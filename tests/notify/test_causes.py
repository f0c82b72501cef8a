"""Every cause comes from an event that psvd really tells, and nothing else is told."""

from __future__ import annotations

import pytest

from processsupervisor.notify.causes import Causes, Event, Turn, Until


def told(event: Event, unhealthy_only: tuple[str, ...] = ()) -> list[tuple[str, str, Until | None]]:
    news = Causes(unhealthy_only).of({"seq": 1, "at": 5.0, **event})
    return [(n.cause, n.bot, n.until) for n in news.notices]


@pytest.mark.parametrize(
    ("event", "cause", "until"),
    [
        ({"kind": "transition", "bot": "a", "from": "RUNNING", "to": "FAILED", "reason": "config"}, "failed", Until.UP),
        ({"kind": "transition", "bot": "a", "to": "FAILED", "reason": "crash-loop"}, "crash-loop", Until.UP),
        ({"kind": "transition", "bot": "a", "to": "FAILED", "reason": "budget"}, "budget", Until.UP),
        ({"kind": "exit", "bot": "a", "reason": "hang", "message": "no beat for 30 s"}, "hang", Until.UP),
        ({"kind": "exit", "bot": "a", "reason": "oom", "message": "killed by SIGKILL"}, "oom", Until.UP),
        ({"kind": "exit", "bot": "a", "reason": "disk", "message": ""}, "disk", Until.UP),
        ({"kind": "health", "bot": "a", "health": "unhealthy", "message": "not connected", "connected": False}, "deaf", Until.HEALTH),
    ],
)
def test_a_cause_is_found_in_its_event(event: Event, cause: str, until: Until) -> None:
    """One notice, of that bot, with what ends it."""
    assert told(event) == [(cause, "a", until)]


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "alert", "bot": "a", "what": "crash-loop", "message": "ends again and again"},
        {"kind": "hang", "bot": "a", "reason": "hang", "message": "no beat for 30 s"},
        {"kind": "transition", "bot": "a", "to": "FAILED", "reason": "dependency"},
        {"kind": "transition", "bot": "a", "to": "RECOVERING", "reason": "code"},
        {"kind": "exit", "bot": "a", "reason": "code", "message": "exited with 1"},
        {"kind": "health", "bot": "a", "health": "unhealthy", "message": "http: 500", "connected": None},
        {"kind": "command", "op": "bot.stop", "by": "root", "args": {}},
        {"kind": "something-new"},
        {},
    ],
)
def test_what_is_no_cause_is_not_told(event: Event) -> None:
    """What another event tells, what psv deals with by itself, and what this version does not know."""
    assert told(event) == []


def test_a_failure_says_why() -> None:
    """The exit before it has the words; they belong to that bot and to that failure only."""
    causes = Causes(())
    causes.of({"kind": "exit", "bot": "a", "reason": "config", "message": "exited with 78"})
    failed = {"kind": "transition", "bot": "a", "to": "FAILED", "reason": "config"}
    assert causes.of({**failed, "bot": "b"}).notices[0].text == "config"
    assert causes.of(failed).notices[0].text == "config: exited with 78"
    assert causes.of(failed).notices[0].text == "config"


def test_a_crash_loop_says_what_its_alert_said() -> None:
    """And each try that ends in it again is told only if it is not open any more."""
    causes = Causes(())
    causes.of({"kind": "alert", "bot": "a", "what": "crash-loop", "message": "ends again and again (code)"})
    (notice,) = causes.of({"kind": "transition", "bot": "a", "to": "FAILED", "reason": "crash-loop"}).notices
    assert notice.text == "ends again and again (code)" and notice.is_restated


def test_a_bot_that_is_left_alone_when_unhealthy_is_told() -> None:
    """action = "none": nobody replaces it, so somebody is to look."""
    event: Event = {"kind": "health", "bot": "a", "health": "unhealthy", "message": "http: 500", "connected": None}
    assert told(event, ("a",)) == [("failed", "a", Until.HEALTH)]


def test_psv_db_is_told_and_over() -> None:
    """The disk is the fleet's, not a bot's."""
    assert told({"kind": "alert", "what": "psv.db", "message": "cannot be written", "is_over": False}) == [("disk", "", Until.DATABASE)]
    assert Causes(()).of({"kind": "alert", "what": "psv.db", "message": "", "is_over": True}).over is Until.DATABASE


def test_a_psvd_that_ended_is_told() -> None:
    """Each one; that the channel hears of it once an hour is the desk's. The start of a fleet is none."""
    causes = Causes(())
    assert not causes.of({"kind": "psvd", "is_cold": True, "at": 0.0}).notices
    assert [n.cause for at in (1.0, 2.0) for n in causes.of({"kind": "psvd", "is_cold": False, "at": at}).notices] == ["psvd", "psvd"]


def test_a_psvd_that_was_asked_to_go_is_no_trouble() -> None:
    """Thirty bots added one after the other are thirty psvds; one that ends by itself in between counts."""
    causes = Causes(())
    begin = {"kind": "psvd", "is_cold": False}
    for number in range(30):
        causes.of({"kind": "command", "op": "fleet.hand-over", "at": float(number)})
        assert causes.of({**begin, "at": float(number)}).notices == ()
    causes.of({"kind": "upgrade", "at": 31.0})
    assert causes.of({**begin, "at": 31.0}).notices == ()
    causes.of({"kind": "upgrade", "at": 32.0})
    causes.of({"kind": "psvd", "is_cold": True, "at": 32.0})  # the fleet was down meanwhile
    assert [len(causes.of({**begin, "at": 40.0 + number}).notices) for number in range(2)] == [1, 1]


@pytest.mark.parametrize(("to", "turn"), [("RUNNING", Turn.ROSE), ("STOPPED", Turn.RESTS), ("TERMINATED", Turn.RESTS), ("FAILED", Turn.FELL), ("RECOVERING", Turn.FELL)])
def test_turns_of_a_bot(to: str, turn: Turn) -> None:
    """What a change of state means for what lasts."""
    assert Causes(()).of({"kind": "transition", "bot": "a", "to": to, "reason": "x"}).turn is turn


def test_a_psvd_that_takes_over_says_nothing_new() -> None:
    """A bot that rests comes from INITIALIZING; unless the fleet was just started, or an exit nobody had seen came before it."""
    restated: Event = {"kind": "transition", "bot": "a", "from": "INITIALIZING", "to": "FAILED", "reason": "config"}
    causes = Causes(())
    assert causes.of(restated).notices[0].is_restated
    causes.of({"kind": "exit", "bot": "a", "reason": "config", "message": "exited with 78"})
    assert not causes.of(restated).notices[0].is_restated
    causes.of({"kind": "psvd", "is_cold": True})
    assert [causes.of(restated).notices[0].is_restated for _ in range(2)] == [False, True]
