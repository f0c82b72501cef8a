"""The law of storage, first part: messages in, claims, ends. Subclass it and give a `shelf` fixture; test_law.py does for SQLite.

An engine hides behind BotDatabase alone: nothing here knows a table. `shelf.open()` is another life on the same data, `shelf.kill()`
ends the one that was opened last without a word.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from processsupervisor.kernel import clock
from processsupervisor.storage.conversations import LEASE_S, Owner
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import (
    Accepted,
    Attachment,
    ButtonRow,
    Changes,
    Consent,
    Envelope,
    Extras,
    InboxRow,
    Incoming,
    Kind,
    Markup,
    Outcome,
    Place,
    Reply,
    RoomKind,
    SendState,
)  # fmt: skip

ADA, BOB, ROOM = Place("net", "ada"), Place("net", "bob"), Place("net", "room")
STATEMENT = "A program answers."


class Shelf(Protocol):
    """Where the data of one bot lies."""

    def open(self) -> BotDatabase:
        """Return the database for a life of the bot."""

    async def close(self) -> None:
        """End every life that is left."""


def said(text: str, place: Place = ADA, *, id: str | None = None, **more: object) -> Incoming:
    return Incoming(place, id or text, str(more.pop("sender", place.conversation)), text, **more)


async def accept(database: BotDatabase, incoming: Incoming, **more: bool) -> Accepted:
    return await database.accept(incoming, STATEMENT, **more)


async def begin(database: BotDatabase, text: str, place: Place = ADA) -> InboxRow:
    row = (await accept(database, said(text, place))).row
    assert row is not None
    return row


class MessageLaw:
    """Subclasses add the fixture `shelf`."""

    async def test_a_message_is_accepted_once_in_its_place(self, shelf):
        """Repeats are known for ever: in this life, in the next, and after the message was answered."""
        database = shelf.open()
        row = await begin(database, "hi")
        assert (await accept(database, said("hi"))).row is None
        await database.complete(row, [Reply("hello")], Changes())
        again = shelf.open()
        assert (await accept(again, said("hi"))).row is None
        assert (await accept(again, said("hi", BOB))).row is not None

    async def test_what_a_network_said_of_a_message_comes_back_whole(self, shelf):
        """Kind, room, names, files, tokens: a message claimed by another life is the one that was accepted."""
        files = (Attachment("photo", "", "image/jpeg", 10, "ref-1"), Attachment("document", "a.pdf", "application/pdf", None, "ref-2"))
        envelope = Envelope(RoomKind.GROUP, "the room", "Ada L.", "en", False, "41", "token", 12.5, files)
        incoming = said("vote:yes \N{BLACK HEART SUIT} '\"", ROOM, id="b9", kind=Kind.BUTTON, envelope=envelope)
        first = (await accept(shelf.open(), incoming)).row
        (row,) = await shelf.open().claim()
        assert (row.row_id, row.place, row.id, row.sender, row.text, row.kind, row.envelope) == (
            first.row_id, ROOM, "b9", "room", incoming.text, Kind.BUTTON, envelope
        )  # fmt: skip
        assert row.fence > first.fence

    async def test_the_disclosure_comes_once_in_private_and_at_each_joining_of_a_room(self, shelf):
        """A group gets it when the bot joins, not at messages; a person at the first contact, and not at being blocked by one."""
        database, group = shelf.open(), Envelope(RoomKind.GROUP)
        assert (await accept(database, said("hi", ROOM, envelope=group))).first_contact is None
        joined = [await accept(database, said("", ROOM, id=f"j{n}", kind=Kind.JOINED, envelope=group)) for n in range(2)]
        assert [outcome.first_contact.text for outcome in joined] == [STATEMENT, STATEMENT]
        assert (await accept(database, said("", BOB, id="l", kind=Kind.LEFT))).first_contact is None
        first, second = await asyncio.gather(accept(database, said("one", BOB)), accept(database, said("two", BOB)))
        assert first.first_contact.place == BOB and first.first_contact.reply_to is None and second.first_contact is None
        assert (await accept(shelf.open(), said("three", BOB))).first_contact is None

    async def test_the_disclosure_waits_where_rows_must_be_sent(self, shelf):
        """Whoever pulls sees it by its number; elsewhere it is the first row to be sent."""
        database = shelf.open()
        assert (await accept(database, said("hi", BOB))).first_contact.state is SendState.SHOWN
        database.networks_to_send = frozenset({"net"})
        first = (await accept(database, said("hi"))).first_contact
        assert first.state is SendState.WAITING
        assert [out.id for out in await database.sends_due("net", clock.wall(), 10)] == [first.id]

    async def test_people_and_conversations_are_kept_at_first_sight(self, shelf):
        """Names that are news replace older ones, empty ones say nothing; a title as well."""
        database = shelf.open()
        await accept(database, said("a", ROOM, sender="7", envelope=Envelope(RoomKind.GROUP, "tea", "Ada", "en")))
        first = await database.contact("net", "7")
        assert (first.name, first.locale, first.network, first.identity) == ("Ada", "en", "net", "7")
        await accept(database, said("b", ROOM, sender="7", envelope=Envelope(RoomKind.GROUP, "", "Ada L.", "")))
        again, room = await database.contact("net", "7"), await database.conversation(ROOM)
        assert (again.contact_id, again.name, again.locale, again.first_at) == (first.contact_id, "Ada L.", "en", first.first_at)
        assert (room.room, room.title, room.consent, room.is_reachable) == (RoomKind.GROUP, "tea", None, True)
        assert await database.contact("other", "7") is None and await database.conversation(ADA) is None

    async def test_a_room_that_was_left_is_reachable_again_by_a_message(self, shelf):
        """LEFT and what a network says of a send make it unreachable, whatever else is under way."""
        database = shelf.open()

        def leave():
            return database.accept(said("", id=f"l{clock.mono()}", kind=Kind.LEFT), STATEMENT)

        for end in (leave, lambda: database.set_reachable(ADA, False)):
            await begin(database, f"hi {clock.mono()}")
            assert (await database.conversation(ADA)).is_reachable
            await asyncio.gather(database.accept(said(f"so {clock.mono()}"), STATEMENT), end())
            assert not (await database.conversation(ADA)).is_reachable
            await asyncio.gather(end(), database.accept(said(f"and {clock.mono()}"), STATEMENT))
            assert (await database.conversation(ADA)).is_reachable

    async def test_the_cursor_is_committed_with_its_message_and_may_go_back(self, shelf):
        """Also with a repeat, which is acknowledged as well; a network may begin to count anew."""
        database = shelf.open()
        assert await database.cursor("net") is None
        for position, text in ((101, "one"), (102, "one"), (7, "two")):
            await accept(database, said(text, cursor=position))
            assert await database.cursor("net") == position
        assert await shelf.open().cursor("net") == 7

    async def test_a_message_that_opens_nothing_is_kept_and_never_claimed(self, shelf):
        """It is known when it is repeated, and stands in the past of its conversation."""
        database = shelf.open()
        assert (await accept(database, said("chatter", ROOM), opens=False)).row is None
        assert (await accept(database, said("chatter", ROOM))).row is None
        assert await shelf.open().claim() == []
        assert [entry.text for entry in await database.history(ROOM, 10) if entry.sender == "contact"] == ["chatter"]

    async def test_a_claim_takes_heads_and_followers_in_order_and_whole_conversations(self, shelf):
        """Oldest first; a limit never parts a conversation; at the end there is nothing left."""
        database = shelf.open()
        for text, place in (("1", ADA), ("2", BOB), ("3", ADA), ("4", ROOM), ("5", BOB)):
            await begin(database, text, place)
        assert await database.claim() == []
        following = shelf.open()
        first = await following.claim(limit=2)
        assert [row.text for row in first] == ["1", "2", "3", "5"]
        assert [row.text for row in await following.claim(limit=2)] == ["4"]
        assert await following.claim(limit=2) == []

    async def test_only_the_newest_claim_ends_a_message(self, shelf):
        """What an earlier life does late changes nothing: no reply, no value, no end."""
        earlier = shelf.open()
        row = await begin(earlier, "hi")
        later = shelf.open()
        (claimed,) = await later.claim()
        assert await earlier.complete(row, [Reply("late")], Changes(values={("bot", "k"): "1"})) == []
        assert await later.read_value("bot", "k") is None
        assert [out.text for out in await later.complete(claimed, [Reply("hello")], Changes())] == ["hello"]
        assert await later.complete(claimed, [Reply("twice")], Changes()) == []

    async def test_processes_that_share_the_data_leave_each_other_s_conversations(self, shelf, monkeypatch):
        """A lease holds until its time is over; a message that arrives elsewhere meanwhile is stored, and nobody's else."""
        one, two = shelf.open(), shelf.open()
        one.owner, two.owner = Owner("one", is_only=False), Owner("two", is_only=False)
        row = await begin(one, "hi")
        arrived = await begin(two, "hello?")
        assert arrived.fence == 0 and await two.claim() == []
        assert await two.complete(arrived, [Reply("mine")], Changes()) == []
        now = clock.wall()
        monkeypatch.setattr(clock, "wall", lambda: now + LEASE_S + 1)
        assert [(each.text, each.fence > row.fence) for each in await two.claim()] == [("hi", True), ("hello?", True)]
        assert await one.complete(row, [Reply("late")], Changes()) == []

    async def test_replies_have_ids_that_a_repeated_run_makes_again(self, shelf):
        """r of the row, numbered; sends first s of the row: in one commit, with markup, buttons and quotes as they were."""
        database = shelf.open()
        await database.complete(await begin(database, "/start", BOB), [], Changes(consent=Consent.OPTED_IN))
        row = await begin(database, "hi")
        extras = Extras(Markup.HTML, ((ButtonRow("Yes", "y"), ButtonRow("Site", url="https://x")),), (), "r1", "m9", "token")
        changes = Changes(sends=[(BOB, Reply("psst")), (ADA, Reply("and"))])
        outs = await database.complete(row, [Reply("one", extras), Reply("two")], changes)
        number = row.row_id
        assert [(out.id, out.place, out.reply_to) for out in outs] == [
            (f"r{number}", ADA, "hi"), (f"r{number}.2", ADA, "hi"), (f"s{number}.1", BOB, None), (f"s{number}.2", ADA, None)
        ]  # fmt: skip
        assert outs[0].extras == extras
        assert [(out.text, out.extras) for out in await shelf.open().after(ADA, outs[0].seq - 1, 10)] == [
            ("one", extras), ("two", outs[1].extras), ("and", outs[3].extras)
        ]  # fmt: skip

    @pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.IGNORED, Outcome.DONE])
    async def test_a_message_that_ended_is_nobody_s_work(self, shelf, outcome):
        """However it ended; messages that were answered with it end in the same commit."""
        database = shelf.open()
        rows = [await begin(database, text) for text in ("a", "b", "c")]
        await database.complete(rows[0], [], Changes(), outcome=outcome, also=rows[1:])
        assert await shelf.open().claim() == []

    async def test_consent_is_what_was_said_last(self, shelf):
        """Kept by place, with the message that said it."""
        database = shelf.open()
        for text, consent in (("/start", Consent.OPTED_IN), ("/stop", Consent.OPTED_OUT)):
            await database.complete(await begin(database, text), [], Changes(consent=consent))
            assert await database.consent(ADA) == consent
        assert await database.consent(BOB) is None

    async def test_the_bot_s_own_messages_are_accepted_once_and_claimed(self, shelf):
        """By a name of its choice; there is no contact and no disclosure in them."""
        database = shelf.open()
        row = await database.enqueue(BOB, "tool-1", "nightly", "{}")
        assert (row.kind, row.sender, row.text, row.fence > 0) == (Kind.SCHEDULE, "nightly", "{}", True)
        assert await database.enqueue(BOB, "tool-1", "nightly", "{}") is None
        assert await database.contact("net", "nightly") is None
        assert (await accept(database, said("hi", BOB))).first_contact is not None
        assert [out.text for out in await database.complete(row, [Reply("done")], Changes())] == ["done"]
