"""`psv bot db`, `backup`, `restore` and `migrate`: the database of one native bot, on its file, whether psvd runs or not."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command, nearest_hint
from processsupervisor.config.load import load_fleet
from processsupervisor.connectors.telegram import OF_DATABASE
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, Refused, StorageError, UsageError
from processsupervisor.kernel.files import is_flocked, try_flock
from processsupervisor.kernel.units import format_bytes
from processsupervisor.storage.backup import Facts, back_up, facts_of, restore
from processsupervisor.storage.schema import VERSION, open_database, storage_error

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHOWN_CHARS = 40
_NO_FILE = "only native bots (run = ...) have one, from their first message on"


def show(session: Session, command: Command, *, name: str) -> int:
    """Print version, size and counts, after a check of every page."""
    from processsupervisor.storage.tools import count_in_file  # SQLAlchemy takes 0.2 s to import

    path = database_of(session, name)
    facts = facts_of(path)
    counts = count_in_file(path) if facts.version == VERSION else facts.rows
    size = sum(file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists())
    if session.as_json:
        session.print_json({"bot": name, "file": str(path), **_told(facts), "size_bytes": size, "counts": counts})
        return EXIT_OK
    session.say(f"{path}: schema {facts.version}, {format_bytes(size)}, no damage found")
    print_table(("WHAT", "COUNT"), [[word.replace("_", " "), str(count)] for word, count in counts.items()], right=("COUNT",))
    return EXIT_OK


def backup(session: Session, command: Command, *, name: str, to: str | None) -> int:
    """Copy the file and say where the copy is."""
    path = database_of(session, name)
    target = session.beside(to) if to else session.paths.backups / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.db"
    if target.is_dir():
        raise UsageError(f"--to {target} is a folder", hint=f"name a file: {target / (name + '.db')}")
    if target.exists():
        _refuse_to_overwrite(path, target)
    facts = back_up(path, target)
    if session.as_json:
        session.print_json({"bot": name, "file": str(target), **_told(facts)})
    else:
        session.say(f"backed up {name}: {_words(facts)}")
        session.say(f"checked, in {target}")
    return EXIT_OK


def put_back(session: Session, command: Command, *, name: str, file: str) -> int:
    """Put a copy in the bot's place, if the bot is stopped."""
    path = _place(session, name)
    lock = session.paths.bot_run(name) / "lock"
    if is_flocked(lock):
        raise _running(name)
    facts, kept = restore(session.beside(file), path, partial(resting, name, lock), beside=OF_DATABASE)
    if session.as_json:
        session.print_json({"bot": name, "file": str(path), "kept": str(kept) if kept else None, **_told(facts)})
    else:
        session.say(f"restored {name}: {_words(facts)}")
        if kept is not None:
            session.say(f"what was there before is {kept}")
    return EXIT_OK


def migrate(session: Session, command: Command, *, name: str, to: int | None) -> int:
    """Bring the file to another schema, if the bot is stopped."""
    from processsupervisor.storage.migrate import migrate as bring_to  # SQLAlchemy and Alembic take 0.5 s to import

    path = database_of(session, name)
    version = VERSION if to is None else to
    if version > VERSION:
        raise UsageError(f"this psv knows the schemas 1 to {VERSION}", hint="upgrade psv")
    with resting(name, session.paths.bot_run(name) / "lock"):
        kept = bring_to(path, version)
    if session.as_json:
        session.print_json({"bot": name, "file": str(path), "kept": str(kept) if kept else None, "version": version})
    elif kept is None:
        session.say(f"{name} has schema {version} already")
    else:
        session.say(f"{name} has schema {version} now; a copy of the file as it was is {kept}")
    return EXIT_OK


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a bot's file for one transaction, committed at the end. Raises StorageError."""
    connection = open_database(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.Error as err:
        raise storage_error(path, err) from err
    finally:
        connection.close()


def shortened(text: str) -> str:
    """Return the beginning of a message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"


@contextlib.contextmanager
def resting(name: str, lock: Path) -> Iterator[None]:
    """Hold the bot's lock while its file is exchanged or migrated; a start in this moment waits a second, then it fails."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # it has never run since the machine started
        yield
        return
    try:
        if not try_flock(descriptor):
            raise _running(name)
        yield
    finally:
        os.close(descriptor)


def _running(name: str) -> Refused:
    return Refused(f"{name} runs, and has its database open", hint=f"stop it first: psv stop {name}")


def _refuse_to_overwrite(path: Path, target: Path) -> None:
    if target.samefile(path):
        raise UsageError(f"--to {target} is the database itself")
    try:
        facts_of(target)
    except StorageError as err:
        raise Refused(f"{target} is there and is no backup of a bot", hint="name another file") from err


def database_of(session: Session, name: str) -> Path:
    """Return the bot's file. Raises Refused when there is none yet, NoSuchBot."""
    path = _place(session, name)
    if not path.exists():
        raise Refused(f"{name} has no database yet", hint=_NO_FILE)
    return path


def _place(session: Session, name: str) -> Path:
    """Return where the bot's database is to be. Bots that fleet.toml has no more but that left data count as well."""
    paths = session.paths
    if _NAME.fullmatch(name) is None or not paths.bot_data(name).is_dir():
        loaded = load_fleet(paths.folder)
        known = [str(spec["name"]) for spec in loaded.applied["bots"]] if loaded.applied else []
        if name not in known:
            raise NoSuchBot(f'there is no bot "{name}", nor data of one', hint=nearest_hint(name, known, "the fleet has"))
    return paths.bot_data(name) / "bot.db"


def _told(facts: Facts) -> dict[str, object]:
    return {"version": facts.version, "size_bytes": facts.size_bytes, "rows": facts.rows}


def _words(facts: Facts) -> str:
    return f"{facts.rows['inbox']} messages, {facts.rows['outbox']} replies, schema {facts.version}, {format_bytes(facts.size_bytes)}"
