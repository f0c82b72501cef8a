"""The law of storage, third part: timers, dialogs, dead letters, and conversations that move."""

from __future__ import annotations

import pytest
from tests.storage.law import ADA, BOB, STATEMENT, accept, begin, said

from processsupervisor.kernel import clock
from processsupervisor.storage import letters
from processsupervisor.storage.records import Changes, Consent, DialogState, Due, Kind, Outcome, Place, Reply, SendState, Timer
from processsupervisor.storage.values import scope_of

NEW = Place("net", "ada-2")


class PlannedLaw:
    """Subclasses add the fixture `shelf`."""

    async def test_a_timer_fires_once_as_a_message_of_the_bot(self, shelf):
        """At its time, with handler and payload, claimed; then it is gone, and no other life fires it again."""
        database = shelf.open()
        row = await begin(database, "wake me")
        await database.complete(row, [], Changes(timers=[Timer(ADA, "tea", "brew", 50.0, '{"cups":2}')]))
        assert await database.next_timer_at() == 50.0 and await database.fire_timers(49.0) == []
        (fired,) = await database.fire_timers(51.0)
        assert (fired.kind, fired.place, fired.sender, fired.text, fired.id) == (Kind.SCHEDULE, ADA, "brew", '{"cups":2}', "timer-tea-50.000")
        later = shelf.open()
        assert await later.fire_timers(99.0) == [] and await later.next_timer_at() is None
        assert [each.id for each in await later.claim()] == [fired.id]

    async def test_a_timer_that_is_set_again_for_a_time_that_it_has_had_fires_again(self, shelf):
        """As often as it is set."""
        database = shelf.open()
        for _ in range(3):
            await database.set_timer(Timer(ADA, "tea", "brew", 50.0))
            assert [fired.sender for fired in await database.fire_timers(51.0)] == ["brew"]
        assert len({row.id for row in await shelf.open().claim()}) == 3

    async def test_a_timer_with_a_rule_goes_on_and_leaves_out_what_it_missed(self, shelf):
        """Every hour from its own beginning; after a day of downtime it fires once."""
        database = shelf.open()
        await database.set_timer(Timer(ADA, "hourly", "tick", 100.0, rule="every 3600"))
        assert len(await database.fire_timers(100.0)) == 1 and await database.next_timer_at() == 3700.0
        assert len(await database.fire_timers(90_000.0)) == 1 and await database.next_timer_at() == 90_100.0
        assert len(await database.fire_timers(90_100.0, lambda timer, now: None)) == 1 and await database.timers() == []

    async def test_a_timer_is_replaced_by_name_and_cancelled_with_a_message_or_without(self, shelf):
        """Names are those of a place."""
        database = shelf.open()
        for place, due_at in ((ADA, 10.0), (BOB, 20.0), (ADA, 30.0)):
            await database.set_timer(Timer(place, "t", "h", due_at))
        assert [(timer.place, timer.due_at) for timer in await database.timers()] == [(BOB, 20.0), (ADA, 30.0)]
        assert [timer.due_at for timer in await database.timers(ADA)] == [30.0]
        row = await begin(database, "never mind")
        await database.complete(row, [], Changes(cancelled_timers=[(ADA, "t")]))
        assert await database.timers(ADA) == []
        assert await database.cancel_timer(BOB, "t") and not await database.cancel_timer(BOB, "t")

    async def test_a_dialog_is_committed_with_its_question(self, shelf):
        """One a conversation; the last one said holds."""
        database = shelf.open()
        row = await begin(database, "add")
        await database.complete(row, [Reply("what?")], Changes(dialog=DialogState(ADA, "add", row.row_id, "[1]", 50.0)))
        state = DialogState(ADA, "add", row.row_id, "[1,2]", 60.0)
        await database.complete(await begin(database, "tea"), [Reply("when?")], Changes(dialog=state))
        await database.save_dialog(DialogState(BOB, "other", 9, "[]", None))
        later = shelf.open()
        assert await later.dialog(ADA) == state
        assert sorted(await later.dialog_places()) == sorted([ADA, BOB])
        await later.complete(await begin(later, "at five"), [], Changes(ends_dialog=True))
        assert await later.dialog(ADA) is None and await later.end_dialog(BOB) and not await later.end_dialog(BOB)

    async def test_a_dead_letter_is_kept_shown_and_dropped(self, shelf):
        """With why, how often it was tried, and what it said; the message itself stays in the past."""
        database = shelf.open()
        row = await begin(database, "boom")
        await database.complete(row, [Reply("sorry")], Changes(), outcome=Outcome.DEAD, reason="error", detail="bots.py:7", tries=3)
        (letter,) = await shelf.open().dead_letters()
        assert (letter.row_id, letter.place, letter.id, letter.text, letter.reason, letter.detail, letter.attempts) == (
            row.row_id, ADA, "boom", "boom", "error", "bots.py:7", 3
        )  # fmt: skip
        assert await database.dead_letter(row.row_id) == letter and await database.dead_letter(99) is None
        assert await database.drop_letter(row.row_id) and not await database.drop_letter(row.row_id)
        assert await database.replay(row.row_id) is None and await database.dead_letters() == []
        assert "boom" in [entry.text for entry in await database.history(ADA, 10)]

    async def test_a_replayed_message_is_handled_like_a_new_one(self, shelf):
        """Behind what came since; a repeat of it from the network is still known; its reply stands beside the apology."""
        database = shelf.open()
        row = await begin(database, "boom")
        await database.complete(row, [Reply("sorry")], Changes(), outcome=Outcome.DEAD, reason="error")
        waiting = await begin(database, "next")
        again = await database.replay(row.row_id)
        assert (again.id, again.text, again.attempts) == ("boom", "boom", 0) and again.row_id > waiting.row_id
        assert (await accept(database, said("boom"))).row is None
        (out,) = await database.complete(again, [Reply("done")], Changes())
        assert [each.text for each in await database.after(ADA, 0, 10)][-2:] == ["sorry", "done"] and out.id != row.reply_id

    async def test_letters_are_bounded(self, shelf, monkeypatch):
        """Beyond the limit the oldest goes."""
        monkeypatch.setattr(letters, "MAX_LETTERS", 3)
        database = shelf.open()
        for number in range(5):
            await database.complete(await begin(database, f"m{number}"), [], Changes(), outcome=Outcome.DEAD, reason="error")
        assert [letter.text for letter in await database.dead_letters()] == ["m4", "m3", "m2"]

    async def test_a_conversation_that_moves_goes_on_in_the_new_place(self, shelf):
        """What is to be sent, values, dialog, timers and reminders; the message that is being handled too, by its old claim."""
        database = shelf.open()
        done, running = await begin(database, "one"), await begin(database, "two")
        changes = Changes(values={(scope_of(ADA), "count"): "1"}, reminders=[Due(ADA, 5.0, "tea")], timers=[Timer(ADA, "t", "h", 10.0)],
                          dialog=DialogState(ADA, "h", done.row_id, "[]", None), consent=Consent.OPTED_IN)  # fmt: skip
        await database.complete(done, [Reply("1")], changes, state=SendState.WAITING)
        await database.move_place(ADA, NEW)
        assert [out.place for out in await database.sends_due("net", 0.0, 10)] == [NEW]
        assert await database.read_value(scope_of(NEW), "count") == "1" and await database.read_value(scope_of(ADA), "count") == "1"
        assert (await database.dialog(NEW)).place == NEW and [timer.place for timer in await database.timers()] == [NEW]
        assert await database.consent(ADA) == "in" and (await database.conversation(ADA)).place == NEW
        (out,) = await database.complete(running, [Reply("2")], Changes(values={(scope_of(ADA), "count"): "2"}, reminders=[Due(ADA, 6.0, "x")]))
        assert out.place == NEW and await database.read_value(scope_of(NEW), "count") == "2"
        assert [fired.place for fired in await database.fire_due(9.0)] == [NEW, NEW]
        assert (await accept(database, said("hi", NEW))).first_contact is None and (await accept(database, said("two"))).row is None

    async def test_who_opted_out_stays_out_when_conversations_meet(self, shelf):
        """And what the new place has already is not overwritten."""
        database = shelf.open()
        for place, consent, value in ((ADA, Consent.OPTED_OUT, "1"), (NEW, Consent.OPTED_IN, "2")):
            changes = Changes(consent=consent, values={(scope_of(place), "k"): value})
            await database.complete(await begin(database, "x", place), [], changes)
        await database.move_place(ADA, NEW)
        assert await database.consent(NEW) == "out" and await database.read_value(scope_of(NEW), "k") == "2"
        await database.move_place(NEW, ADA)
        assert (await database.conversation(NEW)).place == ADA and await database.consent(ADA) == "out"

    @pytest.mark.parametrize("count", [0, 3])
    async def test_open_work_is_seen_without_opening(self, shelf, count):
        """Messages, sends, timers: what a start must look after; a place where all is done needs none."""
        database = shelf.open()
        rows = [await begin(database, f"m{number}") for number in range(count)]
        assert await database.claim() == []
        for row in rows:
            await database.complete(row, [], Changes())
        await database.set_timer(Timer(ADA, "t", "h", clock.wall() + 60))
        assert shelf.has_open_work()
        await database.cancel_timer(ADA, "t")
        assert not shelf.has_open_work()
        database.networks_to_send = frozenset({"net"})
        await accept(database, said("hi", BOB))
        row = (await shelf.open().claim())[0]
        assert shelf.has_open_work() and row.text == "hi" and STATEMENT
