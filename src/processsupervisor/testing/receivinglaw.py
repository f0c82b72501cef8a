"""The law of connectors, what comes in: committed before it is acknowledged, once per id, in order, refused in words or kept."""

from __future__ import annotations

import asyncio
import contextlib

from processsupervisor.connectors.base import MAX_TEXT_BYTES
from processsupervisor.kernel.errors import Refused
from processsupervisor.storage.records import PLAIN, Kind
from processsupervisor.testing.lawbot import STATEMENT
from processsupervisor.testing.lawcase import LawBase, case, successor
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Rig
from processsupervisor.testing.lawrows import OTHER, begun, seen

PAUSED = Refused("the bot is paused", code="paused")


class ReceivingLaw(LawBase):
    """What holds for messages of people."""

    @case()
    async def test_a_message_is_answered_once_behind_the_statement(self, rig: Rig, engine: Engine) -> None:
        """The person sees that a program answers, then the reply, each once."""
        await rig.say("hello")
        await seen(rig, "echo hello")
        assert rig.shown() == [STATEMENT, "echo hello"]

    @case()
    async def test_replies_come_in_the_order_of_the_messages(self, rig: Rig, engine: Engine) -> None:
        """A fast second message does not overtake a slow first one."""
        await rig.say("slow one")
        await rig.say("two")
        await seen(rig, "echo two")
        assert rig.shown()[1:] == ["echo slow one", "echo two"]

    @case()
    async def test_many_messages_are_each_answered_once_and_in_order(self, rig: Rig, engine: Engine) -> None:
        """Nothing is lost, repeated or turned around when they come faster than they are answered."""
        texts = [f"message {number}" for number in range(30)]
        for text in texts:
            await rig.say(text)
        await seen(rig, f"echo {texts[-1]}")
        assert rig.shown()[1:] == [f"echo {text}" for text in texts]

    @case()
    async def test_text_arrives_as_it_was_written(self, rig: Rig, engine: Engine) -> None:
        """No markup is read into it and no character is lost."""
        await rig.say("ünïcödé 🙂 *not bold* <b>&amp;</b> _x_ `y` [a](b)")
        await seen(rig, "echo ünïcödé 🙂 *not bold* <b>&amp;</b> _x_ `y` [a](b)")

    @case()
    async def test_what_is_handed_over_says_where_who_and_what(self, rig: Rig, engine: Engine) -> None:
        """The place is the network's, the sender is the same each time, ids differ, a private message is addressed to the bot."""
        await rig.say("one")
        await rig.say("two")
        await until(lambda: len(engine.witness.accepted) == 2, "two messages")
        one, two = engine.witness.accepted
        assert one.place == two.place == rig.place and one.place.network == engine.connector.network
        assert one.sender and one.sender == two.sender and one.id and one.id != two.id
        assert (one.kind, one.envelope.room, one.envelope.is_addressed) == (Kind.MESSAGE, PLAIN.room, True)

    @case()
    async def test_the_same_words_twice_are_two_messages(self, rig: Rig, engine: Engine) -> None:
        """Messages are told apart by their ids, never by what they say."""
        for _ in range(2):
            await rig.say("again")
        await rig.say("end")
        await seen(rig, "echo end")
        assert rig.shown() == [STATEMENT, "echo again", "echo again", "echo end"]

    @case()
    async def test_a_message_of_nothing_is_none(self, rig: Rig, engine: Engine) -> None:
        """Spaces alone are not handled; what comes behind them is."""
        await rig.say("  ")
        await rig.say("next")
        await seen(rig, "echo next")
        assert engine.begun == ["next"] and rig.shown() == [STATEMENT, "echo next"]

    @case()
    async def test_a_command_arrives_like_any_text(self, rig: Rig, engine: Engine) -> None:
        """The core answers /about by the statement, whatever the network does with a slash."""
        await begun(rig)
        await rig.say("/about")
        await until(lambda: STATEMENT in "\n".join(rig.shown()[2:]), "the statement once more")
        assert engine.witness.accepted[-1].text == "/about" and "/about" not in engine.begun

    @case()
    async def test_order_is_kept_while_commits_wait(self, rig: Rig, engine: Engine) -> None:
        """However long a commit takes, nothing overtakes it and nothing is said of it."""
        engine.witness.is_held = True
        for number in range(5):
            await rig.say(f"line {number}")
        await until(lambda: engine.witness.accepted, "a message")
        await asyncio.sleep(0.05)
        assert rig.shown() == [] and engine.stored() == []
        engine.witness.release()
        await seen(rig, "echo line 4")
        assert rig.shown() == [STATEMENT, *(f"echo line {number}" for number in range(5))]

    @case(Ability.REPEATS)
    async def test_the_networks_own_id_is_kept(self, rig: Rig, engine: Engine) -> None:
        """So that a repeat is known for one."""
        given = await rig.say("hello")
        await until(lambda: engine.witness.accepted, "a message")
        assert given and engine.witness.accepted[0].id == given

    @case(Ability.REPEATS)
    async def test_a_repeated_message_is_handled_once(self, rig: Rig, engine: Engine) -> None:
        """However often the network brings it."""
        await rig.say("once")
        for _ in range(3):
            await rig.repeat()
        await rig.say("end")
        await seen(rig, "echo end")
        assert rig.shown() == [STATEMENT, "echo once", "echo end"]

    @case(Ability.REPEATS, Ability.ACKNOWLEDGES)
    async def test_a_repeated_message_is_acknowledged_again(self, rig: Rig, engine: Engine) -> None:
        """Else the network would bring it for ever."""
        await rig.say("once")
        await seen(rig, "echo once")
        before = rig.acknowledged()
        await rig.repeat()
        await until(lambda: rig.acknowledged() > before, "a second acknowledgement")

    @case(Ability.ACKNOWLEDGES)
    async def test_nothing_is_acknowledged_before_it_is_committed(self, rig: Rig, engine: Engine) -> None:
        """While the commit is held back the network hears nothing; afterwards it does, and another connection sees the message."""
        engine.witness.is_held = True
        await rig.say("hold on")
        await until(lambda: engine.witness.accepted, "a message")
        await asyncio.sleep(0.1)
        assert rig.acknowledged() == 0 and engine.stored() == []
        engine.witness.release()
        await until(lambda: rig.acknowledged() == 1, "the acknowledgement")
        assert engine.stored() == ["hold on"]

    @case(Ability.ACKNOWLEDGES, Ability.REPEATS, Ability.REOPENS)
    async def test_a_message_whose_acknowledgement_was_lost_is_answered_once(self, rig: Rig, engine: Engine) -> None:
        """The bot ended between commit and acknowledgement: its next life is brought the message again, or told it again."""
        engine.witness.is_mute = True
        await rig.say("once")
        await until(lambda: engine.stored() == ["once"], "the commit")
        assert rig.acknowledged() == 0
        await engine.stop()
        later = successor(rig, engine)
        await later.start()
        try:
            if Ability.KEEPS not in self.abilities:
                await rig.repeat()
            await until(lambda: rig.acknowledged() == 1, "the acknowledgement")
            await rig.say("end")
            await until(lambda: later.stored() == ["once", "end"], "both in the inbox")
            await until(lambda: "echo end" in later.answers(), "the answer")
            assert later.answers().count("echo once") == 1
        finally:
            await later.stop()

    @case(Ability.REFUSES)
    async def test_a_bot_that_takes_nothing_says_so(self, rig: Rig, engine: Engine) -> None:
        """The person is told, nothing is stored; afterwards the next message is taken."""
        engine.witness.refusal = PAUSED
        await rig.say("not now")
        assert "paused" in await rig.told_refused()
        assert engine.stored() == []
        engine.witness.refusal = None
        await rig.say("now")
        await seen(rig, "echo now")

    @case(Ability.KEEPS)
    async def test_what_cannot_be_taken_now_comes_again(self, rig: Rig, engine: Engine) -> None:
        """The network keeps it; it is not acknowledged, stands in its order, and is answered once."""
        engine.witness.refusal = PAUSED
        await rig.say("one")
        await rig.say("two")
        await until(lambda: engine.witness.accepted, "a try")
        assert engine.stored() == [] and rig.acknowledged() == 0
        engine.witness.refusal = None
        await seen(rig, "echo two")
        assert rig.shown() == [STATEMENT, "echo one", "echo two"]

    @case(Ability.REFUSES)
    async def test_a_failing_database_is_told_and_recovers(self, rig: Rig, engine: Engine) -> None:
        """A message that could not be committed is refused with the reason; the connector lives on."""
        engine.folder.mkdir(parents=True, exist_ok=True)
        engine.database.path.write_bytes(b"no database at all" * 300)
        await rig.say("lost?")
        assert "not a database" in await rig.told_refused()
        engine.database.path.unlink()
        await rig.say("again")
        await seen(rig, "echo again")

    @case(Ability.KEEPS)
    async def test_a_failing_database_loses_nothing(self, rig: Rig, engine: Engine) -> None:
        """What could not be committed comes again until it is."""
        engine.folder.mkdir(parents=True, exist_ok=True)
        engine.database.path.write_bytes(b"no database at all" * 300)
        await rig.say("lost?")
        await until(lambda: engine.witness.failures, "a commit that fails")
        await asyncio.sleep(0.05)
        assert rig.acknowledged() == 0
        engine.database.path.unlink()
        await seen(rig, "echo lost?")
        assert rig.shown() == [STATEMENT, "echo lost?"]

    @case(Ability.REFUSES)
    async def test_an_endless_message_is_refused(self, rig: Rig, engine: Engine) -> None:
        """Text beyond 64 KiB is not stored, and the person is told."""
        await rig.say("x" * (MAX_TEXT_BYTES + 1))
        assert "64 KiB" in await rig.told_refused()
        assert engine.stored() == []

    @case(Ability.REFUSES)
    async def test_a_refused_message_takes_nobodys_place(self, rig: Rig, engine: Engine) -> None:
        """Those before and behind it are answered in their order."""
        await rig.say("one")
        await rig.say("x" * (MAX_TEXT_BYTES + 1))
        assert "64 KiB" in await rig.told_refused()
        await rig.say("two")
        await seen(rig, "echo two")
        assert rig.shown() == [STATEMENT, "echo one", "echo two"] and engine.stored() == ["one", "two"]

    @case(Ability.REFUSES)
    async def test_a_message_of_the_greatest_length_is_taken(self, rig: Rig, engine: Engine) -> None:
        """The limit is where it is said to be."""
        text = "x" * (MAX_TEXT_BYTES - 3) + "ü"
        await rig.say(text)
        await until(lambda: engine.stored() == [text], "the message in the inbox")

    @case(Ability.BYTES)
    async def test_what_is_no_text_is_refused(self, rig: Rig, engine: Engine) -> None:
        """The person is told, nothing of it is stored, and the next message is taken."""
        await begun(rig)
        await rig.garble()
        assert await rig.told_refused()
        await rig.say("next")
        await seen(rig, "echo next")
        assert engine.stored() == ["hello", "next"]

    @case(Ability.KEEPS)
    async def test_what_can_never_be_taken_does_not_come_for_ever(self, rig: Rig, engine: Engine) -> None:
        """A message beyond 64 KiB is acknowledged, not stored, and holds nothing behind it up."""
        await rig.say("x" * (MAX_TEXT_BYTES + 1))
        await rig.say("next")
        await seen(rig, "echo next")
        await until(lambda: rig.acknowledged() == 2, "both acknowledgements")
        assert engine.stored() == ["next"]

    @case(Ability.REFUSES)
    async def test_nul_does_no_harm(self, rig: Rig, engine: Engine) -> None:
        """A character that C strings end with is one like others."""
        await rig.say("a\x00b")
        await seen(rig, "echo a\x00b")

    @case(Ability.ROOMS)
    async def test_conversations_are_kept_apart(self, rig: Rig, engine: Engine) -> None:
        """Each has its own place and sees its own replies."""
        await rig.say("mine")
        await rig.say("theirs", to=OTHER)
        await seen(rig, "echo mine")
        await seen(rig, "echo theirs", to=OTHER)
        assert "echo theirs" not in rig.shown() and "echo mine" not in rig.shown(to=OTHER)
        assert len({incoming.place for incoming in engine.witness.accepted}) == 2

    @case(Ability.ROOMS)
    async def test_a_slow_conversation_holds_no_other_up(self, rig: Rig, engine: Engine) -> None:
        """Order is kept within a conversation only."""
        for _ in range(5):
            await rig.say("slow")
        await rig.say("quick", to=OTHER)
        await seen(rig, "echo quick", to=OTHER)
        assert rig.shown().count("echo slow") < 5

    @case(Ability.CURSOR)
    async def test_how_far_the_network_was_read_is_handed_over(self, rig: Rig, engine: Engine) -> None:
        """It grows, and is committed with the message that it stands behind."""
        for text in ("one", "two"):
            await rig.say(text)
            await seen(rig, f"echo {text}")
        one, two = [incoming.cursor for incoming in engine.witness.accepted]
        assert one is not None and two is not None and one < two
        assert await engine.service.pump.cursor(engine.connector.network) == two

    @case()
    async def test_a_closed_connector_takes_nothing(self, rig: Rig, engine: Engine) -> None:
        """After close nothing more is handed over."""
        await rig.say("first")
        await seen(rig, "echo first")
        await engine.connector.close()
        with contextlib.suppress(OSError):
            await rig.say("late")
        await asyncio.sleep(0.1)
        assert [incoming.text for incoming in engine.witness.accepted] == ["first"] and engine.stored() == ["first"]

    @case()
    async def test_a_closed_connector_says_nothing(self, rig: Rig, engine: Engine) -> None:
        """No proof and no end behind the close, whatever the network does: the bot that hears them is gone."""
        await begun(rig)
        await engine.connector.close()
        proofs = len(engine.witness.proofs)
        with contextlib.suppress(OSError):
            await rig.say("late")
        await asyncio.sleep(0.1)
        assert len(engine.witness.proofs) == proofs and engine.witness.ended == []
