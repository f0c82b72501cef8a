"""The reminder clock on a real database: what is due fires, also what fell due before the start, once."""

from __future__ import annotations

import asyncio
import time

import pytest

from processsupervisor.chat import timers
from processsupervisor.chat.reminders import ReminderClock
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Due, Place

HERE = Place("web", "default")


@pytest.fixture
async def database(tmp_path):
    made = BotDatabase(tmp_path / "bot.db")
    yield made
    await made.close()


class Fired:
    """Collects what a clock publishes; wait(n) has a deadline."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, out) -> None:
        self.texts.append(out.text)
        self._changed.set()

    async def wait(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.texts) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.texts


async def test_what_fell_due_while_nobody_ran_fires_at_the_start_in_order(database):
    """A restart looks into the file first."""
    for offset, text in ((-5.0, "second"), (-10.0, "first"), (0.1, "third"), (3600.0, "tomorrow")):
        await database.add_reminder(Due(HERE, time.time() + offset, text))
    fired = Fired()
    running = asyncio.create_task(ReminderClock(database, fired).run(look_first=True))
    assert await fired.wait(3) == ["first", "second", "third"]
    running.cancel()
    assert await database.open_reminders(HERE) == 1


async def test_a_sooner_reminder_wakes_the_clock(database):
    """A clock that waits for a far one hears of a near one."""
    fired = Fired()
    reminders = ReminderClock(database, fired)
    running = asyncio.create_task(reminders.run(look_first=False))
    for offset, text in ((3600.0, "far"), (0.05, "near")):
        due = Due(HERE, time.time() + offset, text)
        await database.add_reminder(due)
        reminders.expect(due.due_at)
    assert await fired.wait(1) == ["near"]
    running.cancel()


async def test_a_paused_clock_holds_reminders_back(database):
    """Nothing is sent while paused; resume sends what fell due."""
    fired = Fired()
    reminders = ReminderClock(database, fired)
    reminders.pause()
    await database.add_reminder(Due(HERE, time.time() - 1, "held"))
    running = asyncio.create_task(reminders.run(look_first=True))
    await asyncio.sleep(0.05)
    assert fired.texts == [] and await database.open_reminders(HERE) == 1
    reminders.resume()
    assert await fired.wait(1) == ["held"]
    running.cancel()


async def test_more_due_ones_than_one_bite_all_fire_once(database):
    """Five hundred at once come out in several transactions, none twice."""
    past = time.time() - 10
    await asyncio.gather(*(database.add_reminder(Due(HERE, past, str(number))) for number in range(500)))
    fired = Fired()
    running = asyncio.create_task(ReminderClock(database, fired).run(look_first=True))
    assert sorted(map(int, await fired.wait(500))) == list(range(500))
    running.cancel()


async def test_a_fault_ends_no_clock(monkeypatch):
    """Whatever firing raises, it is tried again."""
    monkeypatch.setattr(timers, "_AGAIN_S", 0.01)
    tries = []

    async def fire(_now):
        tries.append("fire")
        if len(tries) == 1:
            raise ValueError

    async def never():
        tries.append("ask")

    running = asyncio.create_task(timers.DueClock("things", fire, never).run(look_first=True))
    async with asyncio.timeout(10):
        while tries != ["fire", "fire", "ask"]:
            await asyncio.sleep(0.01)
    running.cancel()
