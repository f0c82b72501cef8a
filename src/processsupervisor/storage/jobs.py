"""What every group of database methods stands on: the writer, whose claims these are, and how a row of a network begins."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from processsupervisor.storage.conversations import Owner
from processsupervisor.storage.records import Place, SendState
from processsupervisor.storage.writer import Writer

T = TypeVar("T")


class Submits(Protocol):
    """What runs jobs: the writer thread, or in tests something that runs the same SQL at once."""

    doubted: Callable[[], None]
    """Hears that what was told to have failed may have been committed."""

    @property
    def is_started(self) -> bool:
        """Tell whether a job was ever submitted."""

    def submit(self, work: Callable[[sqlite3.Connection], T], *, sticky: bool = False) -> asyncio.Future[T]:
        """Queue a job; the future resolves after its commit. Raises StorageError."""

    async def close(self, timeout_s: float = 5.0) -> None:
        """Commit what was submitted, and end."""


class Jobs:
    """The bot.db at `path`, opened by the first job. `exclusive` keeps every other process out (console runs)."""

    def __init__(self, path: Path, *, exclusive: bool = False, writer: Submits | None = None) -> None:
        self.path = path
        self.writer: Submits = writer if writer is not None else Writer(path, exclusive=exclusive)
        self.owner = Owner(f"{os.getpid()}-{os.urandom(4).hex()}")
        self.networks_to_send: frozenset[str] = frozenset()
        """Networks whose rows begin WAITING, for they must be sent; those of all others are SHOWN to readers."""
        self.networks_read: frozenset[str] | None = None
        """Networks that have readers; rows of one that is in neither set wait until it is served (again). None: all others are read."""

    def state_of(self, place: Place) -> SendState:
        """Return how a row for a place begins."""
        if place.network in self.networks_to_send:
            return SendState.WAITING
        return SendState.SHOWN if self.networks_read is None or place.network in self.networks_read else SendState.WAITING

    def is_used(self) -> bool:
        """Tell whether there is anything to read, without making the file."""
        return self.writer.is_started or self.path.exists()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run one job and return its result. Raises StorageError."""
        return await self.writer.submit(work)
