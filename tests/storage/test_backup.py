"""Copies and restoring: of a file in use, verified, whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from tests.storage.old import make_version_1

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage import backup
from processsupervisor.storage.backup import back_up, facts_of, restore
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Incoming, Place, Reply
from processsupervisor.storage.schema import VERSION, open_database

HERE = Place("web", "default")


async def talk(database: BotDatabase, numbers: range) -> None:
    for number in numbers:
        row = (await database.accept(Incoming(HERE, f"m{number}", "x", "hi"), "A program answers.")).row
        await database.complete(row, [Reply(f"answer {number}")], Changes())


async def test_a_copy_of_a_file_in_use_is_whole(database, tmp_path):
    """While the bot goes on; the copy is one file, of one moment: every message in it has its reply."""
    await talk(database, range(50))
    talking = asyncio.create_task(talk(database, range(50, 250)))
    facts = await asyncio.to_thread(back_up, database.path, tmp_path / "kept" / "bot.bak")
    await talking
    assert facts.version == VERSION and facts.rows["inbox"] >= 50
    with contextlib.closing(sqlite3.connect(tmp_path / "kept" / "bot.bak")) as copy:
        done, answered = copy.execute("SELECT count(*) FROM inbox WHERE state = 1").fetchone(), copy.execute("SELECT count(*) FROM outbox").fetchone()
        assert done[0] + 1 == answered[0]
    assert os.listdir(tmp_path / "kept") == ["bot.bak"]


async def test_what_was_restored_is_what_was_backed_up(database, tmp_path):
    """Later changes are gone, the file that had them lies beside, with its rows, and the bot goes on from the copy."""
    await talk(database, range(3))
    back_up(database.path, tmp_path / "bot.bak")
    await talk(database, range(3, 5))
    await database.close()
    facts, kept = restore(tmp_path / "bot.bak", database.path)
    assert facts.rows["inbox"] == 3 and facts_of(kept).rows["inbox"] == 5
    again = BotDatabase(database.path)
    await talk(again, range(10, 11))
    assert [out.text for out in await again.after(HERE, 0, 10)][1:] == ["answer 0", "answer 1", "answer 2", "answer 10"]
    await again.close()


async def test_a_copy_of_version_1_can_be_restored_and_is_migrated_at_the_next_start(tmp_path):
    """A backup is of use for longer than a version of psv."""
    make_version_1(tmp_path / "old.bak")
    assert restore(tmp_path / "old.bak", tmp_path / "data" / "bot.db") == (facts_of(tmp_path / "old.bak"), None)
    database = BotDatabase(tmp_path / "data" / "bot.db")
    assert [row.text for row in await database.claim()] == ["are you there?"]
    await database.close()


@pytest.mark.parametrize("damage", ["foreign", "empty", "torn", "newer", "missing"])
def test_what_is_no_good_copy_is_refused_and_changes_nothing(tmp_path, damage):
    """Of another program, empty, damaged, of a newer psv, not there: named, and the bot's file stays."""
    target, source = tmp_path / "bot.db", tmp_path / "bad.bak"
    open_database(target).close()
    before = target.read_bytes()
    with contextlib.closing(sqlite3.connect(source)) as other:
        other.execute("PRAGMA page_size=512")
        if damage == "foreign":
            other.execute("CREATE TABLE songs (x)")
    if damage == "missing":
        source.unlink()
    if damage in ("torn", "newer"):
        make_version_1(source)
        back_up(source, source)
    if damage == "torn":
        with source.open("r+b") as file:
            file.seek(5000)
            file.write(os.urandom(4000))
    if damage == "newer":
        with contextlib.closing(sqlite3.connect(source)) as other:
            other.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(StorageError) as caught:
        restore(source, target)
    assert "bad.bak" in caught.value.message and caught.value.hint
    assert target.read_bytes() == before and sorted(os.listdir(tmp_path)) == sorted({".opened", "bot.db", "bad.bak"} - ({"bad.bak"} if damage == "missing" else set()))


def test_a_copy_that_holds_less_is_thrown_away(tmp_path, monkeypatch):
    """The copy is read again before it gets its name: one without the rows is an error, and an older copy stays."""
    source, target = make_version_1(tmp_path / "bot.db"), tmp_path / "bot.bak"
    target.write_bytes(b"the older copy")
    checked = backup._checked

    def lose(connection, path):
        facts = checked(connection, path)
        return backup.Facts(facts.version, {**facts.rows, "inbox": 0}, facts.size_bytes)

    monkeypatch.setattr(backup, "_checked", lose)
    with pytest.raises(StorageError, match="does not hold"):
        back_up(source, target)
    assert target.read_bytes() == b"the older copy" and "bot.bak" in os.listdir(tmp_path)


def test_a_killed_backup_leaves_the_older_copy(tmp_path):
    """SIGKILL behind the copying: the name still means the older, whole one."""
    source, target = make_version_1(tmp_path / "bot.db"), tmp_path / "bot.bak"
    back_up(source, target)
    with contextlib.closing(sqlite3.connect(source)) as db:
        db.execute("DELETE FROM kv")
        db.commit()
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom processsupervisor.storage import backup\n"
        "backup._checked = lambda *_: os.kill(os.getpid(), 9)\nbackup.back_up(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(source), str(target)], check=False).returncode == -signal.SIGKILL
    assert facts_of(target).rows["kv"] == 2
