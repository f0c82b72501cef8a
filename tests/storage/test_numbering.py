"""Numbers that never come again: behind a restored copy, a file that was moved away, and none behind one that was cut to nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3

import pytest
from tests.storage.test_backup import HERE, talk

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.backup import back_up, facts_of, restore
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.schema import has_open_work, open_database


async def ids_of(path, numbers) -> list[str]:
    """Talk to the bot of a file and return the ids of all that it ever said."""
    database = BotDatabase(path)
    await talk(database, numbers)
    ids = [out.id for out in await database.after(HERE, 0, 100)]
    await database.close()
    return ids


async def test_a_restored_copy_goes_on_behind_the_file_it_replaces(tmp_path):
    """Ids and numbers: a network with keys has seen those that the newer file gave."""
    path = tmp_path / "bot.db"
    await ids_of(path, range(3))
    back_up(path, tmp_path / "kept.bak")
    seen = await ids_of(path, range(3, 6))
    restore(tmp_path / "kept.bak", path)
    fresh = await ids_of(path, range(6, 8))
    assert len(fresh) == 4 + 2 and not set(fresh[4:]) & set(seen) and fresh[4:] == ["r7", "r8"]


@pytest.mark.parametrize("damage", ["missing", "damaged", "emptied"])
async def test_where_the_last_file_cannot_be_read_numbers_go_on_from_the_clock(tmp_path, damage):
    """No file had reached them."""
    path = tmp_path / "bot.db"
    await ids_of(path, range(3))
    back_up(path, tmp_path / "kept.bak")
    if damage == "missing":
        path.rename(tmp_path / "away")
    else:
        path.write_bytes(b"x" * 5000 if damage == "damaged" else b"")
    restore(tmp_path / "kept.bak", path)
    fresh = await ids_of(path, range(6, 8))
    assert len(fresh) == 4 + 2 and all(int(out_id[1:]) > 1e12 for out_id in fresh[4:])


async def test_a_new_file_in_the_place_of_one_that_was_moved_away_begins_behind_it(tmp_path):
    """The first one begins at 1."""
    path = tmp_path / "bot.db"
    first = await ids_of(path, range(2))
    for name in [name for name in os.listdir(tmp_path) if name.startswith("bot.db")]:
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    second = await ids_of(path, range(2))
    assert first == ["program-1", "r1", "r2"] and not set(first) & set(second)


async def test_an_emptied_file_is_an_error_and_its_journal_stays(tmp_path):
    """SQLite would delete the journal with what was committed last, and begin anew."""
    path = tmp_path / "bot.db"
    database = BotDatabase(path)
    await talk(database, range(2))
    journal = tmp_path / "bot.db-wal"
    kept = journal.read_bytes()
    (tmp_path / "copy").mkdir()
    for name, content in (("bot.db", b""), ("bot.db-wal", kept)):
        (tmp_path / "copy" / name).write_bytes(content)
    await database.close()
    emptied = tmp_path / "copy" / "bot.db"
    assert kept and has_open_work(emptied)
    for use in (open_database, facts_of, lambda path: back_up(path, tmp_path / "x.bak")):
        with pytest.raises(StorageError, match="is empty, and it was not before") as caught:
            use(emptied)
        assert caught.value.hint and (tmp_path / "copy" / "bot.db-wal").read_bytes() == kept


def test_a_file_that_a_kill_left_empty_before_its_first_commit_is_a_new_one(tmp_path):
    """Nothing was ever in it."""
    (tmp_path / "bot.db").touch()
    with contextlib.closing(open_database(tmp_path / "bot.db")) as connection:
        assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (0,)
    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as connection:
        assert connection.execute("SELECT * FROM sqlite_sequence WHERE seq > 0").fetchall() == []
