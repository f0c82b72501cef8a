"""Values that a message read and changes: written only where they still are what was read, and nothing else of the message either."""

from __future__ import annotations

import asyncio

from processsupervisor.storage.records import Changes, Due, Incoming, Place, Reply

ADA, BOB = Place("net", "ada"), Place("net", "bob")
VOTES = ("bot", "votes")


async def accepted(database, place, text="yes"):
    return (await database.accept(Incoming(place, text, place.conversation, text), None)).row


def counting(read, text) -> Changes:
    return Changes(values={VOTES: text, ("bot", "other"): "1"}, reads={VOTES: read, ("bot", "seen"): "0"}, reminders=[Due(ADA, 5.0, "x")])


async def test_a_message_that_another_one_was_faster_than_writes_nothing(database):
    """In one transaction, too: the first wins, the neighbour in between is untouched, the loser is open and may end later."""
    ada, bob, other = await accepted(database, ADA), await accepted(database, BOB), await accepted(database, BOB, "other")
    first = database.complete(ada, [Reply("1")], counting(None, "1"))
    between = database.complete(other, [Reply("fine")], Changes(values={("bot", "third"): "3"}))
    lost = database.complete(bob, [Reply("1")], counting(None, "1"))
    assert [out.text for out in await first] == ["1"] and [out.text for out in await between] == ["fine"] and await lost is None
    assert [row.row_id for row in (await database.held())[0]] == [bob.row_id] and await database.open_reminders(ADA) == 1
    assert [out.text for out in await database.after(BOB, 0, 10)] == ["fine"]
    (out,) = await database.complete(bob, [Reply("2")], counting("1", "2"))
    assert out.text == "2" and await database.read_value(*VOTES) == "2"
    assert await database.complete(bob, [Reply("3")], counting("1", "2")) == []  # it has ended: nothing is compared any more


async def test_only_what_is_changed_is_compared(database):
    """A value that was only read may have changed, one that was only written may too; one that is gone is not what it was."""
    await database.write_values(Changes(values={VOTES: "1"}))
    row = await accepted(database, ADA)
    only = Changes(values={("bot", "new"): "1"}, reads={VOTES: "0"})
    assert await database.complete(row, [], only) == [] and await database.read_value("bot", "new") == "1"
    await database.write_values(Changes(values={VOTES: None}))
    row = await accepted(database, ADA, "again")
    assert await database.complete(row, [], Changes(values={VOTES: None}, reads={VOTES: "1"})) is None
    assert await database.complete(row, [], Changes(values={VOTES: None}, reads={VOTES: None})) == []


async def test_a_swap_takes_place_where_nothing_has_changed(database):
    """It says what is there otherwise."""
    assert await database.swap_value(*VOTES, None, "1") == (True, "1")
    assert await database.swap_value(*VOTES, None, "2") == (False, "1")
    assert await database.swap_value(*VOTES, "1", None) == (True, None)


async def test_who_is_alone_with_a_key_is_one_at_a_time(database):
    """In the order of asking; others wait for one of them, and only where it is their key."""
    alone, order = database.alone, []

    async def take(holder: int) -> None:
        await alone.take(holder, frozenset({VOTES}))
        order.append(holder)

    async def passing() -> None:
        await alone.let_pass(("bot", "other"))
        await alone.let_pass(VOTES)
        order.append(0)

    await take(1)
    waiting = [asyncio.ensure_future(work) for work in (take(2), take(3), passing())]
    await asyncio.sleep(0)
    assert order == [1] and alone.has([VOTES]) and not alone.has([("bot", "other")])
    alone.give(2)  # not its turn: nothing happens
    for holder in (1, 2, 3):
        while holder not in order:
            await asyncio.sleep(0)
        alone.give(holder)
    await asyncio.gather(*waiting)
    assert sorted(order) == [0, 1, 2, 3] and [one for one in order if one] == [1, 2, 3] and not alone.has([VOTES])
