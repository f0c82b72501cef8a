"""Migrations: every version forward and back with its data, what they arrive at, and what happens when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from tests.storage.old import content, make_version_1

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage import ddl, migrate, script
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Consent, Place, Reply
from processsupervisor.storage.schema import VERSION, has_open_work, open_database
from processsupervisor.storage.tables import METADATA

ADA, BOB = Place("web", "ada"), Place("web", "bob")
TABLES = ("inbox", "outbox", "drafts", "reminders", "kv", "conversations")


def shape(path):
    """Return every table with its columns (type, not null, default, key) and every index with what it covers."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = {}
        for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND name <> 'alembic_version'"):
            if kind == "table":
                columns = [(row[1], row[2], row[3] or row[5] > 0, row[4], row[5]) for row in db.execute(f"PRAGMA table_info({name})")]
                found[name] = (columns, "AUTOINCREMENT" in sql, "WITHOUT ROWID" in sql)
            else:
                found[name] = " ".join(sql.replace('"', "").split())
        return found


def test_the_sql_of_a_new_file_is_made_from_the_tables():
    """ddl.py is what script.py writes now: nobody edits it by hand, and nobody forgets to make it."""
    assert open(ddl.__file__).read() == script.module_text()


def test_the_tables_are_not_sqlite_s_alone():
    """The same metadata makes tables of PostgreSQL: nothing in it is of one engine but what that engine is told by name."""
    made = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in METADATA.tables.values()]
    made += [str(CreateIndex(index).compile(dialect=postgresql.dialect())) for table in METADATA.tables.values() for index in table.indexes]
    text = "\n".join(made)
    assert "DOUBLE PRECISION" in text and "BIGSERIAL" in text and text.count(" WHERE ") == 3
    assert not [word for word in ("AUTOINCREMENT", "ROWID", " REAL") if word in text]


def test_a_migrated_file_has_the_shape_of_a_new_one(tmp_path):
    """From version 1 to the newest: the same columns, keys, indexes and view as a file made today; Alembic sees no difference either."""
    old, new = make_version_1(tmp_path / "old.db"), tmp_path / "new.db"
    migrate.migrate(old)
    open_database(new).close()
    assert shape(old) == shape(new)
    engine = sa.create_engine(f"sqlite:///{old}")
    with engine.connect() as connection:
        ours = {"include_object": lambda _o, name, kind, *_: not (kind == "table" and name == "alembic_version")}
        found = compare_metadata(MigrationContext.configure(connection, opts=ours), METADATA)
    # Version 1 did not write NOT NULL at its primary keys; SQLite numbers those rows by itself, so none ever is.
    assert [change for change in found if not (isinstance(change, list) and change[0][0] == "modify_nullable" and change[0][3] in ("id", "seq"))] == []
    engine.dispose()


def test_the_first_step_makes_what_version_1_was(tmp_path):
    """On an engine without files of version 1 the history begins with the same tables that those have."""
    engine = migrate.sqlite_engine(tmp_path / "fresh.db")
    with engine.begin() as connection:
        migrate.move_schema(connection, 0, 1)
    engine.dispose()
    old = make_version_1(tmp_path / "old.db", is_empty=True)
    assert shape(tmp_path / "fresh.db") == shape(old)


async def test_a_bot_takes_up_a_file_of_version_1_where_it_was_left(tmp_path):
    """Opening migrates it: the unfinished message is handled, nothing is disclosed again, consent and values hold, a copy stays beside."""
    path = make_version_1(tmp_path / "bot.db")
    assert has_open_work(path)
    database = BotDatabase(path)
    (row,) = await database.claim()
    assert (row.id, row.text, row.attempts, row.place, row.fence) == ("m2", "are you there?", 1, ADA, 1)
    (out,) = await database.complete(row, [Reply("yes")], Changes())
    assert (out.id, out.seq) == ("r5", 8)
    assert (await database.conversation(ADA)).consent is Consent.OPTED_IN
    contact = await database.contact("web", "bob")
    assert (contact.contact_id, contact.first_at) == (2, 21.0)
    assert await database.read_value("bot", "colour") == '"blue"'
    assert [out.text for out in await database.fire_due(100.0)] == ["tea"]
    await database.close()
    assert content(tmp_path / "bot.db.v1", TABLES) == content(make_version_1(tmp_path / "same.db"), TABLES)


def test_forward_and_back_keeps_what_version_1_holds(tmp_path):
    """Up and down again: every row of every table of version 1 as it was, and the file is of its shape."""
    path = make_version_1(tmp_path / "bot.db")
    before = content(path, TABLES)
    migrate.migrate(path)
    assert migrate.migrate(path, 1) == tmp_path / "bot.db.v2"
    assert content(path, TABLES) == before
    assert shape(path) == shape(make_version_1(tmp_path / "other.db"))
    migrate.migrate(path)
    assert migrate.migrate(path, 1) == tmp_path / "bot.db.v2-2"  # the older copy stays
    migrate.migrate(path)
    open_database(path).close()


async def test_going_back_leaves_nothing_that_version_1_would_misread(tmp_path):
    """A schedule's payload is no message, a dead letter is at its end, a conversation without disclosure gets one."""
    database = BotDatabase(tmp_path / "bot.db")
    await database.enqueue(BOB, "timer-x", "handler", "{}")
    await database.close()
    migrate.migrate(database.path, 1)
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        assert db.execute("SELECT count(*) FROM inbox WHERE state = 0").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM conversations").fetchone() == (0,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    """A table in the way of one of ours: one line that names file and cause, no half of the new schema."""
    path = make_version_1(tmp_path / "bot.db")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE timers (x)")
    before = shape(path)
    with pytest.raises(StorageError, match="timers already exists") as caught:
        open_database(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
    assert shape(path) == before and content(path, TABLES)["inbox"][2][5] == "are you there?"


def test_a_killed_migration_leaves_a_file_that_the_next_start_migrates(tmp_path):
    """SIGKILL in the middle of the transaction: version 1 is untouched, and opening it again goes through."""
    path = make_version_1(tmp_path / "bot.db")
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom processsupervisor.storage import migrate\n"
        "moved = migrate.move_schema\n"
        "def move_and_die(*given):\n    moved(*given)\n    os.kill(os.getpid(), 9)\n"
        "migrate.move_schema = move_and_die\nmigrate.migrate(Path(sys.argv[1]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -9
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    open_database(path).close()
    assert content(path, ("inbox",))["inbox"][2][5] == "are you there?"


async def test_two_that_open_an_old_file_at_once_migrate_it_once(tmp_path):
    """The second waits for the first and finds the work done."""
    path = make_version_1(tmp_path / "bot.db")
    opened = await asyncio.gather(*(asyncio.to_thread(open_database, path) for _ in range(2)))
    for connection in opened:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        connection.close()


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_room_for_the_copy_is_an_error_that_changes_nothing(tmp_path):
    """No copy, no migration."""
    path = make_version_1(tmp_path / "data" / "bot.db")
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="permissions"):
            open_database(path)
    finally:
        path.parent.chmod(0o700)
    assert shape(path) == shape(make_version_1(tmp_path / "same.db"))


def test_a_bot_loads_neither_sqlalchemy_nor_alembic(tmp_path):
    """Opening a new file and an old one, and working with them, costs a bot none of their memory."""
    make_version_1(tmp_path / "old.db")
    program = (
        "import sys\nfrom pathlib import Path\nimport processsupervisor.bot.runner\nfrom processsupervisor.storage.schema import open_database\n"
        "for name in sys.argv[1:]:\n    open_database(Path(name)).close()\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('sqlalchemy', 'alembic')])\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "old.db"), str(tmp_path / "new.db")]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


