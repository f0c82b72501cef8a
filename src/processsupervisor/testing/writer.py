"""Writers of a bot.db for tests: nothing is synced to the disk, for a test ends with its files. One of them has no thread either.

That one runs the same jobs, SQL and group commit by the event loop itself. A job is committed on a later turn of the loop, never
within `submit`, as with the thread: what a process had submitted and not committed when it died is gone.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from processsupervisor.storage.schema import open_database
from processsupervisor.storage.writer import Writer

T = TypeVar("T")


class UnsyncedWriter(Writer):
    """The bot's own writer, thread and all, that leaves the disk its time."""

    def _open(self) -> sqlite3.Connection:
        """Open a copy of a fresh file instead of making one."""
        if not self._path.exists():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_bytes(_fresh_file())
        connection = super()._open()
        connection.execute("PRAGMA synchronous=OFF")
        return connection


class InlineWriter(UnsyncedWriter):
    """Runs jobs on the file at `path`, between the turns of the loop of the first job."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._has_turn = False
        self.is_dead = False
        """Set when the process that it belongs to died: nothing is committed and nothing answered any more."""

    @property
    def is_started(self) -> bool:
        """Tell whether a job was ever submitted."""
        return self._loop is not None

    def submit(self, work: Callable[[sqlite3.Connection], T], *, sticky: bool = False) -> asyncio.Future[T]:
        """Queue a job; the future resolves after its transaction was committed, and never once the process died."""
        if self.is_dead:
            return asyncio.get_running_loop().create_future()
        future = super().submit(work, sticky=sticky)
        self._take_turn()
        return future

    async def close(self, timeout_s: float = 5.0) -> None:
        """Commit what was submitted and close the file."""
        if self._loop is None or self._closing:
            return
        self._closing = True
        self._turn()
        self._fail_held()
        self._close_connection()
        await asyncio.sleep(0)  # the answers

    def flush(self) -> None:
        """Commit what was submitted, now."""
        self._turn()

    def die(self) -> None:
        """End as by SIGKILL: drop what was not committed."""
        self.is_dead = True
        self._close_connection()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _take_turn(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._has_turn = False
        if self.is_dead:
            return
        batch = []
        try:
            while job := self._queue.get_nowait():
                batch.append(job)
        except queue.Empty:
            pass
        self._process(batch)
        if self._held and self._loop is not None and not self._closing:
            self._loop.call_later(self._retry_s, self._turn)


@functools.cache
def _fresh_file() -> bytes:
    with tempfile.TemporaryDirectory(prefix="psv-lab-") as folder:
        path = Path(folder) / "bot.db"
        open_database(path).close()
        return path.read_bytes()
