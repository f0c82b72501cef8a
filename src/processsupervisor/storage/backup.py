"""Copies of a bot's database: made while it runs, verified by opening the copy, and put back only while the bot is stopped.

A copy is written under a temporary name and renamed when it is whole. Standard library only: the migration and the tools use it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.numbering import go_on_behind, last_numbers, refuse_emptied
from processsupervisor.storage.schema import VERSION, storage_error

_NOT_A_DATABASE = "name a file that `psv bot backup` made"
_PAGES = 1000  # a step of the copy; between two the bot may write


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file holds: its schema's version, rows by table, and size."""

    version: int
    rows: dict[str, int]
    size_bytes: int


def facts_of(path: Path) -> Facts:
    """Read what a database holds and check every page of it. Raises StorageError for a damaged, empty or foreign file."""
    if not path.is_file():
        raise StorageError(f"there is no file {path}", hint=_NOT_A_DATABASE)
    refuse_emptied(path)
    try:
        with contextlib.closing(_open_to_read(path)) as connection:
            return _checked(connection, path)
    except sqlite3.Error as err:
        raise storage_error(path, err) from err


def back_up(source: Path, target: Path) -> Facts:
    """Copy the database at `source`, which may be in use, to `target`; the copy is opened, checked and counted before it gets its name.

    Raises StorageError; then `target` is as it was.
    """
    if not source.is_file():
        raise StorageError(f"there is no file {source}", hint="a bot has one from its first message on")
    refuse_emptied(source)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(_open_to_read(source)) as origin:
            facts = _copy(origin, temporary, source)
        temporary.replace(target)
        _sync_folder(target.parent)
    except sqlite3.Error as err:
        raise storage_error(source, err) from err
    except OSError as err:
        raise storage_error(target, err) from err
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return facts


def restore(
    source: Path, target: Path, resting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext, *, beside: Sequence[str] = ()
) -> tuple[Facts, Path | None]:
    """Put the copy `source` in the place of the database `target`, which nobody may have open inside `resting`.

    The copy is checked and copied before `resting` is entered, for the exchange alone. Files named in `beside`, which speak of the one that
    is replaced, are put away with it, and before it: without them a network is read once more, with another's something would be lost.
    Returns what it holds, and where the file that stood there lies now (None: there was none). Raises StorageError, and what `resting`
    raises; then `target` is as it was.
    """
    facts = facts_of(source)
    if facts.version > VERSION:
        raise StorageError(f"{source} is of a newer version (schema {facts.version}, this one reads {VERSION})", hint="upgrade psv")
    fresh = target.with_name(f".{target.name}.{os.getpid()}.restored")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        back_up(source, fresh)
        with resting():
            _number(fresh, last_numbers(target))
            _give_to_owner(fresh, target)
            stamp = _free_stamp(target)
            for name in beside:
                with contextlib.suppress(FileNotFoundError):
                    target.with_name(name).rename(target.with_name(f"{name}.before-{stamp}"))
            kept = _put_away(target, stamp)
            fresh.replace(target)
            _sync_folder(target.parent)
    except (OSError, sqlite3.Error) as err:
        raise storage_error(target, err) from err
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
    return facts, kept


def _put_away(target: Path, stamp: str) -> Path | None:
    """Give the file a second name, under which it stays; a journal that is left (the file is damaged) goes there too.

    A journal beside another file than its own would be applied to that.
    """
    _fold_journal(target)
    journals = [suffix for suffix in ("-wal", "-shm") if Path(f"{target}{suffix}").exists()]
    if not target.exists() and not journals:
        return None
    kept = target.with_name(f"{target.name}.before-{stamp}")
    if target.exists():
        kept.hardlink_to(target)  # not renamed: at no moment is there no file, which a bot would take for a new one
    for suffix in journals:
        Path(f"{target}{suffix}").rename(f"{kept}{suffix}")
    return kept


def _number(fresh: Path, numbers: Mapping[str, int]) -> None:
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        go_on_behind(connection, numbers)


def _give_to_owner(fresh: Path, target: Path) -> None:
    """A bot with a user of its own goes on having its file."""
    owner = (target if target.exists() else target.parent).stat()
    if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(fresh, owner.st_uid, owner.st_gid)


def _copy(origin: sqlite3.Connection, temporary: Path, source: Path) -> Facts:
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
        origin.execute("BEGIN")  # one state of the file: what is committed meanwhile is not in the copy, nor counted
        expected = _rows(origin)
        origin.backup(copy, pages=_PAGES)
        origin.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a journal beside it
    with contextlib.closing(_open_to_read(temporary)) as copy:
        facts = _checked(copy, source)
    if facts.rows != expected:
        raise StorageError(f"the copy of {source} does not hold what the file holds", hint="try again; the copy was thrown away")
    with open(temporary, "rb") as whole:
        os.fsync(whole.fileno())
    return facts


def _checked(connection: sqlite3.Connection, path: Path) -> Facts:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise StorageError(f"{path} is damaged: {verdict}", hint="use another copy")
    rows = _rows(connection)
    if not version or "inbox" not in rows:
        raise StorageError(f"{path} is no database of a bot", hint=_NOT_A_DATABASE)
    return Facts(version, rows, path.stat().st_size)


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'alembic_version' ORDER BY name"
    ).fetchall()
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}


def _open_to_read(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=5.0, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _fold_journal(path: Path) -> None:
    """Put what stands in the journal into the file, so that the file alone is whole; a damaged file is kept as it is."""
    if path.exists() and path.stat().st_size:  # SQLite deletes the journal of an empty file
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _free_stamp(target: Path) -> str:
    """Return what is put behind the names of files that are put away now: no file has it yet."""
    now, number = time.strftime("%Y%m%d-%H%M%S"), 1
    stamp = now
    while any(target.parent.glob(f"*.before-{stamp}")):
        number += 1
        stamp = f"{now}-{number}"
    return stamp


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
