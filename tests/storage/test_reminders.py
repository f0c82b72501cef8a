"""Reminders in the database: due ones become one outbox row each, in order of their times."""

from __future__ import annotations

from processsupervisor.storage.records import Changes, Due, Place

HERE, THERE = Place("web", "default"), Place("web", "other")


async def test_what_is_due_fires_once_into_its_own_place(database):
    """Later ones stay; firing again gives nothing."""
    for place, due_at, text in ((HERE, 20.0, "b"), (THERE, 10.0, "a"), (HERE, 30.0, "later")):
        await database.add_reminder(Due(place, due_at, text))
    fired = await database.fire_due(25.0)
    assert [(out.text, out.place, out.reply_to) for out in fired] == [("a", THERE, None), ("b", HERE, None)]
    assert await database.fire_due(25.0) == []
    assert await database.next_due_at() == 30.0
    assert [out.text for out in await database.after(HERE, 0, 10)] == ["b"]


async def test_open_reminders_are_counted_by_place(database):
    """The bound per conversation counts what is to come only."""
    await database.add_reminder(Due(HERE, 10.0, "a"))
    await database.add_reminder(Due(HERE, 99.0, "b"))
    await database.fire_due(50.0)
    assert (await database.open_reminders(HERE), await database.open_reminders(THERE)) == (1, 0)


async def test_values_outside_a_message_are_committed_by_themselves(database):
    """Set, read, list and delete by scope."""
    await database.write_values(Changes(values={("bot", "a"): "1", ("bot", "b"): "2", ("c", "z"): "3"}))
    await database.write_values(Changes(values={("bot", "a"): None}))
    assert await database.read_keys("bot") == ["b"]
    assert (await database.read_value("bot", "a"), await database.read_value("c", "z")) == (None, "3")
