"""Sending: order, waits, what becomes of each kind of refusal, and of sends whose outcome is unknown. In a Lab."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest

from processsupervisor import Bot
from processsupervisor.bot.sender import Sender
from processsupervisor.chat.points import Point
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Place, SendState
from processsupervisor.testing import Lab
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.network import NO_KEY, MemoryNetwork


@pytest.fixture
def bot():
    made = Bot()

    @made.on_message
    async def echo(message):
        return [f"echo {message.text}", "and more"] if message.text == "two" else f"echo {message.text}"

    return made


@pytest.fixture
def lab(bot):
    with Lab(bot) as lab:
        lab.say("hello")
        yield lab


@pytest.fixture
def keyless(bot):
    """A network like Telegram."""
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY)) as lab:
        lab.say("hello")
        yield lab


def rows(lab: Lab, what: str = "state") -> list:
    """Return a column of the outbox, without statement and greeting."""
    with contextlib.closing(sqlite3.connect(lab._stage.folder / "bot.db")) as file:
        return [row[0] for row in file.execute(f"SELECT {what} FROM outbox WHERE id NOT LIKE 'program-%' ORDER BY seq")][1:]


def test_a_rate_limit_is_waited_out_to_the_second_and_others_go_on(lab):
    """Nothing overtakes the message in its conversation; another conversation does not wait."""
    lab.network.fail(ErrorKind.RATE, retry_after_s=30.0, at=Place("memory", "you"))
    lab.say("two")
    lab.person("ada").says("hi")
    assert lab.person("ada").shown[-1] == "echo hi" and lab.you.shown[-1] == "echo hello"
    lab.clock.advance("29s")
    assert lab.you.shown[-1] == "echo hello"
    lab.clock.advance("2s")
    assert lab.you.shown[-2:] == ["echo two", "and more"]


def test_a_limit_of_the_whole_bot_holds_all(lab):
    """As a network says that it is one."""
    fault = NetworkError(ErrorKind.RATE, "too much", retry_after_s=30.0, is_for_bot=True)
    lab.network.fail(ErrorKind.RATE)
    lab.network.faults[0].error = fault
    lab.say("one")
    lab.person("ada").says("hi")
    lab.clock.advance("29s")
    assert lab.sent[-1].text == "echo hello"
    lab.clock.advance("2s")
    assert {look.text for look in lab.sent[-3:]} >= {"echo one", "echo hi"}


def test_a_network_that_fails_is_asked_again_ever_later(lab):
    """Seven failures, then it goes out, once, not marked: it was certainly not taken."""
    lab.network.fail(ErrorKind.TRANSIENT, times=7)
    lab.say("one")
    lab.clock.advance("30s")
    assert len(lab.network.faults) in (1, 2) and lab.you.shown[-1] == "echo hello"
    lab.clock.advance("2m")
    assert lab.you.shown[-1] == "echo one"
    assert rows(lab) == [SendState.SENT] and rows(lab, "uncertain") == [0]


def test_a_network_that_fails_for_a_day_ends_the_message(lab):
    """It is failed, with the reason, and the next one is tried."""
    lab.network.fail(ErrorKind.TRANSIENT, times=1000)
    lab.say("one")
    lab.clock.advance("23h")
    assert rows(lab) == [SendState.WAITING]
    lab.clock.advance("2h")
    assert rows(lab) == [SendState.FAILED] and "a day" in rows(lab, "reason")[0]
    lab.network.faults.clear()
    lab.say("two")
    assert lab.you.shown[-1] == "and more"


def test_what_the_network_refuses_for_good_holds_nothing_up(lab):
    """Failed with the reason; the rest of the conversation goes on."""
    lab.network.fail(ErrorKind.PERMANENT)
    lab.say("two")
    assert lab.you.shown[-1] == "and more" and "echo two" not in lab.you.shown
    assert rows(lab) == [SendState.FAILED, SendState.SENT]


def test_a_conversation_that_is_gone_is_noted(lab):
    """The message fails; nothing is sent there first until somebody writes again."""
    lab.say("/start")
    lab.network.fail(ErrorKind.GONE)
    lab.say("one")
    with pytest.raises(Exception, match="cannot be reached"):
        lab.run(lab.bot.send("memory", "you", "hello?"))
    lab.say("again")
    assert lab.you.shown[-1] == "echo again" and rows(lab)[-2:] == [SendState.FAILED, SendState.SENT]


def test_a_conversation_that_moved_goes_on_there(lab):
    """The message goes to the new id, once, with what the conversation had kept."""
    lab.network.fail(ErrorKind.GONE, moved_to="you2")
    lab.say("two")
    assert [look.text for look in lab.network.chat("you2").looks] == ["echo two", "and more"]
    assert "echo two" not in lab.you.shown


def test_a_conversation_that_moved_to_itself_is_not_tried_without_a_pause(lab):
    """Nor one that is sent from here to there and back: it is tried ever later, like a network that fails, and goes out in the end."""
    for there in ("you", "you2"):
        lab.network.fail(ErrorKind.GONE, times=6, moved_to=there)
        if there == "you2":
            for fault in list(lab.network.faults)[1::2]:
                fault.error = NetworkError(ErrorKind.GONE, "back", moved_to="you")
        before = lab.network.calls
        lab.say("one")
        assert lab.network.calls - before <= 4 and lab.network.faults
        lab.clock.advance("10m")
        assert not lab.network.faults and [look.text for look in lab.sent].count("echo one") == 1 + (there == "you2")


def test_a_refused_token_ends_the_bot_and_keeps_the_message(lab):
    """What was not sent waits for a bot with a better token."""
    heard = []
    lab._stage.life.service.pump.ended = heard.append
    lab.network.fail(ErrorKind.AUTH)
    with contextlib.suppress(AssertionError):
        lab.say("one")
    assert [err.kind for err in heard] == [ErrorKind.AUTH]
    lab.restart()
    assert lab.you.shown[-1] == "echo one"


# --- unknown outcomes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", list(Point))
def test_with_a_key_a_death_anywhere_answers_once(lab, point):
    """The network drops the repeat by its key: nothing is lost, nothing is seen twice, nothing is marked."""
    lab.die_at(point)
    lab.say("one")
    assert lab.is_dead
    lab.restart()
    assert lab.you.shown.count("echo one") == 1 and rows(lab, "uncertain") == [0]


@pytest.mark.parametrize("point", list(Point))
def test_without_a_key_only_what_is_marked_can_be_seen_twice(keyless, point):
    """Which is the send that the death cut off; by default it is sent again."""
    lab = keyless
    lab.die_at(point)
    lab.say("one")
    lab.restart()
    times = lab.you.shown.count("echo one")
    marked = sum(rows(lab, "uncertain"))
    assert times == (2 if point is Point.AFTER_SEND else 1) and times - 1 <= marked
    assert marked == (point in (Point.BEFORE_SEND, Point.AFTER_SEND))


@pytest.mark.parametrize("point", [Point.BEFORE_SEND, Point.AFTER_SEND])
def test_at_most_once_sends_nothing_again_and_says_so(bot, point):
    """The row stands as unknown; the next message goes on."""
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY), chat={"replies": "at-most-once"}) as lab:
        lab.say("hello")
        lab.die_at(point)
        lab.say("one")
        lab.restart()
        lab.say("two")
        assert lab.you.shown.count("echo one") == (point is Point.AFTER_SEND)
        assert rows(lab) == [SendState.UNCERTAIN, SendState.SENT, SendState.SENT] and "not resent" in rows(lab, "reason")[0]


def test_what_ended_as_unknown_is_told_once_and_sent_when_a_person_says_so(bot, monkeypatch):
    """By the sender that finds it at the start, and by one whose network gave no answer; then it goes out, and no second time."""
    told: list[int] = []
    make = Sender.__init__

    def heard(self, *args, **keys):
        make(self, *args, **keys)
        self.unknown = told.append

    monkeypatch.setattr(Sender, "__init__", heard)
    with Lab(bot, network=MemoryNetwork(capabilities=NO_KEY), chat={"replies": "at-most-once"}) as lab:
        lab.say("hello")
        lab.die_at(Point.BEFORE_SEND)
        lab.say("one")
        assert told == []
        lab.restart()
        assert told == [1]
        lab.network.fail(ErrorKind.TRANSIENT, is_uncertain=True)
        lab.say("three")
        assert told == [1, 1] and lab.you.shown[-1] == "echo hello"
        service = lab._stage.life.service
        later, first = (one.number for one in lab.run(lab._stage.life.database.uncertain_sends()))
        assert lab.run(service.send_anew(first)) == ""
        lab.settle()
        assert lab.you.shown[-1] == "echo one" and f"no send {first}" in lab.run(service.send_anew(first))
        assert {one.number: one.state for one in lab.run(lab._stage.life.database.uncertain_sends())} == {
            later: "unknown, not resent", first: "uncertain, sent again"}


def test_an_answer_that_is_lost_marks_the_send(keyless):
    """The network took it, and shows it twice: never more than the marks."""
    keyless.network.fail(ErrorKind.TRANSIENT, is_taken=True)
    keyless.say("one")
    keyless.clock.advance("5s")
    assert keyless.you.shown.count("echo one") == 2 and rows(keyless, "uncertain") == [1]


def test_a_stop_finishes_what_is_being_sent(keyless):
    """In good order nothing is unknown: what a handler had answered is sent before the end."""

    async def main():
        said = asyncio.ensure_future(keyless.say("two"))
        await asyncio.sleep(0)
        await said
        await keyless.restart()

    keyless.run(main())
    assert keyless.you.shown.count("echo two") == keyless.you.shown.count("and more") == 1 and sum(rows(keyless, "uncertain")) == 0


@pytest.mark.parametrize("fault", ["cancelled", "no receipt"])
def test_a_connector_that_breaks_the_law_holds_no_conversation_up(keyless, monkeypatch, fault):
    """What its call did is not known, whatever it raised or returned: the message is marked, and sent again."""
    right = MemoryConnector.send

    async def send(self, out):
        monkeypatch.setattr(MemoryConnector, "send", right)
        if fault == "cancelled":
            raise asyncio.CancelledError
        return None

    monkeypatch.setattr(MemoryConnector, "send", send)
    keyless.say("one")
    keyless.clock.advance("5s")
    keyless.say("two")
    assert keyless.you.shown[-3:] == ["echo one", "echo two", "and more"]
    assert rows(keyless, "uncertain") == [1, 0, 0]


def test_a_bot_whose_token_is_refused_ends_without_a_wait(lab):
    """Nothing more is sent, so there is nothing to wait for."""
    lab.network.fail(ErrorKind.AUTH)
    lab.say("one")
    began = lab.clock.now
    lab.restart()
    assert (lab.clock.now - began).total_seconds() < 0.5


def test_a_message_that_waited_while_the_bot_was_away_gets_its_day(lab):
    """The network need not be there at the moment of the start."""
    lab.network.fail(ErrorKind.TRANSIENT)
    lab.say("one")
    lab.kill()
    lab.clock.advance("2d")
    lab.network.fail(ErrorKind.TRANSIENT)
    lab.restart()
    lab.clock.advance("1m")
    assert lab.you.shown[-1] == "echo one"
