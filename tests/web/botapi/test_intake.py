"""One reader for each token, however the bot asks: two would send each other away at Telegram, for ever."""

from __future__ import annotations

import asyncio

import pytest

from processsupervisor.web.botapi.backlog import Backlog
from processsupervisor.web.botapi.intake import Intake
from processsupervisor.web.botapi.values import Answer, Json


class Telegram:
    """Answers each poll after a moment, with nothing; counts those that are under way at once."""

    def __init__(self) -> None:
        self.now = self.most = self.asked = 0

    async def ask(self, method: str, parameters: Json, timeout_s: float = 0.0) -> Answer:
        self.now += 1
        self.asked += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.01)
            return Answer(200, b'{"ok": true, "result": []}')
        finally:
            self.now -= 1


@pytest.mark.parametrize("kinds", [["", "", ""], ['["message"]', '["message", "poll"]', ""], ['["message"]'] * 3])
async def test_polls_that_come_at_once_begin_one_reader(tmp_path, kinds: list[str]) -> None:
    """Two programs that start together, or a poll that is given up and made again."""
    telegram, backlog = Telegram(), Backlog(tmp_path / "updates.db")
    intake = Intake("anna", backlog, telegram, 86400.0, lambda: None)  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.gather(*(intake.want(asked) for asked in kinds))
    async with asyncio.timeout(10):
        while telegram.asked < 5:
            await asyncio.sleep(0.005)
    assert telegram.most == 1
    await intake.stop()
    asked = telegram.asked
    await asyncio.sleep(0.05)
    assert telegram.asked == asked and telegram.now == 0
    backlog.close()
