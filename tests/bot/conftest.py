"""A factory of real bot processes that are killed when the test ends."""

from __future__ import annotations

import pytest
from tests.bot.running import BotProcess


@pytest.fixture
def start_bot(tmp_path):
    started: list[BotProcess] = []

    def start(source: str, *, wait: bool = True, **spec) -> BotProcess:
        bot = BotProcess(tmp_path, source, **spec)
        started.append(bot)
        return bot.start(wait=wait)

    yield start
    for bot in started:
        bot.close()
