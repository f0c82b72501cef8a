"""The outbox's laws: numbers that only grow, replay in order, both sides of a conversation's past."""

from __future__ import annotations

import contextlib

import pytest
from tests.storage.test_inbox import accept, complete

from processsupervisor.storage import outbox
from processsupervisor.storage.records import Incoming, Place, Reply
from processsupervisor.storage.retention import trim_outbox
from processsupervisor.storage.schema import open_database

HERE, THERE = Place("web", "default"), Place("web", "other")


@pytest.fixture
def db(tmp_path):
    with contextlib.closing(open_database(tmp_path / "bot.db")) as connection:
        yield connection


def test_replay_gives_one_place_in_order_behind_a_number(db):
    """Rows of other places are not seen, and what was seen is not given again."""
    for number in range(6):
        outbox.add_outgoing(db, f"o{number}", HERE if number % 2 else THERE, None, Reply(str(number)))
    assert [out.text for out in outbox.after(db, HERE, 0, 10)] == ["1", "3", "5"]
    assert [out.text for out in outbox.after(db, HERE, 2, 1)] == ["3"]


def test_an_id_is_written_once(db):
    """A second row under the same id is refused quietly."""
    assert outbox.add_outgoing(db, "r1", HERE, "m1", Reply("a")) is not None
    assert outbox.add_outgoing(db, "r1", HERE, "m1", Reply("b")) is None


def test_numbers_never_repeat_even_when_rows_are_gone(db):
    """seq goes on after the newest row was deleted."""
    first = outbox.add_outgoing(db, "a", HERE, None, Reply("a"))
    db.execute("DELETE FROM outbox")
    assert outbox.add_outgoing(db, "b", HERE, None, Reply("b")).seq == first.seq + 1 == outbox.last_seq(db)


def test_history_has_both_sides_oldest_first(db):
    """A reply stands behind its message, the limit takes the newest."""
    for number in range(3):
        row = accept(db, Incoming(HERE, f"m{number}", "x", f"q{number}")).row
        complete(db, row, f"a{number}")
    assert [entry.text for entry in outbox.history(db, HERE, 4)] == ["q1", "a1", "q2", "a2"]
    assert [entry.sender for entry in outbox.history(db, HERE, 2)] == ["contact", "bot"]
    assert outbox.history(db, THERE, 10) == []


def test_trimming_keeps_the_newest_rows_of_a_place(db):
    """The bound holds for each conversation by itself."""
    for number in range(30):
        outbox.add_outgoing(db, f"h{number}", HERE, None, Reply(str(number)))
    outbox.add_outgoing(db, "t", THERE, None, Reply("other"))
    assert trim_outbox(db, HERE, keep=10) == 20
    assert [out.text for out in outbox.after(db, HERE, 0, 100)] == [str(number) for number in range(20, 30)]
    assert len(outbox.after(db, THERE, 0, 10)) == 1
