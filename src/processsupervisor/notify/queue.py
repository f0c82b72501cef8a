"""What is still to be told, in data/notify.db: gathered by channel, cause and bot, then made into messages, kept until they are sent.

An event and the number up to which events are dealt with are committed together, so none is passed over and none counted twice. While
the disk refuses, everything is kept in memory; who is killed then reads those events again. Times are CLOCK_BOOTTIME; after a restart
of the machine they are reckoned by the wall clock once.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.identity import boot_id
from processsupervisor.notify.causes import Notice
from processsupervisor.notify.message import Gathered, Message

T = TypeVar("T")
GATHER_S = 1.0
"""What fails together is told together."""
KEEP_S = 86400.0
"""A message that could not be sent for so long is given up."""
_QUICK = 3
"""So many messages of one cause go to a channel as they come; then each waits longer, up to `repeat`: bots that fail one after the
other all day are a few messages an hour, and all of them are in these."""
_HOLD_S, _HOLD_FACTOR = 60.0, 4.0
_PROBE_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS gathered (
    channel TEXT, cause TEXT, bot TEXT, due REAL NOT NULL, told REAL, count INTEGER NOT NULL, first_at REAL NOT NULL,
    last_at REAL NOT NULL, text TEXT NOT NULL, PRIMARY KEY (channel, cause, bot));
CREATE TABLE IF NOT EXISTS pace (
    channel TEXT, cause TEXT, repeat_s REAL NOT NULL, made REAL, streak INTEGER NOT NULL, free REAL NOT NULL, PRIMARY KEY (channel, cause));
CREATE TABLE IF NOT EXISTS message (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, cause TEXT NOT NULL, body TEXT NOT NULL, born REAL NOT NULL, born_at REAL NOT NULL,
    due REAL NOT NULL, tries INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS part (id TEXT PRIMARY KEY, addresses TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trouble (
    cause TEXT, bot TEXT, until TEXT, at REAL NOT NULL, up REAL, PRIMARY KEY (cause, bot, until));
"""


class Waiting(NamedTuple):
    """A message that is due; `tries` that failed already."""

    channel: str
    tries: int
    message: Message
    left: tuple[str, ...] = ()
    """For whom it was not taken yet, when others have it; empty: for nobody."""


class Queue:
    """One fleet's queue. `problem` says why it is kept in memory; empty: it is on disk."""

    def __init__(self, path: Path, now: Callable[[], float] = boottime) -> None:
        self._path = path
        self._now = now
        self._probe_at = 0.0
        self.problem = ""
        try:
            self._db = _open(path)
            self._take_boot()
        except sqlite3.DatabaseError as err:
            self._db = self._begin_anew(err)
            self._take_boot()

    def change(self, act: Callable[[], T]) -> T:
        """Do `act`, which calls the methods below, as one step on disk; when the disk refuses, in memory."""
        try:
            return self._in_one(act)
        except sqlite3.Error as err:
            if self.problem:
                raise
            self._to_memory(err)
            return self._in_one(act)

    def _in_one(self, act: Callable[[], T]) -> T:
        if self._db.in_transaction:
            return act()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = act()
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        return result

    # -- how far events are dealt with

    @property
    def cursor(self) -> str | None:
        """The last event that was dealt with as "SEQ-LIFE"; None before the first."""
        return self._fact("cursor")

    def move(self, seq: int, life: str) -> None:
        """Note that every event up to `seq` is dealt with."""
        self._set_fact("cursor", f"{seq}-{life}")

    # -- gathering

    def add(self, channel: str, notice: Notice, repeat_s: float) -> None:
        """Gather a notice for a channel. The first is due at once, further ones together when `repeat_s` have passed."""
        now = self._now()
        one = "WHERE channel = ? AND cause = ? AND bot = ?"
        row = self._db.execute(f"SELECT due, told, count FROM gathered {one}", (channel, notice.cause, notice.bot)).fetchone()
        values = (notice.at, notice.text, channel, notice.cause, notice.bot)
        if row is None:
            insert = "INSERT INTO gathered (last_at, text, channel, cause, bot, first_at, due, count) VALUES (?,?,?,?,?,?,?,1)"
            self._db.execute(insert, (*values, notice.at, now + GATHER_S))
        elif row[2]:
            update = f"UPDATE gathered SET last_at = ?, text = ?, count = count + 1 {one}"
            self._db.execute(update, values)
        else:
            due = max(now + GATHER_S, float(row[1]) + repeat_s)
            update = f"UPDATE gathered SET last_at = ?, text = ?, first_at = ?, due = ?, count = 1 {one}"
            self._db.execute(update, (notice.at, notice.text, notice.at, due, *values[2:]))
        pace = "INSERT INTO pace VALUES (?,?,?,NULL,0,0) ON CONFLICT (channel, cause) DO UPDATE SET repeat_s = excluded.repeat_s"
        self._db.execute(pace, (channel, notice.cause, repeat_s))

    def make(self, compose: Callable[[str, list[Gathered]], Message]) -> int:
        """Make messages of what is due, one for a channel and cause of which none waits and none is too recent; returns how many."""
        now = self._now()
        ready = self._db.execute(
            "SELECT DISTINCT channel, cause FROM gathered g WHERE count > 0 AND due <= ? AND NOT EXISTS"
            " (SELECT 1 FROM message m WHERE m.channel = g.channel AND m.cause = g.cause) AND NOT EXISTS"
            " (SELECT 1 FROM pace p WHERE p.channel = g.channel AND p.cause = g.cause AND p.free > ?)",
            (now, now),
        ).fetchall()
        for channel, cause in ready:
            where = "WHERE channel = ? AND cause = ? AND count > 0 AND due <= ?"
            rows = self._db.execute(
                f"SELECT bot, count, text, first_at, last_at FROM gathered {where} ORDER BY first_at", (channel, cause, now)
            ).fetchall()
            message = compose(cause, [Gathered(*row) for row in rows])
            self._db.execute(
                "INSERT INTO message (id, channel, cause, body, born, born_at, due, tries) VALUES (?,?,?,?,?,?,?,0)",
                (message["id"], channel, cause, json.dumps(message), now, wall(), now),
            )
            self._db.execute(f"UPDATE gathered SET count = 0, told = ? {where}", (now, channel, cause, now))
            self._hold(channel, cause)
        return len(ready)

    def _hold(self, channel: str, cause: str) -> None:
        """Note that a message was made, and from when on the next of its cause may be."""
        now, one = self._now(), "WHERE channel = ? AND cause = ?"
        row = self._db.execute(f"SELECT repeat_s, made, streak FROM pace {one}", (channel, cause)).fetchone()
        if row is None:  # gathered before there was a pace
            return
        repeat_s, made, streak = float(row[0]), row[1], int(row[2])
        streak = 1 if made is None or now - made >= repeat_s else streak + 1
        hold_s = 0.0 if streak < _QUICK else min(repeat_s, _HOLD_S * _HOLD_FACTOR ** (streak - _QUICK))
        self._db.execute(f"UPDATE pace SET made = ?, streak = ?, free = ? {one}", (now, streak, now + hold_s, channel, cause))

    # -- sending

    def due(self, busy: set[str]) -> list[Waiting]:
        """Return the oldest message that is due of every channel that is not `busy`."""
        found: dict[str, Waiting] = {}
        query = "SELECT channel, tries, body, addresses FROM message LEFT JOIN part USING (id) WHERE due <= ? ORDER BY due, born"
        for channel, tries, body, left in self._db.execute(query, (self._now(),)):
            if channel not in busy:
                found.setdefault(channel, Waiting(channel, tries, cast(Message, json.loads(body)), tuple(json.loads(left or "[]"))))
        return list(found.values())

    def sent(self, message_id: str) -> None:
        """Forget a message that was delivered."""
        self._db.execute("DELETE FROM message WHERE id = ?", (message_id,))
        self._db.execute("DELETE FROM part WHERE id = ?", (message_id,))

    def put_off(self, message_id: str, delay_s: float, left: Sequence[str] = ()) -> None:
        """Try a message again in `delay_s`, for those who are `left` when the others have it."""
        if left:
            self._db.execute("INSERT OR REPLACE INTO part VALUES (?,?)", (message_id, json.dumps(left)))
        self._db.execute("UPDATE message SET due = ?, tries = tries + 1 WHERE id = ?", (self._now() + delay_s, message_id))

    def give_up(self, channels: set[str], repeat_s: float) -> int:
        """Drop messages that are too old, or of a channel that is not there any more; returns how many. What was told
        `repeat_s` ago is forgotten."""
        now = self._now()
        kept = ",".join("?" * len(channels))
        dropped = self._db.execute(f"DELETE FROM message WHERE born <= ? OR channel NOT IN ({kept})", (now - KEEP_S, *channels)).rowcount
        self._db.execute("DELETE FROM part WHERE id NOT IN (SELECT id FROM message)")
        self._db.execute(f"DELETE FROM pace WHERE channel NOT IN ({kept})", (*channels,))
        self._db.execute(f"DELETE FROM gathered WHERE channel NOT IN ({kept}) OR (count = 0 AND told < ?)", (*channels, now - repeat_s))
        return dropped

    def waiting(self, channel: str) -> int:
        """Return how many messages of a channel wait."""
        return int(self._db.execute("SELECT count(*) FROM message WHERE channel = ?", (channel,)).fetchone()[0])

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits to be made, sent or found over."""
        query = "SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM gathered WHERE count > 0) OR EXISTS (SELECT 1 FROM trouble)"
        return not self._db.execute(query).fetchone()[0]

    def next_due_s(self) -> float | None:
        """Return in how many seconds something is to be made, sent or looked at; None: nothing waits. Negative: it is under way."""
        row = self._db.execute(
            "SELECT min(due) FROM (SELECT due FROM message UNION ALL SELECT max(due, coalesce((SELECT free FROM pace p WHERE"
            " p.channel = g.channel AND p.cause = g.cause), due)) FROM gathered g WHERE count > 0 AND NOT EXISTS"
            " (SELECT 1 FROM message m WHERE m.channel = g.channel AND m.cause = g.cause)"
            " UNION ALL SELECT ? + 0.5 FROM trouble WHERE up IS NOT NULL)",
            (self._now(),),
        ).fetchone()
        return None if row[0] is None else float(row[0]) - self._now()

    # -- what lasts; troubles.py says what it means

    def rows(self, query: str, values: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a query on `trouble`, and do what it says."""
        yield from self._db.execute(query, values).fetchall()

    # -- the file

    def settle(self) -> None:
        """Go back to the disk when it takes the queue again; called now and then."""
        if not self.problem or self._now() < self._probe_at:
            return
        self._probe_at = self._now() + _PROBE_S
        try:
            disk = _open(self._path)
            self._db.backup(disk)
        except sqlite3.Error:
            return
        self._db.close()
        self._db, self.problem = disk, ""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _to_memory(self, err: sqlite3.Error) -> None:
        self.problem = f"data/notify.db cannot be written ({err}); what is to be told is kept in memory"
        self._probe_at = self._now() + _PROBE_S
        memory = _connect(":memory:")
        try:
            self._db.backup(memory)
        except sqlite3.Error:
            memory.executescript(_SCHEMA)
        self._db.close()
        self._db = memory

    def _begin_anew(self, err: sqlite3.Error) -> sqlite3.Connection:
        """Put a file aside that is none of ours any more; without a usable disk begin in memory."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if not isinstance(err, sqlite3.OperationalError):
                self._path.replace(self._path.with_name("notify.db.broken"))
            return _open(self._path)
        self.problem = f"data/notify.db cannot be used ({err}); what is to be told is kept in memory"
        memory = _connect(":memory:")
        # What the file holds can often be read all the same, and must not be overwritten by less when it can be written again.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as disk:
            disk.backup(memory)
        memory.executescript(_SCHEMA)
        return memory

    def _take_boot(self) -> None:
        """Bring the times of an earlier boot into this one: what was due is due now, and messages are as old as the wall clock says."""
        if self._fact("boot") == boot_id():
            return
        now, today = self._now(), wall()

        def act() -> None:
            self._db.execute("UPDATE gathered SET due = min(due, ?), told = ?", (now, now - KEEP_S))
            self._db.execute("UPDATE message SET due = ?, born = ? - max(0, ? - born_at)", (now, now, today))
            self._db.execute("UPDATE trouble SET up = NULL")
            self._db.execute("DELETE FROM pace")
            self._set_fact("boot", boot_id())

        self.change(act)

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row is not None else None

    def _set_fact(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO fact (name, value) VALUES (?,?)", (name, value))


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=5.0, isolation_level=None)
    db.execute("PRAGMA cache_size = -256")
    return db


def _open(path: Path) -> sqlite3.Connection:
    db = _connect(str(path))
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        path.chmod(0o600)
    except (sqlite3.Error, OSError):
        db.close()
        raise
    return db
