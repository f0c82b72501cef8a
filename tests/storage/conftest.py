"""A database in a folder of its own, closed at the end of the test."""

from __future__ import annotations

import pytest

from processsupervisor.storage.database import BotDatabase


@pytest.fixture
async def database(tmp_path):
    made = BotDatabase(tmp_path / "data" / "bot.db")
    yield made
    await made.close()
