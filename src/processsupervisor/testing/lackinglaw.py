"""The law of connectors, what a network lacks: said in words or refused by name, never lost in silence (rule 7 of connectors/base.py).

A bot's author writes one bot for all networks, so each case here has its counterpart, for networks that have it, in richlaw.py.
"""

from __future__ import annotations

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Attachment, ButtonRow, Extras, FileOut, Kind, Markup, Outgoing, RoomKind, SendState
from processsupervisor.testing.lawbot import CHOICES, LINK, QUESTION, REPORT
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Mishap, Rig
from processsupervisor.testing.lawrows import OTHER, begun, bring, row, said_or_refused, seen

BUTTONS = ((ButtonRow("Yes", "vote:yes"), ButtonRow("No", "vote:no")), (ButtonRow("Read", url=LINK),))
FILES = (FileOut("files/f1", "first.txt", "text/plain"), FileOut("files/f2", "second.png", "image/png", "photo"))


class LackingLaw(LawBase):
    """What holds for what a network has not."""

    @case(lacks=Ability.BUTTONS)
    async def test_buttons_are_written_out(self, rig: Rig, engine: Engine) -> None:
        """Of a reply: its text, every label, and where a button leads."""
        await rig.say("buttons please")
        for word in ("Choose now", "Yes", "No", "Read", LINK):
            await until(lambda word=word: word in "\n".join(rig.shown()), f"to read {word!r}")  # type: ignore[misc]  # a loop's variable

    @case(lacks=Ability.BUTTONS)
    async def test_choices_are_written_out(self, rig: Rig, engine: Engine) -> None:
        """Who is asked must be able to read what to answer."""
        await rig.say("question please")
        for word in (QUESTION, *CHOICES):
            await until(lambda word=word: word in "\n".join(rig.shown()), f"to read {word!r}")  # type: ignore[misc]  # a loop's variable

    @case(lacks=Ability.BUTTONS)
    async def test_a_row_with_buttons_loses_nothing(self, rig: Rig, engine: Engine) -> None:
        """Of a life when the network had some."""
        await begun(rig)
        out = row(rig, "Choose now", extras=Extras(buttons=BUTTONS))
        await said_or_refused(rig, engine, out, "buttons", "Choose now", "Yes", "No", LINK)

    @case(lacks=Ability.BUTTONS)
    async def test_an_acknowledgement_of_a_press_shows_nothing(self, rig: Rig, engine: Engine) -> None:
        """Nothing to be shown is not shown, and no other error comes of it than a refusal."""
        await begun(rig)
        await said_or_refused(rig, engine, row(rig, "", "r901", extras=Extras(acknowledges="token")), "")
        await bring(engine, row(rig, "end", "r902"))
        await seen(rig, "end")
        assert [text for text in rig.shown()[2:] if text.strip()] == ["end"]

    @case(lacks=Ability.FILES)
    async def test_files_are_named(self, rig: Rig, engine: Engine) -> None:
        """Of a reply: the text that came with it, and its name."""
        await rig.say("file please")
        for word in ("Take this", REPORT):
            await until(lambda word=word: word in "\n".join(rig.shown()), f"to read {word!r}")  # type: ignore[misc]  # a loop's variable

    @case(lacks=Ability.FILES)
    async def test_a_row_with_files_loses_nothing(self, rig: Rig, engine: Engine) -> None:
        """Of a life when the network took some, whether they are still there or not."""
        await begun(rig)
        both, alone = row(rig, "Take these", "r901", extras=Extras(files=FILES)), row(rig, "", "r902", extras=Extras(files=FILES))
        await said_or_refused(rig, engine, both, "files", "Take these", "first.txt", "second.png")
        await said_or_refused(rig, engine, alone, "files", "first.txt", "second.png")

    @case(lacks=Ability.ATTACHES)
    async def test_no_file_is_fetched(self, rig: Rig, engine: Engine) -> None:
        """`fetch` says so: an error of the network for good, not one of Python's."""
        try:
            async for _ in engine.connector.fetch(Attachment("document", "x", "text/plain", 1, "ref")):
                raise AssertionError("something came")
        except NetworkError as err:
            assert err.kind is ErrorKind.PERMANENT and "files" in str(err)
        else:
            raise AssertionError("the fetch did not fail")

    @case(lacks=Ability.CORRECTS)
    async def test_what_was_said_stays_said(self, rig: Rig, engine: Engine) -> None:
        """Nothing comes in as an edit: each message is one of its own, also when it begins like the one before."""
        for text in ("teh", "*the", "the"):
            await rig.say(text)
        await seen(rig, "echo the")
        assert {incoming.kind for incoming in engine.witness.accepted} == {Kind.MESSAGE}
        assert all(incoming.envelope.about is None for incoming in engine.witness.accepted)

    @case(lacks=Ability.EDITS)
    async def test_an_edit_is_a_new_message(self, rig: Rig, engine: Engine) -> None:
        """The new text is shown, behind the old one, which stays."""
        await begun(rig)
        await bring(engine, row(rig, "old", "r901"))
        await seen(rig, "old")
        for number, edits in enumerate(("r901", "net:r901", "net:404")):
            out = row(rig, f"new {number}", f"r91{number}", extras=Extras(edits=edits))
            await said_or_refused(rig, engine, out, "edits", f"new {number}")
        assert rig.shown()[2] == "old"

    @case(lacks=Ability.MARKUP)
    async def test_markup_is_left_out(self, rig: Rig, engine: Engine) -> None:
        """Of a reply: the words without the tags."""
        await rig.say("markup please")
        await seen(rig, "bold and plain")

    @case(lacks=Ability.MARKUP)
    async def test_a_row_with_markup_keeps_its_words(self, rig: Rig, engine: Engine) -> None:
        """Tags are left out, entities are what they stand for, and what only looks like a tag stays."""
        await begun(rig)
        await bring(engine, row(rig, "1 < 2 &amp; <b>bold", extras=Extras(markup=Markup.HTML)))
        await seen(rig, "1 < 2 & bold")

    @case(lacks=Ability.TYPING)
    async def test_typing_shows_nothing(self, rig: Rig, engine: Engine) -> None:
        """It must not become a message."""
        await begun(rig)
        for _ in range(3):
            await engine.connector.typing(rig.place)
        await rig.say("end")
        await seen(rig, "echo end")
        assert rig.shown()[2:] == ["echo end"]

    @case(lacks=Ability.DRAFTS)
    async def test_no_reply_is_shown_before_it_is_whole(self, rig: Rig, engine: Engine) -> None:
        """The engine publishes no piece, and one that comes all the same shows nothing."""
        await begun(rig)
        engine.connector.publish(Outgoing(None, "r901", rig.place, None, "a piece", 0.0, final=False))
        await rig.say("stream me")
        await seen(rig, "echo stream me")
        assert rig.shown()[2:] == ["echo stream me"] and all(out.final for out in engine.watched.published)

    @case(lacks=Ability.GROUPS)
    async def test_without_groups_every_word_is_for_the_bot(self, rig: Rig, engine: Engine) -> None:
        """Names of others and commands for others too: there is nobody else. Nothing but messages comes in."""
        for text in ("@somebody hello", "/nothing@somebody", "hello"):
            await rig.say(text)
        await until(lambda: len(engine.witness.accepted) == 3, "three messages")
        for incoming in engine.witness.accepted:
            assert (incoming.kind, incoming.envelope.room, incoming.envelope.is_addressed) == (Kind.MESSAGE, RoomKind.PRIVATE, True)
        await seen(rig, "echo @somebody hello")

    @case(lacks=Ability.ROOMS)
    async def test_without_rooms_all_is_one_conversation(self, rig: Rig, engine: Engine) -> None:
        """However many lines are said."""
        for number in range(3):
            await rig.say(f"line {number}", to=OTHER if number else "")
        await until(lambda: len(engine.witness.accepted) == 3, "three messages")
        assert {incoming.place for incoming in engine.witness.accepted} == {rig.place}

    @case(lacks=Ability.CURSOR)
    async def test_no_cursor_is_made_up(self, rig: Rig, engine: Engine) -> None:
        """A number that means nothing would be taken for how far the network was read."""
        await begun(rig)
        assert [incoming.cursor for incoming in engine.witness.accepted] == [None]
        assert await engine.service.pump.cursor(engine.connector.network) is None

    @case(Ability.SENDS, lacks=Ability.KEYS)
    async def test_a_reply_that_may_have_arrived_is_marked(self, rig: Rig, engine: Engine) -> None:
        """Without keys the next try may show it again, so it is marked before, and is shown at most so often as it was tried."""
        await begun(rig)
        rig.befall(Mishap.CUT_AFTER)
        await rig.say("perhaps")
        await until(lambda: engine.count("uncertain = 1") or engine.count(f"state = {SendState.UNCERTAIN:d}"), "the mark")
        await until(lambda: engine.count(f"state = {SendState.SENT:d}") == 3, "the end of all sends")
        assert 1 <= rig.shown().count("echo perhaps") <= 2
