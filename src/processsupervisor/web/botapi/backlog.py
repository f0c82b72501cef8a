"""What Telegram has delivered for one bot and the bot has not confirmed: an SQLite of its own, `.psv/data/bots/NAME/updates.db`.

An update is committed here before Telegram is told that it was taken, and given to the bot until the bot's own offset confirms it.
Confirmed ones leave their number and digest behind for two days, so that one which Telegram delivers again is not given again. The bot
sees numbers that only grow: Telegram's, as long as those do. Blocking; proxy.py calls it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from processsupervisor.kernel.errors import StorageError
from processsupervisor.web.botapi.values import Json

VERSION = 1
REMEMBERED_S = 2 * 86400.0
MOST_AT_ONCE = 100
_FUTURE_SLACK = 10
"""An offset farther behind the newest update than this is taken for a mistake, as Telegram does."""

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE updates (
    local_id INTEGER PRIMARY KEY,
    remote_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    body TEXT,
    at REAL NOT NULL,
    UNIQUE (remote_id, digest)
);
CREATE INDEX updates_waiting ON updates (local_id) WHERE body IS NOT NULL;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Backlog:
    """The updates of one bot. Every method raises StorageError when the file cannot be read or written; it stays as it is then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            path.chmod(0o600)
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StorageError(f"{self._path} is of a newer psv (version {version}, this one knows {VERSION})", hint="use the newer psv")
        if version == 0:
            self._database.executescript(_SCHEMA)
        self._database.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as err:
            hint = "free disk space, or move the file away and restart the bot"
            raise StorageError(f"cannot use {self._path}: {err}", hint=hint) from err

    @contextlib.contextmanager
    def _commit(self) -> Iterator[None]:
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def fact(self, name: str) -> str | None:
        """Return something that is to outlive this process."""
        with self._told():
            row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep something; committed when this returns."""
        with self._commit():
            self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        self._database.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def stand_in(self) -> str:
        """Return the secret half of the token that the bot gets, made at first use and the same ever after."""
        known = self.fact("stand_in")
        if known is None:
            known = "psv_" + secrets.token_urlsafe(24)
            self.set_fact("stand_in", known)
        return known

    def offset(self) -> int:
        """Return the offset that Telegram is to be asked with next."""
        return int(self.fact("offset") or 0)

    def add(self, updates: Sequence[Json], now: float) -> int:
        """Keep updates as Telegram gave them, with the offset that confirms them there; return how many were not known."""
        added = 0
        with self._commit():
            (last,) = self._database.execute("SELECT coalesce(max(local_id), 0) FROM updates").fetchone()
            last = max(last, int(self._fact_within("last") or 0))
            for update in updates:
                remote_id = int(str(update["update_id"]))
                body = json.dumps(update, ensure_ascii=False, separators=(",", ":"))
                local_id = max(remote_id, last + 1)
                done = self._database.execute(
                    "INSERT INTO updates (local_id, remote_id, digest, body, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (local_id, remote_id, hashlib.sha256(body.encode()).hexdigest()[:32], body, now),
                ).rowcount
                if done:
                    last, added = local_id, added + 1
            if updates:
                self._set("offset", str(int(str(updates[-1]["update_id"])) + 1))
                self._set("last", str(last))
        return added

    def _fact_within(self, name: str) -> str | None:
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def take(self, offset: int, limit: int) -> list[Json]:
        """Drop what the bot's `offset` confirms and return at most `limit` of what waits, with the numbers that the bot knows."""
        if offset:
            self._confirm(offset)
        with self._told():
            rows = self._database.execute(
                "SELECT local_id, body FROM updates WHERE body IS NOT NULL ORDER BY local_id LIMIT ?", (min(max(limit, 1), MOST_AT_ONCE),)
            ).fetchall()
        return [json.loads(body) | {"update_id": local_id} for local_id, body in rows]

    def _confirm(self, offset: int) -> None:
        with self._told():
            newest = int(self.fact("last") or 0)
            if offset < 0:
                row = self._database.execute(
                    "SELECT local_id FROM updates WHERE body IS NOT NULL ORDER BY local_id DESC LIMIT 1 OFFSET ?", (-offset - 1,)
                ).fetchone()
                offset = int(row[0]) if row is not None else 0
            elif offset > newest + 1 + _FUTURE_SLACK:
                return
            is_needed = self._database.execute(
                "SELECT 1 FROM updates WHERE body IS NOT NULL AND local_id < ? LIMIT 1", (offset,)
            ).fetchone()
        if is_needed is not None:  # most polls confirm nothing, and a commit waits for the disk
            with self._commit():
                self._database.execute("UPDATE updates SET body = NULL WHERE body IS NOT NULL AND local_id < ?", (offset,))

    def drop(self) -> None:
        """Drop all that waits, as the bot has asked Telegram to do."""
        with self._commit():
            self._database.execute("UPDATE updates SET body = NULL WHERE body IS NOT NULL")

    def expire(self, before: float, now: float) -> int:
        """Drop what waits since `before` (epoch seconds) and forget what was confirmed long ago; return how many were dropped."""
        with self._commit():
            dropped = self._database.execute("UPDATE updates SET body = NULL WHERE body IS NOT NULL AND at < ?", (before,)).rowcount
            self._database.execute("DELETE FROM updates WHERE body IS NULL AND at < ?", (now - REMEMBERED_S,))
        return dropped

    def waiting(self) -> int:
        """Return how many wait for the bot."""
        with self._told():
            (count,) = self._database.execute("SELECT count(*) FROM updates WHERE body IS NOT NULL").fetchone()
        return int(count)
