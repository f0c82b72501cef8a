"""The inbox's laws: once per network id, done in one transaction, the disclosure first."""

from __future__ import annotations

import contextlib

import pytest

from processsupervisor.storage import inbox, outbox, reminders
from processsupervisor.storage.records import Changes, Consent, Due, Incoming, Place
from processsupervisor.storage.schema import open_database
from processsupervisor.storage.values import read_value

HERE = Place("web", "default")
STATEMENT = "A program answers."


@pytest.fixture
def db(tmp_path):
    with contextlib.closing(open_database(tmp_path / "bot.db")) as connection:
        yield connection


def message(number: int = 1, place: Place = HERE) -> Incoming:
    return Incoming(place, f"m{number}", "someone", f"text {number}")


def test_a_network_id_is_accepted_once_in_its_place(db):
    """A repeat gives no row; the same id in another conversation or network is another message."""
    assert inbox.accept(db, message(), None).row is not None
    assert inbox.accept(db, message(), None).row is None
    assert inbox.accept(db, message(place=Place("web", "other")), None).row is not None
    assert inbox.accept(db, message(place=Place("irc", "default")), None).row is not None


def test_the_statement_comes_once_and_before_any_reply(db):
    """First contact of each conversation appends the disclosure, answering nothing, with a lower seq than every reply."""
    first = inbox.accept(db, message(1), STATEMENT)
    again = inbox.accept(db, message(2), STATEMENT)
    reply = inbox.complete(db, first.row, "hello", Changes())
    assert first.first_contact.text == STATEMENT and first.first_contact.reply_to is None
    assert again.first_contact is None
    assert reply.seq > first.first_contact.seq
    assert inbox.accept(db, message(1, Place("web", "other")), STATEMENT).first_contact is not None


def test_completing_twice_writes_once(db):
    """A handler that ran twice leaves one reply, and the second run's changes are dropped."""
    row = inbox.accept(db, message(), None).row
    first = inbox.complete(db, row, "one", Changes(values={("bot", "k"): '"one"'}))
    second = inbox.complete(db, row, "two", Changes(values={("bot", "k"): '"two"'}, reminders=[Due(HERE, 0.0, "x")]))
    assert first.text == "one" and second is None
    assert [out.text for out in outbox.after(db, HERE, 0, 10)] == ["one"]
    assert read_value(db, "bot", "k") == '"one"' and reminders.next_due_at(db) is None


def test_everything_of_one_message_is_written_together(db):
    """Done, reply, values, reminders and consent are there after complete."""
    row = inbox.accept(db, message(), STATEMENT).row
    changes = Changes(values={("bot", "k"): "1"}, reminders=[Due(HERE, 5.0, "wake")], consent=Consent.OPTED_IN)
    out = inbox.complete(db, row, "ok", changes)
    assert (out.id, out.reply_to, out.final) == (row.reply_id, "m1", True)
    assert inbox.unfinished(db) == []
    assert reminders.next_due_at(db) == 5.0
    assert inbox.consent_of(db, HERE) == "in"


def test_no_reply_needs_no_row_unless_a_draft_was_shown(db):
    """None leaves no row; but a draft that readers may have seen is closed by an empty final text."""
    silent = inbox.accept(db, message(1), None).row
    assert inbox.complete(db, silent, None, Changes()) is None
    drafted = inbox.accept(db, message(2), None).row
    inbox.draft(db, drafted)
    inbox.draft(db, drafted)
    assert inbox.complete(db, drafted, None, Changes()).text == ""
    assert db.execute("SELECT count(*) FROM drafts").fetchone() == (0,)


def test_unfinished_messages_come_back_in_order_with_their_attempts(db):
    """What was accepted and not completed is found again, oldest first."""
    rows = [inbox.accept(db, message(number), None).row for number in range(5)]
    inbox.complete(db, rows[2], "x", Changes())
    inbox.count_attempt(db, rows[1].row_id, 1)
    found = inbox.unfinished(db)
    assert [(row.id, row.attempts) for row in found] == [("m0", 0), ("m1", 1), ("m3", 0), ("m4", 0)]
    inbox.count_attempt(db, rows[1].row_id, -5)
    assert inbox.unfinished(db)[1].attempts == 0
