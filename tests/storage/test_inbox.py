"""The inbox's laws: once per network id, done in one transaction, the disclosure first, and only by the newest claim."""

from __future__ import annotations

import contextlib

import pytest

from processsupervisor.storage import inbox, outbox, reminders
from processsupervisor.storage.conversations import Owner, consent_of
from processsupervisor.storage.inbox import Arrival, Ending
from processsupervisor.storage.records import Changes, Consent, Due, InboxRow, Incoming, Outgoing, Place, Reply, SendState
from processsupervisor.storage.schema import open_database
from processsupervisor.storage.values import read_value

HERE = Place("web", "default")
STATEMENT = "A program answers."
ME = Owner("me")


@pytest.fixture
def db(tmp_path):
    with contextlib.closing(open_database(tmp_path / "bot.db")) as connection:
        yield connection


def shown(_place: Place) -> SendState:
    return SendState.SHOWN


def message(number: int = 1, place: Place = HERE) -> Incoming:
    return Incoming(place, f"m{number}", "someone", f"text {number}")


def accept(db, incoming: Incoming, statement: str | None = None):
    return inbox.accept(db, Arrival(incoming, statement), ME, shown)[0]


def complete(db, row: InboxRow, text: str | None, changes: Changes | None = None, ending: Ending = Ending()) -> list[Outgoing]:
    return inbox.complete(db, row, [] if text is None else [Reply(text)], changes or Changes(), ending, shown)


def test_a_network_id_is_accepted_once_in_its_place(db):
    """A repeat gives no row; the same id in another conversation or network is another message."""
    assert accept(db, message()).row is not None
    assert accept(db, message()).row is None
    assert accept(db, message(place=Place("web", "other"))).row is not None
    assert accept(db, message(place=Place("irc", "default"))).row is not None


def test_the_statement_comes_once_and_before_any_reply(db):
    """First contact of each conversation appends the disclosure, answering nothing, with a lower seq than every reply."""
    first = accept(db, message(1), STATEMENT)
    again = accept(db, message(2), STATEMENT)
    (reply,) = complete(db, first.row, "hello")
    assert first.first_contact.text == STATEMENT and first.first_contact.reply_to is None
    assert again.first_contact is None
    assert reply.seq > first.first_contact.seq
    assert accept(db, message(1, Place("web", "other")), STATEMENT).first_contact is not None


def test_completing_twice_writes_once(db):
    """A handler that ran twice leaves one reply, and the second run's changes are dropped."""
    row = accept(db, message()).row
    (first,) = complete(db, row, "one", Changes(values={("bot", "k"): '"one"'}))
    second = complete(db, row, "two", Changes(values={("bot", "k"): '"two"'}, reminders=[Due(HERE, 0.0, "x")]))
    assert first.text == "one" and second == []
    assert [out.text for out in outbox.after(db, HERE, 0, 10)] == ["one"]
    assert read_value(db, "bot", "k") == '"one"' and reminders.next_due_at(db) is None


def test_everything_of_one_message_is_written_together(db):
    """Done, reply, values, reminders and consent are there after complete."""
    row = accept(db, message(), STATEMENT).row
    changes = Changes(values={("bot", "k"): "1"}, reminders=[Due(HERE, 5.0, "wake")], consent=Consent.OPTED_IN)
    (out,) = complete(db, row, "ok", changes)
    assert (out.id, out.reply_to, out.final) == (row.reply_id, "m1", True)
    assert inbox.claim(db, 10, Owner("next")) == []
    assert reminders.next_due_at(db) == 5.0
    assert consent_of(db, HERE) == "in"
    assert db.execute("SELECT said, inbox_id FROM consents").fetchall() == [("in", row.row_id)]


def test_no_reply_needs_no_row_unless_a_draft_was_shown(db):
    """None leaves no row; but a draft that readers may have seen is closed by an empty final text."""
    silent = accept(db, message(1)).row
    assert complete(db, silent, None) == []
    drafted = accept(db, message(2)).row
    inbox.draft(db, drafted)
    inbox.draft(db, drafted)
    assert complete(db, drafted, None)[0].text == ""
    assert db.execute("SELECT count(*) FROM drafts").fetchone() == (0,)


def test_unfinished_messages_come_back_in_order_with_their_attempts(db):
    """What was accepted and not completed is claimed by the next life, oldest first."""
    rows = [accept(db, message(number)).row for number in range(5)]
    complete(db, rows[2], "x")
    inbox.count_attempt(db, rows[1].row_id, 1)
    found = inbox.claim(db, 10, Owner("next"))
    assert [(row.id, row.attempts) for row in found] == [("m0", 0), ("m1", 1), ("m3", 0), ("m4", 0)]
    inbox.count_attempt(db, rows[1].row_id, -5)
    assert inbox.claim(db, 10, Owner("after that"))[1].attempts == 0
