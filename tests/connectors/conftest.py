"""A double of the Bot API for each test that speaks Telegram."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processsupervisor.testing.botapi.server import BotApi


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi(conflict_pause_s=0.2) as double:
        yield double
