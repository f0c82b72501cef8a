"""Files of a bot's replies, below `files/` beside its database, until they were sent. Limited by file, by contact and for the bot.

A file is written under a temporary name, synced, renamed and then counted in the database, so that a row that names it finds it
whole. What a kill left behind, and what was sent, is swept after a while. Where the content comes from is the caller's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import Refused, UsageError
from processsupervisor.kernel.units import format_bytes
from processsupervisor.storage.jobs import Jobs
from processsupervisor.storage.schema import storage_error

T = TypeVar("T")

FOLDER = "files"
GRACE_S = 3600.0
_PIECE = 1 << 18
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}$")
_LEFT_OVER = (
    "SELECT a.path FROM attachments a LEFT JOIN outbox o ON o.id = a.out_id "
    "WHERE a.created_at < ? AND (o.id IS NULL OR o.state NOT IN (0, 1, 2))"
)


class Limits(NamedTuple):
    """How many bytes are kept."""

    max_file_bytes: int = 20 << 20
    max_contact_bytes: int = 200 << 20
    max_total_bytes: int = 2 << 30


DEFAULTS = Limits()


class Attachments:
    """The files of one bot, below the folder of its database."""

    def __init__(self, database: Jobs, limits: Limits = DEFAULTS) -> None:
        self._database = database
        self._limits = limits
        self.folder = database.path.parent / FOLDER

    async def keep(self, network: str, identity: str, name: str, content: Path | bytes | AsyncIterator[bytes]) -> str:
        """Keep a file on behalf of a contact and return its path below the data folder, with the suffix of `name`.

        Raises Refused ("too-big", "quota"), UsageError (the path is no file, or may not be read), StorageError; then nothing is kept.
        Whatever the iterator raises goes through.
        """
        if isinstance(content, Path) and not content.is_file():
            raise UsageError(f"{content.absolute()} is no file", hint="it must be there when the handler has returned")
        room = await self._room(network, identity)
        suffix = _SUFFIX.search(name)
        path = f"{FOLDER}/{secrets.token_hex(12)}{suffix.group().lower() if suffix else ''}"
        target = self.folder.parent / path
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            size = await self._write(temporary, content, room)
            await self._on_disk(_put_in_place, temporary, target)
            await self._database.run(lambda db: self._count(db, path, network, identity, size))
        except BaseException:
            for left in (temporary, target):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
            raise
        return path

    async def drop(self, path: str) -> None:
        """Forget a file."""
        await self._database.run(lambda db: db.execute("DELETE FROM attachments WHERE path = ?", (path,)).rowcount)
        await asyncio.to_thread(_unlink, self.folder.parent / path)

    async def sweep(self) -> int:
        """Delete what was sent, or never will be, an hour after it was kept; returns how many files went. Raises StorageError."""
        if not self.folder.is_dir():
            return 0
        before = clock.wall() - GRACE_S
        known = await self._database.run(lambda db: _sweep_rows(db, before))
        return await asyncio.to_thread(self._sweep_files, known, before)

    def _sweep_files(self, known: set[str], before: float) -> int:
        count = 0
        for file in self.folder.iterdir():
            if f"{FOLDER}/{file.name}" not in known and file.lstat().st_mtime < before:
                count += _unlink(file)
        return count

    async def _room(self, network: str, identity: str) -> int:
        """Return how many bytes may be written: a full quota is said before anything is."""
        of_contact, in_all = await self._database.run(lambda db: _used(db, network, identity))
        self._refuse_beyond(of_contact + 1, in_all + 1)
        return min(self._limits.max_file_bytes, self._limits.max_contact_bytes - of_contact, self._limits.max_total_bytes - in_all)

    async def _write(self, temporary: Path, content: Path | bytes | AsyncIterator[bytes], room: int) -> int:
        file = await self._on_disk(self._create, temporary)
        size = 0
        with file:
            pieces = content if isinstance(content, AsyncIterator) else _pieces(content)
            async with contextlib.aclosing(pieces) if hasattr(pieces, "aclose") else contextlib.nullcontext():  # type: ignore[type-var]
                async for piece in pieces:
                    size += len(piece)
                    if size > room:
                        self._refuse_size(room)
                    await self._on_disk(file.write, piece)
            await self._on_disk(_sync, file)
        return size

    async def _on_disk(self, function: Callable[..., T], *given: object) -> T:
        try:
            return await asyncio.to_thread(function, *given)
        except OSError as err:
            raise storage_error(self.folder, err) from err

    def _create(self, temporary: Path) -> BinaryIO:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def _refuse_size(self, room: int) -> None:
        if room < self._limits.max_file_bytes:
            raise Refused("the files that are kept would take more than their limit", hint="[chat] max_contact, max_total", code="quota")
        raise Refused(f"a file has at most {format_bytes(room)}", hint="[chat] max_file", code="too-big")

    def _refuse_beyond(self, of_contact: int, in_all: int) -> None:
        if of_contact > self._limits.max_contact_bytes:
            most = format_bytes(self._limits.max_contact_bytes)
            raise Refused(f"the files of one contact take at most {most}", hint="[chat] max_contact", code="quota")
        if in_all > self._limits.max_total_bytes:
            raise Refused(
                f"the bot's files take at most {format_bytes(self._limits.max_total_bytes)}", hint="[chat] max_total", code="quota"
            )

    def _count(self, connection: sqlite3.Connection, path: str, network: str, identity: str, size: int) -> None:
        of_contact, in_all = _used(connection, network, identity)
        self._refuse_beyond(of_contact + size, in_all + size)
        connection.execute(
            "INSERT INTO attachments (path, network, identity, size_bytes, created_at) VALUES (?,?,?,?,?)",
            (path, network, identity, size, clock.wall()),
        )


def _used(connection: sqlite3.Connection, network: str, identity: str) -> tuple[int, int]:
    (of_contact,) = connection.execute(
        "SELECT coalesce(sum(size_bytes), 0) FROM attachments WHERE network = ? AND identity = ?", (network, identity)
    ).fetchone()
    (in_all,) = connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM attachments").fetchone()
    return int(of_contact), int(in_all)


def _sweep_rows(connection: sqlite3.Connection, before: float) -> set[str]:
    connection.execute(f"DELETE FROM attachments WHERE path IN ({_LEFT_OVER})", (before,))
    return {path for (path,) in connection.execute("SELECT path FROM attachments")}


async def _pieces(content: Path | bytes) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with await asyncio.to_thread(content.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
    except OSError as err:
        raise UsageError(f"cannot read {content.absolute()}: {err.strerror}") from err


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put_in_place(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
