"""Limits of a token: never more than allowed in any window, never less than allowed for long, and a refusal is obeyed to the second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.connections import buckets as module
from processsupervisor.connections.buckets import Bucket, Buckets, Limit, Limits

WIDE = Limits(token=Limit(1000, 1.0), chat=Limit(1000, 1.0), group=Limit(1000, 1.0))


@given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 6), st.floats(0.5, 5))
def test_no_window_holds_more_than_its_count(gaps: list[float], count: int, within_s: float) -> None:
    """Whatever the times of the calls: what may go never exceeds `count` in any window, and what waits as told may go then."""
    bucket, now, gone = Bucket(Limit(count, within_s)), 100.0, []
    for gap in gaps:
        now += gap
        now += bucket.wait_s(now) + 1e-9
        assert bucket.wait_s(now) == 0.0
        bucket.take(now)
        gone.append(now)
    for first, last in zip(gone, gone[count:], strict=False):
        assert last - first >= within_s - 1e-6


def test_a_wait_takes_nothing() -> None:
    """Asking again and again while a chat has to wait does not move the time at which it may go."""
    limited = Buckets(Limits(token=Limit(100, 1.0), chat=Limit(1, 1.0), group=Limit(20, 60.0)))
    assert limited.take("7", 10.0) == 0.0
    assert [round(limited.take("7", at), 3) for at in (10.2, 10.4, 10.9)] == [0.8, 0.6, 0.1]
    assert limited.take("7", 11.0) == 0.0


def test_a_group_has_twenty_a_minute_and_others_go_on() -> None:
    """The 21st message of a minute waits; a person and another group do not."""
    limited, now = Buckets(), 0.0
    for _ in range(20):
        assert limited.take("-5", now, is_group=True) == 0.0
        now += 1.0
    assert limited.take("-5", now, is_group=True) == 40.0
    assert limited.take("7", now) == 0.0
    assert limited.take("-6", now, is_group=True) == 0.0
    assert limited.take("-5", 60.0, is_group=True) == 0.0


def test_thirty_a_second_in_all() -> None:
    """The token's own limit holds over all chats, and a send that waits for it does not use up its chat's."""
    limited = Buckets()
    assert [limited.take(str(chat), 5.0) for chat in range(30)] == [0.0] * 30
    assert limited.take("30", 5.5) == 0.5
    assert limited.take("30", 6.0) == 0.0


def test_a_refusal_holds_the_chat_for_as_long_as_was_said() -> None:
    """Not a moment less, although the buckets have room; a shorter refusal behind a longer one does not shorten it."""
    limited = Buckets(WIDE)
    assert not limited.refused("7", 30.0, 100.0)
    assert not limited.refused("7", 1.0, 100.5)
    assert limited.take("7", 129.0) == 1.0
    assert limited.take("8", 129.0) == 0.0
    assert limited.take("7", 130.0) == 0.0


def test_refusals_of_two_chats_at_once_are_the_tokens() -> None:
    """Then nobody is written to; two refusals with time between are of their chats alone."""
    limited = Buckets(WIDE)
    assert not limited.refused("7", 5.0, 100.0)
    assert not limited.refused("8", 5.0, 103.0)
    assert limited.take("9", 103.0) == 0.0
    assert limited.refused("7", 5.0, 103.5)
    assert (limited.take("9", 104.0), limited.held_s(104.0)) == (4.5, 4.5)
    assert limited.take("9", 108.5) == 0.0


def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    """The chat that was written to longest ago is forgotten first."""
    monkeypatch.setattr(module, "MAX_CHATS", 3)
    limited = Buckets(Limits(token=Limit(100, 1.0), chat=Limit(1, 60.0)))
    for chat in "abcad":
        limited.take(chat, 1.0)
    assert [limited.take(chat, 2.0) > 0 for chat in "acd"] == [True, True, True]
    assert limited.take("b", 2.0) == 0.0
