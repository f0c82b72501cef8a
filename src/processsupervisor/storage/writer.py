"""The one thread that writes a bot.db: many awaiting jobs share one transaction and one fsync (group commit).

Jobs run in the order of submission, so a later job sees what an earlier one did. A failed job fails alone. When the
file itself fails (full, read-only, damaged), ordinary jobs get a StorageError at once, and with them those that were submitted before
anybody could hear of it; `sticky` ones wait and are tried again in their order, and the file is opened anew at every try, so that the
bot recovers by itself.

A commit that fails may have taken place all the same: a sync that fails leaves its pages in the journal, and the next to open the
file finds them. `doubted` is called when the file can be used again after that, for whoever has to look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.idle import IDLE_S, give_back
from processsupervisor.storage.schema import open_database, storage_error

T = TypeVar("T")

MAX_BATCH = 512
MAX_WAITING = 8192
_STACK_BYTES = 256 * 1024
_RETRY_FIRST_S, _RETRY_LAST_S = 0.1, 5.0
_log = logging.getLogger("processsupervisor.storage")


class _Job:
    __slots__ = ("error", "failures", "future", "result", "sticky", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], future: asyncio.Future[Any], sticky: bool, failures: int) -> None:
        self.failures = failures
        """Failures of the file that the loop had heard of when it was submitted."""
        self.work = work
        self.future = future
        self.sticky = sticky
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs jobs on the file at `path`; the thread starts with the first one.

    Belongs to the event loop that is running when the first job is submitted.
    """

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        self._path = path
        self._exclusive = exclusive
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: sqlite3.Connection | None = None
        self._held: list[_Job] = []
        self._retry_s = _RETRY_FIRST_S
        self._closing = False
        self._failures = self._heard = 0
        """How often the file has failed, as the thread and as the loop know it."""
        self._failure: StorageError | None = None
        self._ended = asyncio.Event()
        self._is_in_doubt = False
        self.doubted: Callable[[], None] = lambda: None
        """Hears, on the loop, that what was told to have failed may have been committed."""
        self.waiting = 0
        """Jobs submitted and not yet answered."""
        self.commits = 0
        """Transactions committed so far."""

    @property
    def is_started(self) -> bool:
        """Tell whether the thread runs, that is, whether a job was ever submitted."""
        return self._thread is not None

    def submit(self, work: Callable[[sqlite3.Connection], T], *, sticky: bool = False) -> asyncio.Future[T]:
        """Queue a job; the future resolves after its transaction was committed.

        Raises StorageError (code "busy") when MAX_WAITING jobs wait and this one is not sticky.
        """
        if self._closing:
            raise StorageError(f"{self._path} is closed")
        if self.waiting >= MAX_WAITING and not sticky:
            raise StorageError(f"{self.waiting} writes wait for {self._path}", code="busy")
        if self._thread is None:
            self._start()
        assert self._loop is not None
        job = _Job(work, self._loop.create_future(), sticky, self._heard)
        self.waiting += 1
        self._queue.put(job)
        return job.future

    async def close(self, timeout_s: float = 5.0) -> None:
        """Commit what was submitted, close the file and end the thread; what cannot be written is given up after `timeout_s`."""
        if self._thread is None or self._closing:
            return
        self._closing = True
        self._queue.put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()  # no thread waits for it: those of the loop may all be an author's, and busy

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        previous = threading.stack_size(_STACK_BYTES)
        try:
            # A daemon: a disk that never answers must not keep the process from ending; every ended commit is on it.
            self._thread = threading.Thread(target=self._run, name="bot.db", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(previous)

    # --- everything below runs in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._take()
            self._process(batch)
            if last and self._held:
                self._process([])  # one more try, then the work is left to the next life: its rows are still open
        self._fail_held()
        self._close_connection()
        self._tell(self._ended.set)

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for work; return what is there, at most MAX_BATCH, and whether the end was asked for."""
        batch: list[_Job] = []
        try:
            job = self._queue.get(timeout=self._retry_s) if self._held else self._next()
            while job is not None:
                batch.append(job)
                if len(batch) >= MAX_BATCH:
                    return batch, False
                job = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _next(self) -> _Job | None:
        if self._connection is not None:
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=IDLE_S)
            give_back(self._connection)
        return self._queue.get()

    def _process(self, fresh: list[_Job]) -> None:
        if self._failure is not None:
            fresh, failed = self._without_unheard(fresh, self._failure)
            if failed:
                self._answer(failed)
        batch = self._held + fresh
        self._held = []
        if not batch:
            return
        done = 0
        try:
            if self._transact(batch) is None:
                done = len(batch)
            else:
                for job in batch:  # one job is at fault: each in a transaction of its own finds out which
                    job.error = self._transact([job])
                    done += 1
        except StorageError as err:
            self._answer(batch[:done])
            self._file_failed(batch[done:], err)
            return
        self._retry_s = _RETRY_FIRST_S
        self._answer(batch)

    def _transact(self, batch: list[_Job]) -> BaseException | None:
        """Run and commit all jobs; None, or the error of the one job that made all of them roll back. Raises StorageError."""
        try:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for job in batch:
                    job.result = job.work(connection)
            except (sqlite3.OperationalError, sqlite3.InternalError):
                raise
            except Exception as err:  # whatever a job raises is handed to who awaits it
                if type(err) is sqlite3.DatabaseError:  # malformed, not a database
                    raise
                connection.execute("ROLLBACK")
                return err
            self._commit(connection)
        except (sqlite3.Error, OSError) as err:
            self._close_connection()
            raise storage_error(self._path, err) from err
        return None

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error:
            self._is_in_doubt = True
            raise
        self.commits += 1
        if self._is_in_doubt:
            self._is_in_doubt = False
            self._tell(self.doubted)  # before the answers of this commit, whose rows come behind those in doubt

    def _open(self) -> sqlite3.Connection:
        return open_database(self._path, exclusive=self._exclusive)

    def _file_failed(self, batch: list[_Job], err: StorageError) -> None:
        if self._retry_s == _RETRY_FIRST_S:
            _log.error("database failed, will be tried again: %s", err)
        self._retry_s = min(self._retry_s * 2, _RETRY_LAST_S)
        self._failures, self._failure = self._failures + 1, err
        self._held, failed = self._without_unheard(batch, err)
        self._tell(self._hear, failed)

    def _without_unheard(self, batch: list[_Job], err: StorageError) -> tuple[list[_Job], list[_Job]]:
        """Return a batch without what the loop submitted before it heard of the last failure and does not wait it out, and that, failed."""
        failed = [job for job in batch if not job.sticky and job.failures < self._failures]
        for job in failed:
            job.error = err
        return [job for job in batch if job.sticky or job.failures >= self._failures], failed

    def _hear(self, failed: list[_Job]) -> None:
        self._heard += 1
        self._deliver(failed)

    def _fail_held(self) -> None:
        for job in self._held:
            job.error = StorageError(f"{self._path} was closed before it could be written")
        self._answer(self._held)

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _answer(self, batch: list[_Job]) -> None:
        self._tell(self._deliver, batch)

    def _tell(self, hears: Callable[..., None], *what: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(hears, *what)

    def _deliver(self, batch: list[_Job]) -> None:
        self.waiting -= len(batch)
        for job in batch:
            if job.future.done():
                continue  # the one who waited was cancelled
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
