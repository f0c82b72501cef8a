"""What Telegram has delivered for one bot and the bot has not confirmed: an SQLite of its own, `.psv/data/bots/NAME/updates.db`.

An update is committed here before Telegram is told that it was taken, and given to the bot until the bot's own offset confirms it.
Confirmed ones leave their number and digest behind for two days (100,000 at most), so that one which Telegram delivers again is not
given again. The bot sees numbers that only grow: Telegram's, as long as those do. Blocking; proxy.py calls it in a thread.

Libraries confirm what they have only begun. With `again_s` an update is therefore kept for so long after its confirmation, until something
was sent to its chat; a bot that polls without an offset, which means that it has just been started, gets it once more.
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
MOST_REMEMBERED = 100_000
MOST_AT_ONCE = 100
MOST_TIMES = 3
"""So often a bot is given an update: one that it dies of each time must not keep it down."""
_WAITING = "body IS NOT NULL AND confirmed_at IS NULL"
_BEGUN = "body IS NOT NULL AND confirmed_at IS NOT NULL"
_FUTURE_SLACK = 10
"""An offset farther behind the newest update than this is taken for a mistake, as Telegram does."""

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE updates (
    local_id INTEGER PRIMARY KEY,
    remote_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    chat TEXT NOT NULL,
    body TEXT,
    at REAL NOT NULL,
    confirmed_at REAL,
    times INTEGER NOT NULL DEFAULT 1,
    UNIQUE (remote_id, digest)
);
CREATE INDEX updates_waiting ON updates (local_id) WHERE body IS NOT NULL AND confirmed_at IS NULL;
CREATE INDEX updates_begun ON updates (chat, local_id) WHERE body IS NOT NULL AND confirmed_at IS NOT NULL;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Backlog:
    """The updates of one bot. Every method raises StorageError when the file cannot be read or written; it stays as it is then."""

    def __init__(self, path: Path, again_s: float = 0.0) -> None:
        self._path = path
        self._again_s = again_s
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
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk may have ended it
                    self._database.execute("ROLLBACK")
                raise

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

    def belong_to(self, number: str) -> None:
        """Keep nothing of another bot than this: with the offset of that one, updates of this one would be confirmed unread."""
        known = self.fact("number")
        if known == number:
            return
        with self._commit():
            if known is not None:
                self._database.execute("DELETE FROM updates")
                self._database.execute("DELETE FROM facts WHERE name = 'offset'")
            self._set("number", number)

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
                    "INSERT INTO updates (local_id, remote_id, digest, chat, body, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (local_id, remote_id, hashlib.sha256(body.encode()).hexdigest()[:32], chat_of(update), body, now),
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

    def take(self, offset: int, limit: int, now: float, begins: bool = True) -> list[Json]:
        """Drop what the bot's `offset` confirms and return at most `limit` of what waits, with the numbers that the bot knows.

        A poll that looks once more (`begins` is False) may be that of a life that has ended: what the next one has begun is not its affair.
        """
        if offset:
            self._confirm(offset, now)
        elif self._again_s and begins:
            self._give_again(now)
        with self._told():
            rows = self._database.execute(
                f"SELECT local_id, body FROM updates WHERE {_WAITING} ORDER BY local_id LIMIT ?", (min(max(limit, 1), MOST_AT_ONCE),)
            ).fetchall()
        return [json.loads(body) | {"update_id": local_id} for local_id, body in rows]

    def _confirm(self, offset: int, now: float) -> None:
        with self._told():
            newest = int(self.fact("last") or 0)
            if offset < 0:
                row = self._database.execute(
                    f"SELECT local_id FROM updates WHERE {_WAITING} ORDER BY local_id DESC LIMIT 1 OFFSET ?", (-offset - 1,)
                ).fetchone()
                offset = int(row[0]) if row is not None else 0
            elif offset > newest + 1 + _FUTURE_SLACK:
                return
            is_needed = self._database.execute(f"SELECT 1 FROM updates WHERE {_WAITING} AND local_id < ? LIMIT 1", (offset,)).fetchone()
        if is_needed is None:  # most polls confirm nothing, and a commit waits for the disk
            return
        with self._commit():
            if self._again_s:
                self._database.execute(f"UPDATE updates SET confirmed_at = ? WHERE {_WAITING} AND local_id < ?", (now, offset))
            else:
                self._database.execute(f"UPDATE updates SET body = NULL WHERE {_WAITING} AND local_id < ?", (offset,))

    def _give_again(self, now: float) -> None:
        """A poll without an offset comes from a program that has confirmed nothing: what is confirmed, an earlier life of it began."""
        begun = f"{_BEGUN} AND confirmed_at >= ? AND times < ?"
        with self._told():
            is_needed = self._database.execute(f"SELECT 1 FROM updates WHERE {begun} LIMIT 1", (now - self._again_s, MOST_TIMES)).fetchone()
        if is_needed is not None:
            with self._commit():
                self._database.execute(
                    f"UPDATE updates SET confirmed_at = NULL, times = times + 1 WHERE {begun}", (now - self._again_s, MOST_TIMES)
                )

    def answered(self, chat: str) -> None:
        """The bot has sent something to a chat: the oldest update that it began there is done with."""
        if not self._again_s:
            return
        with self._told():
            row = self._database.execute(
                f"SELECT local_id FROM updates WHERE {_BEGUN} AND chat = ? ORDER BY local_id LIMIT 1", (chat,)
            ).fetchone()
        if row is not None:
            with self._commit():
                self._database.execute("UPDATE updates SET body = NULL WHERE local_id = ?", row)

    def drop(self) -> None:
        """Drop all that waits, as the bot has asked Telegram to do."""
        with self._commit():
            self._database.execute("UPDATE updates SET body = NULL WHERE body IS NOT NULL")

    def expire(self, before: float, now: float) -> int:
        """Drop what waits since `before` (epoch seconds) and forget what was confirmed long ago; return how many were dropped."""
        with self._commit():
            dropped = self._database.execute(f"UPDATE updates SET body = NULL WHERE {_WAITING} AND at < ?", (before,)).rowcount
            self._database.execute(f"UPDATE updates SET body = NULL WHERE {_BEGUN} AND confirmed_at < ?", (now - self._again_s,))
            self._database.execute("DELETE FROM updates WHERE body IS NULL AND at < ?", (now - REMEMBERED_S,))
            self._database.execute(
                "DELETE FROM updates WHERE body IS NULL AND local_id <= "
                "(SELECT local_id FROM updates ORDER BY local_id DESC LIMIT 1 OFFSET ?)",
                (MOST_REMEMBERED,),
            )
        return dropped

    def used_bytes(self) -> int:
        """Return how much of the file is in use; what was freed is used again before the file grows."""
        with self._told():
            (pages,), (free,), (size,) = (
                self._database.execute(f"PRAGMA {fact}").fetchone() for fact in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def waiting(self) -> int:
        """Return how many wait for the bot."""
        with self._told():
            (count,) = self._database.execute(f"SELECT count(*) FROM updates WHERE {_WAITING}").fetchone()
        return int(count)


def chat_of(update: Json) -> str:
    """Return the chat that an update belongs to, "" when it has none."""
    for name, content in update.items():
        if name != "update_id" and isinstance(content, dict):
            holder = content if "chat" in content else content.get("message")
            chat = holder.get("chat") if isinstance(holder, dict) else None
            return str(chat.get("id", "")) if isinstance(chat, dict) else ""
    return ""
