"""A Bot API double for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processsupervisor.testing.botapi.server import BotApi

TOKEN = "123456:AAtelegramtokenofthetest"


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi(conflict_pause_s=0.2) as double:
        yield double
