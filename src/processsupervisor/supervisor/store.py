"""psv.db: what an operator wants of each bot, every transition and every exit; the standard library's sqlite3.

What is wanted is committed before the command acts. History is written in batches and bounded. When the disk refuses,
psvd goes on from memory and says so in status (I4).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from processsupervisor.kernel.clock import boottime, mono
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import Wanted
from processsupervisor.process.exits import ExitRecord
from processsupervisor.process.lifecycle import Transition
from processsupervisor.supervisor.tables import ADDED, SCHEMA

SCHEMA_VERSION = 1
HISTORY_ROWS = 100_000
EXITS_PER_BOT = 200
_CACHE_KIB = 256
"""psvd reads little of what it wrote; SQLite's own default would keep 2 MB of it."""
SAVE_AGAIN_S = 5.0
_BUSY_S = 0.4
"""Nobody else writes the file but a person with a tool of their own. For that psvd waits once, and less than what it calls a stall."""
class Keeper(Protocol):
    """Somebody who keeps what is not on disk yet until it is; asked at each flush, never while the store works from memory."""

    def write(self, store: Store) -> bool:
        """Put all of it into the transaction; tell whether there was anything."""
        ...

    def on_written(self) -> None:
        """What `write` put is durable."""
        ...

    @property
    def is_behind(self) -> bool:
        """Tell whether something waits to be written."""
        ...


class Store:
    """One connection, used on psvd's loop only: every statement is a few microseconds, commits are grouped by `flush`."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self.unsaved: dict[str, Wanted] = {}
        """What is wanted and could not be written yet; tried again at each flush."""
        self._path = path
        self._dirty = False
        self._is_in_memory = False
        self._tried_mono = mono()
        self._undone = 0  # transactions that the disk refused
        self._is_unsynced = False  # a wish is committed, and a power cut would undo that
        self._counted: dict[str, dict[int, float]] = {}  # {bot: {generation: CLOCK_BOOTTIME}} of counted exits, until they are on disk
        self._refused_mono = float("-inf")  # when the last one could not even begin
        self.keepers: list[Keeper] = []
        self._db = self._open()

    @property
    def is_behind(self) -> bool:
        """Tell whether something that must be durable is not on disk: flush is to be called again after SAVE_AGAIN_S."""
        return self._is_in_memory or bool(self.unsaved) or any(keeper.is_behind for keeper in self.keepers)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect(str(self._path))
        except sqlite3.Error as err:
            # Nothing is overwritten: the file stays as it is and this psvd works from memory until it can be used.
            self.problem = f"psv.db cannot be used ({err}); what is wanted and history are kept in memory only"
            self._is_in_memory = True
            db = self._connect(":memory:")
            db.executemany("INSERT INTO wanted VALUES (?, ?)", self._salvage())
            return db

    def _salvage(self) -> list[tuple[str, str]]:
        """Return what a file that cannot be written says is wanted; nothing when it cannot be read either."""
        for how in ("mode=ro", "immutable=1"):  # the second needs no write at all, but does not see what only the WAL holds
            with contextlib.suppress(sqlite3.Error):
                db = sqlite3.connect(f"file:{quote(str(self._path))}?{how}", uri=True)
                with contextlib.closing(db):
                    return list(db.execute("SELECT bot, wanted FROM wanted WHERE wanted IN ('up', 'down', 'paused')"))
        return []

    def _return_to_disk(self) -> None:
        """Use the file again once it can be used: the disk has room, or the file was moved away."""
        if mono() - self._tried_mono < SAVE_AGAIN_S:
            return
        self._tried_mono = mono()
        try:
            db = self._connect(str(self._path))
        except sqlite3.Error:
            return
        self.unsaved = {**self.wanted(), **self.unsaved}
        self._db.close()
        self._db, self._dirty, self._is_in_memory, self.problem = db, False, False, ""

    @staticmethod
    def _connect(path: str) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"it has schema {version}, this psv knows {SCHEMA_VERSION}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            db.executescript(SCHEMA + ADDED)
            if not any(row[1] == "asked_by" for row in db.execute("PRAGMA table_info(history)")):
                db.execute("ALTER TABLE history ADD COLUMN asked_by TEXT")
            if version != SCHEMA_VERSION:
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def wanted(self) -> dict[str, Wanted]:
        """Return `{bot: wanted}` for every bot that was ever told something."""
        return {bot: Wanted(value) for bot, value in self._rows("SELECT bot, wanted FROM wanted")}

    def set_wanted(self, bot: str, wanted: Wanted) -> None:
        """Note what is wanted; on disk at the next flush."""
        self.unsaved[bot] = wanted

    def add_transition(self, t: Transition, asked_by: str | None = None) -> None:
        """Note one transition, and who asked for it."""
        row = (t.bot, t.at, str(t.before), str(t.after), str(t.trigger), t.reason, t.generation, t.exit_code, asked_by)
        names = "bot, at, before, after, trigger, reason, generation, exit_code, asked_by"
        self._run(f"INSERT INTO history ({names}) VALUES (?,?,?,?,?,?,?,?,?)", row)

    def add_exit(self, bot: str, record: ExitRecord, *, is_counted: bool) -> int:
        """Note one exit and return its row number; `is_counted` exits fill the restart windows.

        A generation ends once: what a psvd noted before it died is kept, and its row is returned. Only a start that was believed
        to have failed is noted anew: an answer that came too late does not mean that nothing was born.
        """
        row = (bot, record.generation, record.at, boot_id(), boottime(), int(is_counted), json.dumps(record.to_json()))
        noted = self._rows("SELECT id, record FROM exits WHERE bot = ? AND generation = ?", (bot, record.generation))
        if noted and not (record.has_status and _is_unborn(noted[0][1])):
            return int(noted[0][0])
        if noted:
            self._run("DELETE FROM exits WHERE id = ?", (noted[0][0],))
        if is_counted:
            kept = [*self._counted.get(bot, {}).items(), (record.generation, boottime())]
            self._counted[bot] = dict(kept[-EXITS_PER_BOT:])
        found = self._run("INSERT INTO exits (bot, generation, at, boot_id, boottime, counted, record) VALUES (?,?,?,?,?,?,?)", row)
        return int(found.lastrowid or 0) if found else 0

    def update_exit(self, bot: str, row: int, record: ExitRecord) -> None:
        """Complete an exit with its log tail, which is read after the next start; a row that the disk refused may be another's by now."""
        change = "UPDATE exits SET record = ? WHERE id = ? AND bot = ? AND generation = ?"
        self._run(change, (json.dumps(record.to_json()), row, bot, record.generation))

    def last_exit(self, bot: str) -> ExitRecord | None:
        """Return the newest exit record of a bot."""
        rows = self._rows("SELECT record FROM exits WHERE bot = ? ORDER BY id DESC LIMIT 1", (bot,))
        return ExitRecord.from_json(json.loads(rows[0][0])) if rows else None

    def exit_of(self, bot: str, generation: int) -> ExitRecord | None:
        """Return the exit record of one generation, None when its end is not noted."""
        rows = self._rows("SELECT record FROM exits WHERE bot = ? AND generation = ?", (bot, generation))
        return ExitRecord.from_json(json.loads(rows[0][0])) if rows else None

    def last_exit_boottime(self, bot: str) -> float | None:
        """Return when (CLOCK_BOOTTIME) the bot last ended in this boot; None when it did not."""
        rows = self._rows("SELECT boottime FROM exits WHERE bot = ? AND boot_id = ? ORDER BY id DESC LIMIT 1", (bot, boot_id()))
        return float(rows[0][0]) if rows else None

    def last_generations(self) -> dict[str, int]:
        """Return `{bot: highest generation}` that an exit or a transition names; a new one must be higher."""
        both = "SELECT bot, generation FROM exits UNION ALL SELECT bot, generation FROM history"
        query = f"SELECT bot, max(generation) FROM ({both}) GROUP BY bot"
        return {bot: int(highest) for bot, highest in self._rows(query)}

    def last_transitions(self) -> dict[str, tuple[str, int, str]]:
        """Return `{bot: (state, generation, reason)}` of the newest transition of each."""
        query = "SELECT bot, after, generation, reason FROM history WHERE id IN (SELECT max(id) FROM history GROUP BY bot)"
        return {bot: (state, int(generation), reason) for bot, state, generation, reason in self._rows(query)}

    def counted_exits(self, bot: str, within_s: float) -> list[float]:
        """Return the CLOCK_BOOTTIME seconds of this boot's counted exits of the last `within_s`, those that the disk refused included.

        Called after a flush: what is found then is on disk, and is not kept any longer.
        """
        since = boottime() - within_s
        query = "SELECT generation, boottime FROM exits WHERE bot = ? AND counted = 1 AND boot_id = ? AND boottime > ? ORDER BY id"
        noted = dict(self._rows(query, (bot, boot_id(), since)))
        kept = {generation: at for generation, at in self._counted.pop(bot, {}).items() if at > since}
        if waiting := {g: at for g, at in kept.items() if self._is_in_memory or g not in noted}:
            self._counted[bot] = waiting
        return sorted((kept | noted).values())

    def history(self, bot: str, limit: int) -> list[dict[str, object]]:
        """Return the newest `limit` transitions, oldest first."""
        names = ("bot", "at", "from", "to", "trigger", "reason", "generation", "exit_code", "by")
        columns = "bot, at, before, after, trigger, reason, generation, exit_code, asked_by"
        rows = self._rows(f"SELECT {columns} FROM history WHERE bot = ? ORDER BY id DESC LIMIT ?", (bot, limit))
        return [dict(zip(names, row, strict=True)) for row in reversed(rows)]

    def exits(self, bot: str, limit: int) -> list[ExitRecord]:
        """Return the newest `limit` exit records of a bot, oldest first."""
        rows = self._rows("SELECT record FROM exits WHERE bot = ? ORDER BY id DESC LIMIT ?", (bot, limit))
        return [ExitRecord.from_json(json.loads(row[0])) for row in reversed(rows)]

    def add_audit(self, at: float, caller: str, op: str, args: str) -> None:
        """Note one permitted command."""
        self._run("INSERT INTO audit (at, caller, op, args) VALUES (?,?,?,?)", (at, caller, op, args))

    def flush(self) -> None:
        """Commit what was noted since the last flush; called by the loop soon after the first change, and while `unsaved` is not empty."""
        if self._is_in_memory:
            self._return_to_disk()
        upsert = "INSERT INTO wanted VALUES (?, ?) ON CONFLICT (bot) DO UPDATE SET wanted = excluded.wanted"
        written = {bot: wanted for bot, wanted in self.unsaved.items() if self._run(upsert, (bot, str(wanted))) is not None}
        undone = self._undone
        wrote = [keeper for keeper in self.keepers if not self._is_in_memory and keeper.write(self)]
        if self._dirty:
            self._dirty = False
            if self._guard("COMMIT") is not None and not self._is_in_memory:
                self.unsaved = {bot: wanted for bot, wanted in self.unsaved.items() if bot not in written}
                self._is_unsynced = self._is_unsynced or bool(written)
                for keeper in wrote if self._undone == undone else ():
                    keeper.on_written()

    def sync(self) -> None:
        """Return when what is wanted would survive a power cut. The wishes of one command, however many, cost one sync of the log."""
        if self._is_unsynced:
            self._is_unsynced = False
            with contextlib.suppress(OSError):  # none: everything is in the file itself, and synced
                descriptor = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def prune(self) -> None:
        """Drop history beyond its bounds; called now and then."""
        self._run("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (HISTORY_ROWS,))
        self._run("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", (HISTORY_ROWS,))
        self._run(
            "DELETE FROM exits WHERE id IN (SELECT id FROM ("
            "SELECT id, row_number() OVER (PARTITION BY bot ORDER BY id DESC) n FROM exits) WHERE n > ?)",
            (EXITS_PER_BOT,),
        )

    def write(self, statement: str, values: tuple[object, ...]) -> int | None:
        """Carry out one statement on another file's tables, on disk at the next flush; returns its row, None when the disk refuses."""
        cursor = self._run(statement, values)
        return None if cursor is None else int(cursor.lastrowid or 0)

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query on another file's tables."""
        return self._rows(query, values)

    def write_durably(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> bool:
        """Carry out all of these or none, and return when they would survive a power cut; False when that cannot be had."""
        self.flush()
        if self._is_in_memory or self._guard("PRAGMA synchronous=FULL") is None:
            return False
        try:
            if self._guard("BEGIN IMMEDIATE") is None:
                return False
            if all(self._guard(*statement) is not None for statement in statements) and self._guard("COMMIT") is not None:
                return True
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return False
        finally:
            self._guard("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Commit and close; there is no later, so who held the file a moment ago is waited for once more."""
        self._refused_mono = float("-inf")
        self.flush()
        self._db.close()

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor | None:
        if not self._dirty and mono() - self._refused_mono >= SAVE_AGAIN_S:
            self._dirty = self._db.in_transaction or self._guard("BEGIN IMMEDIATE") is not None
            self._refused_mono = float("-inf") if self._dirty else mono()
        return self._guard(statement, values) if self._dirty else None

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; none, with the problem noted, when the file cannot be read."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as err:
            self.problem = f"psv.db cannot be read: {err}; move it away while the fleet is down"
            return []

    def _guard(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor | None:
        try:
            cursor = self._db.execute(statement, values)
        except sqlite3.Error as err:
            self.problem = f"psv.db cannot be written: {err}"
            self._undone += 1
            if self._db.in_transaction and statement == "COMMIT":
                self._db.execute("ROLLBACK")
            elif not self._db.in_transaction:
                self._dirty = False  # a full disk rolls back by itself
            return None
        if statement == "COMMIT" and not self._is_in_memory:
            self.problem = ""
        return cursor


def _is_unborn(record: str) -> bool:
    """Tell whether an exit record says that its generation had no process at all."""
    known = ExitRecord.from_json(json.loads(record))
    return known.reason is Reason.START_FAILED and not known.has_status
