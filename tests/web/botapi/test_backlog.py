"""The file of a bot's updates: what is in it is what the bot still has to get, and a file that cannot be used stays as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from processsupervisor.kernel.errors import StorageError
from processsupervisor.web.botapi.backlog import Backlog


def update(number: int, text: str = "x") -> dict[str, object]:
    return {"update_id": number, "message": {"text": text}}


def ids(updates: list[dict[str, object]]) -> list[object]:
    return [found["update_id"] for found in updates]


@pytest.fixture
def backlog(tmp_path: Path) -> Backlog:
    return Backlog(tmp_path / "updates.db")


def test_an_offset_confirms_what_lies_before_it(backlog: Backlog) -> None:
    """Positive, negative and none, as Telegram has it; an offset from far ahead is a mistake and confirms nothing."""
    backlog.add([update(10), update(11), update(12)], 1.0)
    assert ids(backlog.take(0, 2, 1.0)) == [10, 11]
    assert ids(backlog.take(11, 100, 1.0)) == [11, 12]
    assert ids(backlog.take(500, 100, 1.0)) == [11, 12]
    assert ids(backlog.take(-1, 100, 1.0)) == [12]
    assert backlog.take(13, 100, 1.0) == [] and backlog.waiting() == 0


def test_what_telegram_delivers_again_is_not_kept_again(backlog: Backlog) -> None:
    """The same number with the same content is known, confirmed or not; with other content it is another update."""
    assert backlog.add([update(10), update(11)], 1.0) == 2
    backlog.take(11, 100, 1.0)
    assert backlog.add([update(10), update(11)], 2.0) == 0
    assert backlog.add([update(10, "other")], 2.0) == 1
    assert ids(backlog.take(0, 100, 1.0)) == [11, 12]


def test_the_offset_for_telegram_follows_what_was_committed(backlog: Backlog) -> None:
    """Also when its numbers jump back, and over a restart."""
    backlog.add([update(1000)], 1.0)
    assert backlog.offset() == 1001
    backlog.add([update(5), update(6)], 1.0)
    backlog.close()
    again = Backlog(backlog._path)
    assert again.offset() == 7
    assert ids(again.take(0, 100, 1.0)) == [1000, 1001, 1002]


def test_numbers_grow_over_everything_that_was_forgotten(backlog: Backlog) -> None:
    """When all rows are gone, a lower number of Telegram's is still given as a higher one: the bot's offset would hide it."""
    backlog.add([update(1000)], 1.0)
    backlog.take(1001, 1, 1.0)
    backlog.expire(0.0, 10_000_000.0)
    backlog.add([update(5)], 1.0)
    assert ids(backlog.take(1001, 100, 1.0)) == [1001]


def test_what_waits_too_long_is_dropped_and_counted(backlog: Backlog) -> None:
    """The newer ones stay."""
    backlog.add([update(1)], 100.0)
    backlog.add([update(2)], 200.0)
    assert backlog.expire(150.0, 300.0) == 1
    assert ids(backlog.take(0, 100, 1.0)) == [2]


def test_a_file_of_a_newer_psv_or_a_damaged_one_is_left_alone(tmp_path: Path) -> None:
    """The error names the file and the way out; not a byte changes."""
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE x (y)")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database at all" * 100)
    for path, words in ((newer, "newer psv"), (damaged, "not a database")):
        before = path.read_bytes()
        with pytest.raises(StorageError, match=words) as caught:
            Backlog(path)
        assert str(path) in str(caught.value) and caught.value.hint
        assert path.read_bytes() == before


def test_a_batch_is_kept_whole_or_not_at_all(backlog: Backlog) -> None:
    """With one that is none, nothing of it is there, the offset neither."""
    with pytest.raises(ValueError, match="none"):
        backlog.add([update(1), {"update_id": "none"}], 1.0)
    assert backlog.waiting() == 0 and backlog.offset() == 0


def in_chat(number: int, chat: int) -> dict[str, object]:
    return {"update_id": number, "message": {"text": "x", "chat": {"id": chat}}}


def test_what_was_begun_and_not_answered_comes_again_to_the_next_life(tmp_path: Path) -> None:
    """A poll without an offset is one of a program that was just started; what got an answer, or was long ago, does not come again."""
    backlog = Backlog(tmp_path / "updates.db", again_s=60.0)
    backlog.add([in_chat(1, 7), in_chat(2, 7), in_chat(3, 8)], 0.0)
    assert backlog.take(4, 100, 100.0) == [] and backlog.waiting() == 0
    backlog.answered("7")
    assert ids(backlog.take(4, 100, 110.0)) == []
    assert ids(backlog.take(0, 100, 120.0)) == [2, 3]
    backlog.take(4, 100, 130.0)
    assert backlog.take(0, 100, 191.0) == []


def test_the_poll_of_an_ended_life_gives_nothing_again(tmp_path: Path) -> None:
    """It still waits when the next life has begun its work, and looks once more when something comes."""
    backlog = Backlog(tmp_path / "updates.db", again_s=60.0)
    backlog.add([in_chat(10, 7)], 1.0)
    assert ids(backlog.take(0, 100, 1.0)) == [10]
    assert backlog.take(11, 100, 2.0) == []
    assert backlog.take(0, 100, 2.0, begins=False) == []
    assert ids(backlog.take(0, 100, 2.0)) == [10]


def test_an_update_that_the_bot_dies_of_is_given_three_times(tmp_path: Path) -> None:
    """Then it is left alone: the bot has to come up."""
    backlog = Backlog(tmp_path / "updates.db", again_s=60.0)
    backlog.add([in_chat(1, 7)], 0.0)
    for _ in range(3):
        assert ids(backlog.take(0, 100, 1.0)) == [1]
        backlog.take(2, 100, 1.0)
    assert backlog.take(0, 100, 1.0) == []


def test_without_the_setting_a_confirmed_update_is_gone(backlog: Backlog) -> None:
    """As at Telegram."""
    backlog.add([in_chat(1, 7)], 0.0)
    backlog.take(2, 100, 1.0)
    assert backlog.take(0, 100, 1.0) == []


def test_a_full_disk_at_the_commit_ends_with_the_disk(backlog: Backlog) -> None:
    """What could not be committed is not there, and the file is not stuck in a transaction that failed."""
    backlog._database.execute("CREATE TABLE elder (id INTEGER PRIMARY KEY)")
    backlog._database.execute("CREATE TABLE younger (id INTEGER REFERENCES elder (id) DEFERRABLE INITIALLY DEFERRED)")
    backlog._database.execute("PRAGMA foreign_keys = ON")  # a commit that fails, as it does on a full disk
    with pytest.raises(StorageError), backlog._commit():
        backlog._database.execute("INSERT INTO younger VALUES (1)")
    assert backlog.add([update(10)], 1.0) == 1 and backlog.waiting() == 1
