"""The database as the rooms see it: repeats, the statement's cache, replay across a lost file."""

from __future__ import annotations

import asyncio

from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Incoming, Place, Reply

HERE = Place("web", "default")


def message(number: int) -> Incoming:
    return Incoming(HERE, f"m{number}", "x", "hi")


async def test_messages_of_one_new_conversation_in_one_batch_get_one_statement(database):
    """However many first messages are under way at once, the disclosure is committed once."""
    accepted = await asyncio.gather(*(database.accept(message(number), "A program answers.") for number in range(50)))
    assert sum(outcome.first_contact is not None for outcome in accepted) == 1
    assert accepted[0].first_contact is not None


async def test_the_statement_is_not_repeated_by_the_next_life(database, tmp_path):
    """First contact is remembered in the file, not only in memory."""
    await database.accept(message(1), "A program answers.")
    await database.close()
    again = BotDatabase(database.path)
    assert (await again.accept(message(2), "A program answers.")).first_contact is None
    await again.close()


async def test_a_number_of_another_file_replays_from_the_start(database):
    """A reader that saw seq 500 of a file that is gone misses nothing of the new one."""
    row = (await database.accept(message(1), "A program answers.")).row
    await database.complete(row, [Reply("hello")], Changes())
    assert [out.text for out in await database.after(HERE, 500, 10)] == ["A program answers.", "hello"]
    assert await database.after(HERE, 2, 10) == []


async def test_reading_an_unused_bot_makes_no_file(database):
    """A page that shows every bot does not open every database."""
    assert await database.history(HERE, 10) == [] and await database.after(HERE, 0, 10) == []
    assert not database.path.exists()
