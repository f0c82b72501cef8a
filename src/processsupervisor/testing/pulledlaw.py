"""The law of connectors whose readers pull (console, web): `publish` never waits and never fails, and who comes back misses nothing."""

from __future__ import annotations

import asyncio

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Outgoing, Place
from processsupervisor.testing.lawbot import STATEMENT
from processsupervisor.testing.lawcase import LawBase, case, successor
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Rig
from processsupervisor.testing.lawrows import begun, row, seen


class PulledLaw(LawBase):
    """What holds where readers take rows by themselves."""

    @case(Ability.PULLS)
    async def test_rows_for_nobody_are_harmless(self, rig: Rig, engine: Engine) -> None:
        """They stay in the outbox, where a reader finds them."""
        engine.connector.publish(Outgoing(99, "x", Place(rig.place.network, "nobody"), None, "text", 0.0))
        await rig.say("still there?")
        await seen(rig, "echo still there?")

    @case(Ability.PULLS)
    async def test_nothing_is_sent_where_readers_pull(self, rig: Rig, engine: Engine) -> None:
        """`send` says so instead of losing something."""
        out = Outgoing(1, "x", rig.place, None, "text", 0.0)
        try:
            await engine.connector.send(out)
        except NetworkError as err:
            assert err.kind is ErrorKind.PERMANENT
        else:
            raise AssertionError("send did not refuse")
        assert "text" not in rig.shown()

    @case(Ability.PULLS)
    async def test_a_reader_that_is_gone_holds_nothing_up(self, rig: Rig, engine: Engine) -> None:
        """The message is answered, the answer committed, and publishing raises nothing."""
        await begun(rig)
        await rig.say("slow one")
        await until(lambda: "slow one" in engine.begun, "the handler's begin")
        rig.cut()
        await until(lambda: "echo slow one" in engine.answers(), "the answer in the outbox")
        await engine.quiet()
        engine.connector.publish(row(rig, "for nobody"))
        assert engine.answers() == [STATEMENT, "echo hello", "echo slow one"]

    @case(Ability.PULLS)
    async def test_publishing_does_not_wait(self, rig: Rig, engine: Engine) -> None:
        """A hundred long rows are taken before the loop runs once, and shown in their order."""
        await begun(rig)
        texts = [f"{number} " + "x" * 1000 for number in range(100)]
        for number, text in enumerate(texts):
            engine.connector.publish(row(rig, text, f"r8{number:02}"))
        await until(lambda: len(rig.shown()) >= 2 + len(texts), "the last row")
        assert rig.shown()[2:] == texts

    @case(Ability.PULLS)
    async def test_a_look_at_what_was_shown_repeats_nothing(self, rig: Rig, engine: Engine) -> None:
        """After a commit in doubt the engine publishes again what may have been shown: a reader sees each row once."""
        for text in ("one", "two"):
            await rig.say(text)
            await seen(rig, f"echo {text}")
        for out in await engine.service.pump.after(rig.place, 0, 10):
            engine.connector.publish(out)
        await rig.say("end")
        await seen(rig, "echo end")
        assert rig.shown() == [STATEMENT, "echo one", "echo two", "echo end"]

    @case(Ability.PULLS, lacks=Ability.ACKNOWLEDGES)
    async def test_one_message_is_under_way_where_none_is_acknowledged(self, rig: Rig, engine: Engine) -> None:
        """Nobody hears that a message was taken, so the next one is read only when the one before is committed."""
        engine.witness.is_held = True
        await rig.say("one")
        await rig.say("two")
        await until(lambda: engine.witness.accepted, "a message")
        await asyncio.sleep(0.1)
        assert [incoming.text for incoming in engine.witness.accepted] == ["one"] and engine.stored() == []
        engine.witness.release()
        await seen(rig, "echo two")
        assert engine.stored() == ["one", "two"]

    @case(Ability.RESUMES)
    async def test_a_reader_goes_on_behind_what_it_saw(self, rig: Rig, engine: Engine) -> None:
        """Every final text behind that row once and in order, those of before and those that come now."""
        for number in range(5):
            await rig.say(f"m{number}")
        await seen(rig, "echo m4")
        texts = await rig.resume(2)
        await rig.say("m5")
        await until(lambda: "echo m5" in texts(), "the last one")
        assert list(texts()) == ["echo m1", "echo m2", "echo m3", "echo m4", "echo m5"]

    @case(Ability.RESUMES)
    async def test_a_reader_that_was_cut_off_misses_and_repeats_nothing(self, rig: Rig, engine: Engine) -> None:
        """What was committed while it was away comes once, then what is new."""
        await begun(rig)
        await rig.say("slow one")
        await until(lambda: "slow one" in engine.begun, "the handler's begin")
        rig.cut()
        await until(lambda: "echo slow one" in engine.answers(), "the answer in the outbox")
        texts = await rig.resume(2)
        await rig.say("end")
        await until(lambda: "echo end" in texts(), "the last one")
        assert list(texts()) == ["echo slow one", "echo end"]

    @case(Ability.RESUMES)
    async def test_every_reader_sees_the_same(self, rig: Rig, engine: Engine) -> None:
        """One more takes nothing from the others, whenever it came."""
        first = await rig.resume(0)
        await begun(rig)
        second = await rig.resume(0)
        for number in range(5):
            await rig.say(f"m{number}")
        expected = [STATEMENT, "echo hello", *(f"echo m{number}" for number in range(5))]
        for texts in (first, second):
            await until(lambda texts=texts: len(texts()) >= len(expected), "all of it")  # type: ignore[misc]  # a loop's variable
            assert list(texts()) == expected

    @case(Ability.RESUMES)
    async def test_readers_that_come_while_much_is_said_miss_and_repeat_nothing(self, rig: Rig, engine: Engine) -> None:
        """Wherever the seam falls between what was committed before and what is shown now."""
        readers = []
        for number in range(80):
            await rig.say(f"m{number}")
            if number % 10 == 0:
                readers.append(await rig.resume(0))
                await asyncio.sleep(0.002 * len(readers))
        expected = [STATEMENT, *(f"echo m{number}" for number in range(80))]
        for texts in readers:
            await until(lambda texts=texts: "echo m79" in texts(), "the last one")  # type: ignore[misc]  # a loop's variable
            assert list(texts()) == expected

    @case(Ability.RESUMES)
    async def test_a_reader_that_saw_everything_is_shown_what_is_new(self, rig: Rig, engine: Engine) -> None:
        """And nothing else."""
        await begun(rig)
        texts = await rig.resume(2)
        await rig.say("end")
        await until(texts, "the new one")
        assert list(texts()) == ["echo end"]

    @case(Ability.RESUMES)
    async def test_a_reader_that_saw_more_than_there_is_begins_anew(self, rig: Rig, engine: Engine) -> None:
        """Its number is of another database: nothing of this one has been seen."""
        await begun(rig)
        texts = await rig.resume(1_000_000)
        await rig.say("end")
        await until(lambda: "echo end" in texts(), "the new one")
        assert list(texts()) == [STATEMENT, "echo hello", "echo end"]

    @case(Ability.RESUMES, Ability.REOPENS)
    async def test_a_reader_goes_on_in_the_bots_next_life(self, rig: Rig, engine: Engine) -> None:
        """The numbers of rows go on: what a reader saw of the life before does not come again, what it did not see does."""
        for text in ("one", "two"):
            await rig.say(text)
            await seen(rig, f"echo {text}")
        await engine.stop()
        later = successor(rig, engine)
        await later.start()
        try:
            texts = await rig.resume(2)
            await rig.say("three")
            await until(lambda: "echo three" in texts(), "the last one")
            assert list(texts()) == ["echo two", "echo three"]
        finally:
            await later.stop()
