"""Opening a bot.db: durable settings, versions, and the question whether a start must open it."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from tests.storage.test_inbox import accept

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Incoming, Place
from processsupervisor.storage.schema import VERSION, has_open_work, open_database

MESSAGE = Incoming(Place("web", "default"), "m1", "someone", "hi")


def test_a_fresh_file_is_durable_and_private(tmp_path):
    """WAL, synchronous=FULL (2), and nobody else may read it."""
    with contextlib.closing(open_database(tmp_path / "deep" / "bot.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert (tmp_path / "deep" / "bot.db").stat().st_mode & 0o077 == 0


def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    """A version from the future is not touched; the error says which one it is."""
    path = tmp_path / "bot.db"
    open_database(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(StorageError, match=f"schema {VERSION + 1}"):
        open_database(path)


def test_an_exclusive_file_keeps_others_out(tmp_path, monkeypatch):
    """A second opener of an exclusive database is told that another program holds it."""
    monkeypatch.setattr("processsupervisor.storage.schema.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "bot.db"
    with contextlib.closing(open_database(path, exclusive=True)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
        with pytest.raises(StorageError, match="locked"):
            open_database(path, exclusive=True)


def test_only_unfinished_work_makes_a_start_open_the_file(tmp_path):
    """No file: no. Nothing open: no. A message without an end: yes. A file that cannot be read: yes, to tell why."""
    path = tmp_path / "bot.db"
    assert not has_open_work(path) and not path.exists()
    with contextlib.closing(open_database(path)) as db:
        assert not has_open_work(path)
        accept(db, MESSAGE)
        assert has_open_work(path)
        db.execute("UPDATE inbox SET state = 1")
        assert not has_open_work(path)
    path.write_bytes(b"x" * 5000)
    assert has_open_work(path)


async def test_a_damaged_page_is_told_and_nothing_is_overwritten(tmp_path):
    """The file opens, but what stands in it cannot be read: a StorageError with the way out, and every byte as it was."""
    path = tmp_path / "bot.db"
    with contextlib.closing(open_database(path)) as db:
        for number in range(200):
            accept(db, Incoming(Place("web", "default"), f"m{number}", "someone", "x" * 200))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(size)
        file.write(b"\xa5" * (path.stat().st_size - size))
    before = path.read_bytes()
    database = BotDatabase(path)
    assert database.has_open_work()
    with pytest.raises(StorageError, match="malformed") as caught:
        await database.claim()
    with pytest.raises(StorageError, match="malformed"):
        await database.accept(MESSAGE, None)
    await database.close()
    assert "psv bot restore" in caught.value.hint and path.read_bytes() == before


def test_a_sqlite_that_is_too_old_is_named(tmp_path, monkeypatch):
    """Not a syntax error at the first message: what is there, what is needed, how to look; and no file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(StorageError, match=r"3\.35") as caught:
        open_database(tmp_path / "bot.db")
    assert "Python" in caught.value.hint and not (tmp_path / "bot.db").exists()
