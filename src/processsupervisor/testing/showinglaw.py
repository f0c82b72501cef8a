"""The law of connectors, what a person is shown: whole, as it was written, in its order, once, and nothing that is not committed.

It holds for every network: for those that rows are sent to and for those whose readers take them.
"""

from __future__ import annotations

import asyncio

from processsupervisor.connectors.base import NetworkError
from processsupervisor.storage.records import Extras, Markup, Outgoing, Reply
from processsupervisor.testing.lawbot import CHOICES, LINES, LONG_WORDS, QUESTION, STATEMENT
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Rig
from processsupervisor.testing.lawrows import OTHER, begun, bring, row, seen

SIGNS = "*a* _b_ <i>c</i> & `d` [e](f) ~g~ #h 1. i"


class ShowingLaw(LawBase):
    """What holds for texts of the bot."""

    @case()
    async def test_what_is_shown_is_committed(self, rig: Rig, engine: Engine) -> None:
        """At any moment, also while a reply grows: what stands there as a message would be there after a crash."""
        for text in ("stream one", "two"):
            await rig.say(text)

        def is_over() -> bool:
            shown = rig.shown()
            assert set(shown) <= set(engine.answers()), "what stands there is not committed"
            return "echo two" in shown

        await until(is_over, "the last answer")

    @case()
    async def test_a_long_reply_is_shown_whole(self, rig: Rig, engine: Engine) -> None:
        """In as many messages as the network needs, in their order, no word lost and none twice."""
        await rig.say("long please")
        await until(lambda: rig.shown() and rig.shown()[-1].endswith(LONG_WORDS[-1]), "the last word")
        assert " ".join(rig.shown()[1:]).split() == LONG_WORDS

    @case()
    async def test_a_reply_of_several_lines_keeps_them(self, rig: Rig, engine: Engine) -> None:
        """With the spaces at their beginning."""
        await rig.say("lines please")
        await until(lambda: LINES in "\n".join(rig.shown()), "three lines")

    @case()
    async def test_several_replies_stand_in_their_order(self, rig: Rig, engine: Engine) -> None:
        """Those to one message, each a message of its own, before those to the next."""
        await rig.say("three please")
        await rig.say("next")
        await seen(rig, "echo next")
        assert rig.shown() == [STATEMENT, "one of three", "two of three", "three of three", "echo next"]

    @case()
    async def test_text_without_markup_is_shown_as_it_is(self, rig: Rig, engine: Engine) -> None:
        """Whatever the network would read into it."""
        await begun(rig)
        await bring(engine, row(rig, SIGNS, extras=Extras(markup=Markup.PLAIN)))
        await until(lambda: rig.shown()[-1] == SIGNS, "the signs")

    @case()
    async def test_text_of_the_greatest_length_is_shown_whole(self, rig: Rig, engine: Engine) -> None:
        """What the capabilities promise to the engine holds; a character outside the first plane counts twice."""
        await begun(rig)
        text = "x" * (engine.connector.capabilities.max_text_chars - 2) + "🙂"
        await bring(engine, row(rig, text))
        await until(lambda: rig.shown()[-1] == text, "all of it")

    @case()
    async def test_many_rows_at_once_are_shown_in_their_order(self, rig: Rig, engine: Engine) -> None:
        """None is left out because others stand before it."""
        await begun(rig)
        texts = [f"row {number}" for number in range(40)]
        for number, text in enumerate(texts):
            await bring(engine, row(rig, text, f"r8{number:02}"))
        await until(lambda: len(rig.shown()) >= 2 + len(texts), "the last row")
        assert rig.shown()[2:] == texts

    @case(Ability.KEYS)
    async def test_a_repeated_send_is_shown_once(self, rig: Rig, engine: Engine) -> None:
        """Under the same id the network shows it once and gives the same number."""
        await begun(rig)
        first = await bring(engine, row(rig, "once", "r901"))
        assert await bring(engine, row(rig, "once", "r901")) == first
        await bring(engine, row(rig, "end", "r902"))
        await seen(rig, "end")
        assert rig.shown()[2:] == ["once", "end"]

    @case()
    async def test_a_quote_never_costs_the_text(self, rig: Rig, engine: Engine) -> None:
        """Where it cannot be shown as an answer, or what it answers is not there, it is a message like others."""
        given = await rig.say("hello")
        await seen(rig, "echo hello")
        await bring(engine, row(rig, "to you", "r901", extras=Extras(quotes=given.lstrip("m") or "1")))
        await bring(engine, row(rig, "to nothing", "r902", extras=Extras(quotes="404404")))
        await seen(rig, "to nothing")
        assert rig.shown()[2:] == ["to you", "to nothing"]

    @case(Ability.ROOMS)
    async def test_rows_of_many_conversations_do_not_mix(self, rig: Rig, engine: Engine) -> None:
        """At the same time, each where it belongs."""
        await begun(rig)
        await begun(rig, to=OTHER)
        rows = [row(rig, f"to {to or 'me'} {number}", f"r95-{to}-{number}", to=to) for number in range(5) for to in ("", OTHER)]
        await asyncio.gather(*(bring(engine, out) for out in rows))
        await until(lambda: len(rig.shown()) == len(rig.shown(to=OTHER)) == 7, "five more in both")
        assert sorted(rig.shown()[2:]) == [f"to me {number}" for number in range(5)]
        assert sorted(rig.shown(to=OTHER)[2:]) == [f"to {OTHER} {number}" for number in range(5)]

    @case()
    async def test_a_message_sent_first_is_shown_once(self, rig: Rig, engine: Engine) -> None:
        """To a contact who has agreed by /start; it answers nothing, and stands behind what was said before."""
        await rig.say("/start")
        await until(lambda: "/start" in engine.stored(), "the message in the inbox")
        await engine.quiet()
        before = engine.answers()
        await until(lambda: rig.shown() == before, "the statement and what /start is answered")
        await engine.service.send(rig.place, Reply("good morning"))
        await rig.say("hello")
        await seen(rig, "echo hello")
        assert rig.shown() == [*before, "good morning", "echo hello"]

    @case()
    async def test_a_choice_can_be_written(self, rig: Rig, engine: Engine) -> None:
        """A question with choices shows the question, and the words of a choice are its answer, buttons or not."""
        await rig.say("question please")
        await until(lambda: QUESTION in "\n".join(rig.shown()), "the question")
        await engine.quiet()
        await rig.say(CHOICES[1])
        await seen(rig, f"you chose {CHOICES[1]}")

    @case()
    async def test_a_piece_is_not_the_whole(self, rig: Rig, engine: Engine) -> None:
        """A piece is never shown as a message, before the whole or behind it."""
        await begun(rig)
        whole = row(rig, "piece by piece", "r901")
        piece = Outgoing(None, whole.id, whole.place, None, "piece", whole.at, final=False)
        engine.connector.publish(piece)
        await asyncio.sleep(0.05)
        assert rig.shown()[2:] == []
        await bring(engine, whole)
        await seen(rig, whole.text)
        engine.connector.publish(piece)
        await bring(engine, row(rig, "end", "r902"))
        await seen(rig, "end")
        assert rig.shown()[2:] == ["piece by piece", "end"]

    @case()
    async def test_a_closed_connector_shows_nothing(self, rig: Rig, engine: Engine) -> None:
        """A send says so, a row that is published stays in the outbox; nothing is raised but NetworkError."""
        await begun(rig)
        await engine.connector.close()
        try:
            await bring(engine, row(rig, "late"))
        except NetworkError:
            pass
        else:
            assert engine.connector.is_pulled, "the send of a closed connector did not fail"
        await asyncio.sleep(0.05)
        assert "late" not in rig.shown()
