"""SQLite under the law of storage."""

from __future__ import annotations

import pytest
from tests.storage.law import MessageLaw
from tests.storage.lawplanned import PlannedLaw
from tests.storage.lawsending import SendingLaw

from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.schema import has_open_work


class SqliteShelf:
    """One file; every life a writer of its own. A life that is not closed is one that was killed: it holds nothing but its claims."""

    def __init__(self, path) -> None:
        self.path = path
        self._lives: list[BotDatabase] = []

    def open(self) -> BotDatabase:
        life = BotDatabase(self.path)
        self._lives.append(life)
        return life

    def has_open_work(self) -> bool:
        return has_open_work(self.path)

    async def close(self) -> None:
        for life in self._lives:
            await life.close()


@pytest.fixture
async def shelf(tmp_path):
    made = SqliteShelf(tmp_path / "bot.db")
    yield made
    await made.close()


class TestMessages(MessageLaw):
    """The first part."""


class TestSending(SendingLaw):
    """The second part."""


class TestPlanned(PlannedLaw):
    """The third part."""
