"""The tables of psv.db as SQL text; what each holds is said where it is used. Data only."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS wanted (bot TEXT PRIMARY KEY, wanted TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, bot TEXT NOT NULL, at REAL NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
    trigger TEXT NOT NULL, reason TEXT NOT NULL, generation INTEGER NOT NULL, exit_code INTEGER);
CREATE INDEX IF NOT EXISTS history_of_bot ON history (bot, id);
CREATE TABLE IF NOT EXISTS exits (
    id INTEGER PRIMARY KEY, bot TEXT NOT NULL, generation INTEGER NOT NULL, at REAL NOT NULL, boot_id TEXT NOT NULL,
    boottime REAL NOT NULL, counted INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS exits_of_bot ON exits (bot, id);
CREATE TABLE IF NOT EXISTS tasks (bot TEXT PRIMARY KEY, schedule TEXT NOT NULL, anchor REAL NOT NULL, mark REAL NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, bot TEXT NOT NULL, due_at REAL NOT NULL, why TEXT NOT NULL, state TEXT NOT NULL, boot_id TEXT NOT NULL,
    generation INTEGER NOT NULL, started_at REAL, ended_at REAL, reason TEXT, exit_code INTEGER, signal TEXT, message TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS runs_due ON runs (bot, due_at) WHERE why != 'command';
CREATE INDEX IF NOT EXISTS runs_of_bot ON runs (bot, id);
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY, at REAL NOT NULL, caller TEXT NOT NULL, op TEXT NOT NULL, args TEXT NOT NULL);
"""
# Tables are added, and columns that may be empty, under the same schema number: a psv of the version before goes on with the file,
# as it must when an upgrade is taken back.
ADDED = """
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, bot TEXT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uptime (
    bot TEXT NOT NULL, hour INTEGER NOT NULL, up_s REAL NOT NULL, down_s REAL NOT NULL, unknown_s REAL NOT NULL,
    PRIMARY KEY (bot, hour)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (bot TEXT PRIMARY KEY, mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (bot TEXT PRIMARY KEY, digests TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL, checksum TEXT NOT NULL,
    source_digest TEXT NOT NULL, summary TEXT NOT NULL, result TEXT NOT NULL, message TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rejected (source_digest TEXT PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL, number INTEGER NOT NULL);
"""
