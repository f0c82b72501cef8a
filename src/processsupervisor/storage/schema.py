"""The tables of a bot.db, its version, and opening it durably.

A file of a newer version is refused and left as it is. Every error of sqlite3 leaves this room as a StorageError that
names the file, the cause and the way out. synchronous=FULL: a commit that returned survives the loss of power.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.ddl import SQLITE
from processsupervisor.storage.numbering import first_numbers, mark, refuse_emptied

VERSION = 2
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING, and ALTER TABLE ... DROP COLUMN
BUSY_TIMEOUT_S = 5.0
_MIGRATION_S = 600.0
_CACHE_KIB = 256  # pages kept per bot; counted in the budget of a bot's memory

_log = logging.getLogger("processsupervisor.storage")
_HINTS = {
    "FULL": "free some disk space; the bot goes on by itself",
    "READONLY": "check owner and permissions of the file and its folder",
    "CANTOPEN": "check owner and permissions of the file and its folder",
    "PERM": "check owner and permissions of the file and its folder",
    "CORRUPT": "stop the bot, then put a backup in the file's place (psv bot restore) or move the file away",
    "NOTADB": "stop the bot, then put a backup in the file's place (psv bot restore) or move the file away",
    "IOERR": "check the disk; the bot goes on by itself when it works again",
    "BUSY": "another program holds the file",
    "LOCKED": "another program holds the file",
}


def storage_error(path: Path, err: sqlite3.Error | OSError) -> StorageError:
    """Return the error as ours: the file, what SQLite or the system said, and what to do."""
    name = getattr(err, "sqlite_errorname", None) or ("PERM" if isinstance(err, PermissionError) else "")
    hint = next((text for word, text in _HINTS.items() if word in name), "")
    said = err.strerror if isinstance(err, OSError) else str(err)
    return StorageError(f"cannot use {path}: {said}", hint=hint)


def open_database(path: Path, *, exclusive: bool = False) -> sqlite3.Connection:
    """Open or create the file, bring it to VERSION by a child process, and return the connection in autocommit mode.

    `exclusive` keeps every other process out for the life of the connection. Raises StorageError.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StorageError(
            f"cannot use {path}: this Python has SQLite {sqlite3.sqlite_version}, 3.35 is the oldest that will do",
            hint="use a Python with a newer one: python -c 'import sqlite3; print(sqlite3.sqlite_version)'",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            # SQLite would open it all the same, and leave files beside it that cannot be written either.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        refuse_emptied(path)
        if _version_of(path) in range(1, VERSION):
            _bring_up(path)
        timeout_s = BUSY_TIMEOUT_S / 10 if exclusive else BUSY_TIMEOUT_S  # whoever else has it exclusively keeps it
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as err:
        raise storage_error(path, err) from err
    try:
        _prepare(connection, path, exclusive)
        mark(path)
    except (sqlite3.Error, OSError) as err:
        connection.close()
        raise storage_error(path, err) from err
    except StorageError:
        connection.close()
        raise
    return connection


def _version_of(path: Path) -> int:
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _bring_up(path: Path) -> None:
    """Have a process of its own migrate an older file: what that needs would cost this one several MB for good."""
    boot = Path(__file__).parents[1] / "boot.py"  # the very copy of the package that runs here
    argv = [sys.executable, "-P", str(boot), "processsupervisor.storage.migrate", str(path)]
    _log.info("the database is brought to schema %d; a copy of it as it was stays beside it", VERSION)
    try:
        with _in_turn(path):
            ended = subprocess.run(argv, capture_output=True, text=True, timeout=_MIGRATION_S, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as err:
        raise StorageError(f"{path} was not migrated within {_MIGRATION_S:g} s", hint="the file is unchanged; the bot tries again") from err
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1]
        way_out = "; the bot's limit of memory may be too low for it: psv bot migrate does it outside" if ended.returncode < 0 else ""
        raise StorageError(f"cannot migrate {path}: {said}", hint=f"the file is unchanged{way_out}")


@contextlib.contextmanager
def _in_turn(path: Path) -> Iterator[None]:
    """Wait until no other bot beside this one migrates: after an upgrade they all come, and each needs 50 MB for a second."""
    try:
        import fcntl

        turn = os.open(path.parent.parent / ".migrating", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):  # another user's folder, another platform
        yield
        return
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def _prepare(connection: sqlite3.Connection, path: Path, exclusive: bool) -> None:
    if exclusive:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageError(
            f"{path} was written by a newer version (schema {version}, this one reads {VERSION})", hint="upgrade psv; the file is unchanged"
        )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA journal_size_limit=4194304")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE;\n{SQLITE}\n{first_numbers(path)}PRAGMA user_version={VERSION};\nCOMMIT;")
        path.chmod(0o600)


_OPEN_WORK = {
    1: "SELECT EXISTS (SELECT 1 FROM inbox WHERE state = 0) OR EXISTS (SELECT 1 FROM reminders WHERE state = 0)",
    2: "SELECT EXISTS (SELECT 1 FROM inbox WHERE state = 0) OR EXISTS (SELECT 1 FROM reminders WHERE state = 0) "
    "OR EXISTS (SELECT 1 FROM outbox WHERE state IN (0, 2)) OR EXISTS (SELECT 1 FROM timers) "
    "OR EXISTS (SELECT 1 FROM dialogs WHERE deadline_at IS NOT NULL)",
}
"""What asks each version of the file whether something is to be done in it."""


def has_open_work(path: Path) -> bool:
    """Tell whether the file holds messages to handle or to send, or something that comes due, without keeping anything open.

    A missing file has none; an unreadable one, or a newer one, is taken to have some, so that opening it tells why.
    """
    if not path.exists():
        return False
    try:
        refuse_emptied(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            found = connection.execute(_OPEN_WORK.get(version, "SELECT 1")).fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, StorageError):
        return True
    return bool(found[0])
