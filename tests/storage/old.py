"""Files of earlier versions, as those versions made them: their own SQL, and data of every table."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

VERSION_1 = """
CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, network TEXT NOT NULL, network_id TEXT NOT NULL, conversation TEXT NOT NULL,
  sender TEXT NOT NULL, text TEXT NOT NULL, received_at REAL NOT NULL, state INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0, UNIQUE (network, conversation, network_id));
CREATE INDEX inbox_open ON inbox (id) WHERE state = 0;
CREATE INDEX inbox_place ON inbox (conversation, network, id);
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, reply_to TEXT, network TEXT NOT NULL,
  conversation TEXT NOT NULL, text TEXT NOT NULL, created_at REAL NOT NULL, state INTEGER NOT NULL DEFAULT 1,
  final INTEGER NOT NULL DEFAULT 1);
CREATE INDEX outbox_place ON outbox (conversation, network, seq);
CREATE TABLE drafts (id TEXT PRIMARY KEY, inbox_id INTEGER NOT NULL, created_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE reminders (
  id INTEGER PRIMARY KEY AUTOINCREMENT, network TEXT NOT NULL, conversation TEXT NOT NULL, due_at REAL NOT NULL,
  text TEXT NOT NULL, created_at REAL NOT NULL, state INTEGER NOT NULL DEFAULT 0);
CREATE INDEX reminders_open ON reminders (due_at) WHERE state = 0;
CREATE TABLE kv (scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE TABLE conversations (
  network TEXT NOT NULL, conversation TEXT NOT NULL, first_at REAL NOT NULL, consent TEXT,
  PRIMARY KEY (network, conversation)) WITHOUT ROWID;
"""
_DATA_1 = """
INSERT INTO conversations VALUES ('web', 'ada', 10.0, 'in'), ('web', 'bob', 20.0, NULL);
INSERT INTO inbox VALUES (1, 'web', 'm1', 'ada', 'ada', 'hello', 11.0, 1, 0), (2, 'web', 'm1', 'bob', 'bob', 'hi', 21.0, 1, 0),
  (5, 'web', 'm2', 'ada', 'ada', 'are you there?', 12.0, 0, 1);
INSERT INTO outbox VALUES (1, 'program-1', NULL, 'web', 'ada', 'A program answers.', 11.0, 1, 1), (2, 'r1', 'm1', 'web', 'ada', 'hello you', 11.5, 1, 1),
  (7, 'r2', 'm1', 'web', 'bob', 'hi yourself', 21.5, 1, 1);
INSERT INTO drafts VALUES ('r5', 5, 12.5);
INSERT INTO reminders VALUES (1, 'web', 'bob', 99.0, 'tea', 22.0, 0), (2, 'web', 'ada', 15.0, 'gone', 12.0, 1);
INSERT INTO kv VALUES ('bot', 'colour', '"blue"'), ('c3:web:ada', 'count', '3');
PRAGMA user_version=1;
"""


def make_version_1(path: Path, *, is_empty: bool = False) -> Path:
    """Write a file of version 1, as a bot that was killed left it: with an unfinished message and a reminder to come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(VERSION_1 + ("PRAGMA user_version=1;" if is_empty else _DATA_1))
    return path


def content(path: Path, tables: tuple[str, ...]) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of some tables, in the columns that version 1 has."""
    with contextlib.closing(sqlite3.connect(":memory:")) as first:
        first.executescript(VERSION_1)
        columns = {table: [row[1] for row in first.execute(f"PRAGMA table_info({table})")] for table in tables}
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {table: sorted(db.execute(f"SELECT {', '.join(columns[table])} FROM {table}")) for table in tables}
