"""The law of storage, second part: what is to be sent, in which order, and what is known of it after a kill."""

from __future__ import annotations

from tests.storage.law import ADA, BOB, begin

from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Reply, SendState

NOW = 1000.0


async def answered(database: BotDatabase, *texts: str, place=ADA) -> list[str]:
    """Let the bot answer one message with these, to be sent; returns the ids. The disclosure is SHOWN, so it is in nobody's way."""
    row = await begin(database, f"to {texts[0]}", place)
    outs = await database.complete(row, [Reply(text) for text in texts], Changes(), state=SendState.WAITING)
    return [out.id for out in outs]


async def due(database: BotDatabase, now: float = NOW) -> list[str]:
    return [out.text for out in await database.sends_due("net", now, 100)]


class SendingLaw:
    """Subclasses add the fixture `shelf`."""

    async def test_only_the_oldest_unsent_row_of_a_conversation_is_due(self, shelf):
        """The next one is when it was taken, refused for good, or ended as uncertain; other conversations do not wait."""
        database = shelf.open()
        ids = await answered(database, "1", "2", "3", "4")
        await answered(database, "b", place=BOB)
        assert await due(database) == ["1", "b"]
        assert await database.sending(ids[:1]) == ids[:1]
        assert await due(database) == ["b"]
        await database.sent(ids[0], "77")
        assert await due(database) == ["b", "2"] or await due(database) == ["2", "b"]
        await database.sending(ids[1:2])
        await database.send_failed(ids[1], "refused")
        await database.sending(ids[2:3])
        await database.send_unknown(ids[2], resend=False)
        assert "4" in await due(database)
        assert await due(database) == await due(shelf.open())

    async def test_a_row_that_has_to_wait_holds_its_conversation_only(self, shelf):
        """Not before its time, which is told; then again, counted."""
        database = shelf.open()
        (first, _) = await answered(database, "1", "2")
        assert await database.next_send_at("net") == 0
        await database.sending([first])
        assert await database.next_send_at("net") is None
        await database.send_again(first, NOW + 30)
        assert await due(database) == [] and await database.next_send_at("net") == NOW + 30
        (out,) = await database.sends_due("net", NOW + 30, 10)
        assert (out.id, out.attempts, out.is_repeat, out.state) == (first, 1, False, SendState.WAITING)
        assert await database.next_send_at("other") is None and await database.sends_due("other", NOW, 10) == []

    async def test_a_row_is_begun_once(self, shelf):
        """Of two that want to send it one may; what was sent is not sent again, whoever says so."""
        database = shelf.open()
        (out_id,) = await answered(database, "1")
        assert await database.sending([out_id]) == [out_id] and await database.sending([out_id]) == []
        await database.sent(out_id, "77")
        await database.send_again(out_id, 0.0)
        await database.send_unknown(out_id, resend=True)
        assert await due(database) == [] and await database.sending([out_id]) == []

    async def test_what_a_life_was_sending_when_it_ended_is_found(self, shelf):
        """Resent under a mark that stays, or ended as uncertain: counted both ways."""
        ids = await answered(earlier := shelf.open(), "1") + await answered(earlier, "b", place=BOB)
        await earlier.sending(ids)
        later = shelf.open()
        left = await later.left_sending("net")
        assert [(out.id, out.state, out.attempts) for out in left] == [(ids[0], SendState.SENDING, 1), (ids[1], SendState.SENDING, 1)]
        await later.send_unknown(ids[0], resend=True)
        await later.send_unknown(ids[1], resend=False)
        assert await later.left_sending("net") == []
        (out,) = await later.sends_due("net", NOW, 10)
        assert (out.id, out.is_repeat) == (ids[0], True)
        await later.sending([out.id])
        await later.sent(out.id, "")
        assert [(one.id, one.state) for one in await later.uncertain_sends()] == [
            (ids[1], "unknown, not resent"), (ids[0], "uncertain, sent again")]
        assert [each.state for each in await later.after(BOB, 0, 10)][-1] is SendState.UNCERTAIN

    async def test_the_networks_id_of_a_row_is_kept(self, shelf):
        """Of what was sent; networks number their messages by place, so two places may have the same."""
        database = shelf.open()
        ids = await answered(database, "1", "2") + await answered(database, "b", place=BOB)
        for out_id, network_id in ((ids[0], "77"), (ids[2], "77")):
            await database.sending([out_id])
            await database.sent(out_id, network_id)
        assert [await database.network_id(out_id) for out_id in (*ids, "none")] == ["77", None, "77", None]

    async def test_what_ended_as_unknown_is_sent_when_somebody_says_so(self, shelf):
        """Once, as a repeat, before what came behind it; what was sent again already, or is unknown here, is not."""
        database = shelf.open()
        ids = await answered(database, "1", "2") + await answered(database, "b", place=BOB)
        await database.sending([ids[0], ids[2]])
        await database.send_unknown(ids[0], resend=False)
        await database.send_unknown(ids[2], resend=True)
        await database.sent(ids[2], "")
        resent, ended = (one.number for one in await database.uncertain_sends())
        assert await due(database) == ["2"]
        assert (await database.send_anew(ended)).id == ids[0] and await database.send_anew(ended) is None
        assert await database.send_anew(resent) is None and await database.send_anew(10_000) is None
        (out,) = await shelf.open().sends_due("net", NOW, 10)
        assert (out.id, out.is_repeat) == (ids[0], True)
        assert {one.state for one in await database.uncertain_sends()} == {"uncertain, sent again", "uncertain, to be sent again"}

    async def test_rows_of_networks_to_send_begin_waiting(self, shelf):
        """Replies, sends and reminders alike, each by its own network; readers' rows are shown at once."""
        database = shelf.open()
        database.networks_to_send = frozenset({"net"})
        await begin(database, "hi")
        out = await database.send("first-1", ADA, "psst")
        other = await database.send("first-2", ADA._replace(network="web"), "psst")
        assert (out.state, other.state) == (SendState.WAITING, SendState.SHOWN)
        assert await database.send("first-1", ADA, "twice") is None
