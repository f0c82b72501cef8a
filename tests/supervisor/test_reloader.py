"""When psvd has the files read again by itself, and how often."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from processsupervisor.supervisor import reloader
from processsupervisor.supervisor.reloader import Reloader


class _Fails(Reloader):
    """Notes what it would do, which fails."""

    def __init__(self, changes: Any) -> None:
        fleet: Any = SimpleNamespace(is_going_down=False, is_adopted=asyncio.Event(), settings={})
        fleet.is_adopted.set()
        super().__init__(fleet, changes)
        self.tried: list[str] = []

    async def _reload(self, reason: str, *options: str) -> int:
        self.tried.append(" ".join(options))
        return 1


async def test_a_value_that_cannot_be_ended_is_not_tried_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is over, and what holds without it does not work: each try may restart bots, so that the next one is far away."""
    monkeypatch.setattr(reloader, "LOOK_EVERY_S", 0.01)
    tired = _Fails(SimpleNamespace(source_digest="", is_under_way=False, next_end=1.0))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await tired.run()
    assert tired.tried == ["--expired"]
