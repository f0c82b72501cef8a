"""The law of connectors, their life: who the bot is, proofs of the network, a good end, what can be shown while it lasts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from processsupervisor.connectors.base import Capabilities
from processsupervisor.storage.records import Outgoing, Place
from processsupervisor.testing.lawbot import STATEMENT
from processsupervisor.testing.lawcase import LawBase, case, successor
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Rig
from processsupervisor.testing.lawrows import begun, seen


class LifeLaw(LawBase):
    """What holds from the identity check to the close."""

    @case()
    async def test_who_the_bot_is_does_not_change(self, rig: Rig, engine: Engine) -> None:
        """The same name each time it is asked; none where there is nobody to ask."""
        first, second = await engine.connector.identify(), await engine.connector.identify()
        assert first == second and (first is not None) == engine.connector.has_network
        assert first is None or (first.id and first.name)

    @case()
    async def test_asking_who_it_is_receives_nothing(self, rig: Rig, engine: Engine) -> None:
        """What people said while the bot was away stays with the network until `open`."""
        await engine.stop()
        fresh = rig.connect(engine.folder)
        await fresh.identify()
        before = len(engine.witness.accepted)
        await asyncio.sleep(0.05)
        assert len(engine.witness.accepted) == before
        await fresh.close()

    @case()
    async def test_what_it_can_do_stays_the_same(self, rig: Rig, engine: Engine) -> None:
        """And is what its law was told: the engine decides by it before a reply is committed. What is pulled carries everything."""
        can = engine.connector.capabilities
        assert isinstance(can, Capabilities) and can.max_text_chars > 0
        for ability, value in (
            (Ability.KEYS, can.takes_key), (Ability.MARKUP, can.markup), (Ability.EDITS, can.edits), (Ability.BUTTONS, can.buttons),
            (Ability.FILES, can.files), (Ability.TYPING, can.typing), (Ability.DRAFTS, can.drafts),
            (Ability.PULLS, engine.connector.is_pulled),
        ):  # fmt: skip
            assert (ability in self.abilities) == value, ability
        await rig.say("hello")
        await seen(rig, "echo hello")
        assert engine.connector.capabilities == can

    @case()
    async def test_a_network_is_proved_and_nothing_else_is(self, rig: Rig, engine: Engine) -> None:
        """With a network each message is a proof of it under its own name; without one none is said, so the bot is never offline."""
        if engine.connector.has_network:
            await until(lambda: engine.witness.proofs, "a proof without any message")
            before = len(engine.witness.proofs)
            await rig.say("hello")
            await until(lambda: len(engine.witness.proofs) > before, "a proof by a message")
            assert set(engine.witness.proofs) == {engine.connector.network}
        else:
            await rig.say("hello")
            await seen(rig, "echo hello")
            assert engine.witness.proofs == []

    @case()
    async def test_a_streamed_reply_ends_as_one_final_text(self, rig: Rig, engine: Engine) -> None:
        """Pieces may be shown under the id that the whole has; in the end the whole stands there once."""
        await rig.say("stream me")
        await seen(rig, "echo stream me")
        assert rig.shown().count("echo stream me") == 1
        pieces = [out for out in engine.watched.published if not out.final]
        assert not engine.connector.capabilities.drafts or pieces
        assert all("echo stream me".startswith(out.text) and out.seq is None for out in pieces)

    @case()
    async def test_a_stop_lets_the_answer_out(self, rig: Rig, engine: Engine) -> None:
        """A message that is being handled when the bot stops is answered, and the answer shown, before the connector closes."""
        await rig.say("slow goodbye")
        await until(lambda: engine.begun, "the handler's begin")
        await engine.stop()
        await seen(rig, "echo slow goodbye")

    @case(Ability.REOPENS)
    async def test_the_next_life_goes_on(self, rig: Rig, engine: Engine) -> None:
        """Another connector on the same data: new messages are answered, old ones not again, the statement is not repeated."""
        await rig.say("before")
        await seen(rig, "echo before")
        await engine.stop()
        later = successor(rig, engine)
        await later.start()
        try:
            await rig.say("after")
            await until(lambda: "echo after" in later.answers(), "the answer")
            assert later.answers() == [STATEMENT, "echo before", "echo after"]
        finally:
            await later.stop()

    @case(Ability.REOPENS)
    async def test_what_was_accepted_and_not_answered_is_answered_by_the_next_life(self, rig: Rig, engine: Engine) -> None:
        """A stop in a hurry cuts the handler off; the message is in the inbox, and answered once and in its order."""
        await begun(rig)
        for text in ("slow one", "two"):
            await rig.say(text)
        await until(lambda: engine.stored() == ["hello", "slow one", "two"] and "slow one" in engine.begun, "both in the inbox")
        await engine.stop(0.01)
        later = successor(rig, engine)
        await later.start()
        try:
            await until(lambda: "echo two" in later.answers(), "the answers")
            assert later.answers() == [STATEMENT, "echo hello", "echo slow one", "echo two"]
        finally:
            await later.stop()

    @case(Ability.KEEPS, Ability.REOPENS)
    async def test_what_was_said_while_the_bot_was_away_is_answered(self, rig: Rig, engine: Engine) -> None:
        """In its order, by the next life."""
        await rig.say("before")
        await seen(rig, "echo before")
        await engine.stop()
        for text in ("one", "two"):
            await rig.say(text)
        later = successor(rig, engine)
        await later.start()
        try:
            await seen(rig, "echo two")
            assert rig.shown() == [STATEMENT, "echo before", "echo one", "echo two"]
        finally:
            await later.stop()

    @case()
    async def test_closing_again_and_unopened_is_harmless(self, rig: Rig, engine: Engine) -> None:
        """A bot that fails in its start closes what it has."""
        await engine.connector.close()
        await engine.connector.close()
        await rig.connect(Path(engine.folder)).close()

    @case()
    async def test_typing_never_fails(self, rig: Rig, engine: Engine) -> None:
        """Neither to nobody nor when the connector is closed."""
        await engine.connector.typing(rig.place)
        await engine.connector.typing(Place(rig.place.network, "404"))
        await engine.connector.close()
        await engine.connector.typing(rig.place)

    @case()
    async def test_pieces_for_nobody_are_harmless(self, rig: Rig, engine: Engine) -> None:
        """A draft of a conversation that nobody reads raises nothing, and none does after the close."""
        draft = Outgoing(None, "r99", Place(rig.place.network, "404"), None, "text", 0.0, final=False)
        engine.connector.publish(draft)
        await engine.connector.close()
        engine.connector.publish(draft)

