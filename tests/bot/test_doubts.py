"""A disk that says of a commit that it failed, although it took place: nothing waits for the next start, nothing is done twice.

SQLite does so when the sync of its journal fails twice: the pages are there, and whoever opens the file next finds them.
"""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from tests.bot.test_pump import Inlet

from processsupervisor.bot.api import Bot
from processsupervisor.bot.service import Service
from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage import writer as writer_module
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.schema import open_database
from processsupervisor.testing import Lab

ACCEPTED, ENDED, FIRED, REMINDED, SENDING = (
    "INSERT INTO inbox", "UPDATE inbox SET state", "DELETE FROM timers", "UPDATE reminders SET state = 1", "SET state = 2",
)  # fmt: skip


class Disk:
    """Tells of the next commit that writes `lies_about` that it failed."""

    lies_about = ""

    def open(self, path, **keys):
        return _Connection(self, open_database(path, **keys))


class _Connection:
    def __init__(self, disk: Disk, connection: sqlite3.Connection) -> None:
        self._disk, self._connection, self._is_told = disk, connection, False

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *given):
        if self._disk.lies_about and self._disk.lies_about in sql:
            self._is_told = True
        found = self._connection.execute(sql, *given)
        if sql == "COMMIT" and self._is_told:
            self._disk.lies_about = ""
            raise sqlite3.OperationalError("disk I/O error")
        return found


@pytest.fixture
def disk(monkeypatch):
    made = Disk()
    monkeypatch.setattr(writer_module, "open_database", made.open)
    return made


@pytest.fixture
def bot():
    made = Bot()
    made.heard = []

    @made.on_message
    async def echo(message):
        made.heard.append(message.text)
        if message.text == "remind":
            await made.remind(message, "1s", "now")
        if message.text == "later":
            await made.schedule.once("1s", "later")
        return f"echo {message.text}"

    @made.scheduled("later")
    async def later(message):
        made.heard.append("scheduled")

    return made


@pytest.fixture
async def inlet(tmp_path, bot, disk):
    made = Inlet()
    made.service = Service(bot, BotDatabase(tmp_path / "bot.db"), [made])
    await made.service.start()
    yield made
    await made.service.stop(0.5)


async def test_a_message_that_was_refused_and_kept_is_handled_once(inlet, bot, disk):
    """Its network brings it again and is told that it is known; so it must be on its way, the statement in front."""
    disk.lies_about = ACCEPTED
    with pytest.raises(StorageError):
        await inlet.post("hi", message_id="m1")
    accepted = await inlet.post("hi", message_id="m1")
    assert accepted.row is None
    assert await inlet.finals(1) == ["echo hi"]
    assert inlet.out[0].id.startswith("program-")
    assert await inlet.ask("next") == "echo next" and bot.heard == ["hi", "next"]


async def test_what_is_accepted_behind_a_message_in_doubt_is_handled_behind_it(inlet, bot, disk):
    """Also when its own commit is the first that works again."""
    await inlet.ask("warm")
    disk.lies_about = ACCEPTED
    with pytest.raises(StorageError):
        await inlet.post("first")
    await inlet.ask("second")
    assert bot.heard == ["warm", "first", "second"] and (await inlet.finals(3))[1:] == ["echo first", "echo second"]


async def test_a_reply_that_was_committed_in_doubt_is_shown_once(inlet, bot, disk):
    """To readers that are there, without a new connection."""
    await inlet.ask("warm")
    disk.lies_about = ENDED
    assert await inlet.ask("hi") == "echo hi" and bot.heard == ["warm", "hi"]
    assert await inlet.ask("next") == "echo next"
    assert [out.text for out in inlet.out if out.final].count("echo hi") == 1


async def test_what_fell_due_in_doubt_happens_once(inlet, bot, disk):
    """A schedule's message is found, a reminder is shown."""
    disk.lies_about = FIRED
    await inlet.ask("later")
    async with asyncio.timeout(15):
        while "scheduled" not in bot.heard:
            await asyncio.sleep(0.05)
    disk.lies_about = REMINDED
    await inlet.ask("remind")
    assert (await inlet.finals(3))[-1] == "now"
    await inlet.ask("next")
    assert bot.heard == ["later", "scheduled", "remind", "next"] and [out.text for out in inlet.out].count("now") == 1


def test_a_send_whose_begin_is_in_doubt_is_sent_once(bot, disk):
    """The network was not called: nothing about it is unknown."""
    with Lab(bot) as lab:
        lab.say("warm")
        disk.lies_about = SENDING
        lab.say("hi")
        lab.clock.advance("5s")
        lab.say("next")
        assert lab.you.shown[-2:] == ["echo hi", "echo next"]
