"""The law of connectors, what is more than text: edits, buttons, files, groups. Each holds where the network has it."""

from __future__ import annotations

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Attachment, ButtonRow, Extras, FileOut, Kind, Markup, Outgoing, RoomKind
from processsupervisor.testing.lawbot import CHOICES, QUESTION, REPORT, REPORT_CONTENT
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Ability, Rig
from processsupervisor.testing.lawrows import begun, bring, refused, row, seen

BUTTONS = Extras(buttons=((ButtonRow("Yes", "vote:yes"), ButtonRow("No", "vote:no")),))


class RichLaw(LawBase):
    """What holds for edits, buttons, files, markup, signs of work and groups."""

    @case(Ability.EDITS)
    async def test_a_message_can_take_the_place_of_an_earlier_one(self, rig: Rig, engine: Engine) -> None:
        """By the network's own id; the message stands there once, with the new text."""
        await begun(rig)
        network_id = await bring(engine, row(rig, "old", "r901"))
        await seen(rig, "old")
        await bring(engine, row(rig, "new", "r902", extras=Extras(edits=f"net:{network_id}")))
        await until(lambda: "new" in rig.standing(), "the new text")
        assert rig.standing().count("new") == 1 and "old" not in rig.standing()

    @case(Ability.SENDS, Ability.EDITS)
    async def test_an_edit_of_a_deleted_message_is_permanent(self, rig: Rig, engine: Engine) -> None:
        """There is nothing to wait for."""
        await begun(rig)
        receipt = await engine.connector.send(row(rig, "old", "r901"))
        rig.forget_message(receipt.network_id)
        err = await refused(engine.connector, row(rig, "new", "r902", extras=Extras(edits=f"net:{receipt.network_id}")))
        assert err.kind is ErrorKind.PERMANENT

    @case(Ability.CORRECTS)
    async def test_a_persons_edit_says_of_which_message(self, rig: Rig, engine: Engine) -> None:
        """It has an id of its own, or the storage would take it for a repeat."""
        given = await rig.say("teh")
        await seen(rig, "echo teh")
        await rig.edit("the")
        await until(lambda: len(engine.witness.accepted) == 2, "the edit")
        first, edit = engine.witness.accepted
        assert (edit.kind, edit.text) == (Kind.EDIT, "the") and edit.id != first.id
        assert edit.envelope.about and (given.endswith(edit.envelope.about) or edit.envelope.about.endswith(given))

    @case(Ability.BUTTONS)
    async def test_a_row_with_buttons_shows_text_and_labels(self, rig: Rig, engine: Engine) -> None:
        """In their order."""
        await begun(rig)
        await bring(engine, row(rig, "Vote", extras=BUTTONS))
        await until(lambda: "Vote" in "\n".join(rig.shown()) and rig.buttons() == ["Yes", "No"], "text and labels")

    @case(Ability.BUTTONS)
    async def test_a_pressed_button_reaches_its_handler(self, rig: Rig, engine: Engine) -> None:
        """With the data of that button; the answer takes the place of the message, or stands below it where nothing can be changed."""
        await rig.say("buttons please")
        await until(lambda: "Choose now" in "\n".join(rig.shown()), "the message")
        assert rig.buttons()[:2] == ["Yes", "No"]
        await engine.quiet()
        await rig.press("No")
        there = rig.standing if Ability.EDITS in self.abilities else rig.shown
        await until(lambda: "you voted no" in there(), "what the handler says")
        await engine.quiet()
        assert there().count("you voted no") == 1
        assert ("Choose now" in "\n".join(there())) == (Ability.EDITS not in self.abilities)

    @case(Ability.SENDS, Ability.BUTTONS)
    async def test_buttons_are_shown_and_bring_their_data(self, rig: Rig, engine: Engine) -> None:
        """With the network's id of the message they belong to, and what is needed to answer the press."""
        await begun(rig)
        receipt = await engine.connector.send(row(rig, "Vote", extras=BUTTONS))
        assert rig.buttons() == ["Yes", "No"]
        await rig.press("No")
        await until(lambda: engine.witness.accepted[-1].kind is Kind.BUTTON, "the press")
        pressed = engine.witness.accepted[-1]
        assert pressed.text == "vote:no" and pressed.envelope.token and pressed.envelope.about == receipt.network_id

    @case(Ability.SENDS, Ability.BUTTONS)
    async def test_a_press_is_answered_without_a_message(self, rig: Rig, engine: Engine) -> None:
        """An acknowledgement alone shows nothing."""
        await begun(rig)
        await engine.connector.send(row(rig, "Vote", "r901", extras=BUTTONS))
        await rig.press("Yes")
        await until(lambda: engine.witness.accepted[-1].kind is Kind.BUTTON, "the press")
        await engine.quiet()
        before = rig.shown()
        await engine.connector.send(row(rig, "", "r902", extras=Extras(acknowledges=engine.witness.accepted[-1].envelope.token)))
        assert rig.shown() == before

    @case(Ability.BUTTONS)
    async def test_a_choice_can_be_pressed(self, rig: Rig, engine: Engine) -> None:
        """The choices of a question are its buttons, and a pressed one is the answer."""
        await rig.say("question please")
        await until(lambda: QUESTION in "\n".join(rig.shown()), "the question")
        assert rig.buttons() == list(CHOICES)
        await engine.quiet()
        await rig.press(CHOICES[1])
        await seen(rig, f"you chose {CHOICES[1]}")

    @case(Ability.FILES)
    async def test_a_file_of_a_reply_arrives(self, rig: Rig, engine: Engine) -> None:
        """With the content that the bot gave it, and the text that came with it."""
        await rig.say("file please")
        await until(lambda: rig.files() == {REPORT: REPORT_CONTENT} and "Take this" in "\n".join(rig.shown()), "the file")

    @case(Ability.SENDS, Ability.FILES)
    async def test_a_file_that_is_not_there_any_more_is_permanent(self, rig: Rig, engine: Engine) -> None:
        """Nothing brings it back; the text is not sent alone."""
        await begun(rig)
        lost = Extras(files=(FileOut("files/lost", "report.txt", "text/plain"),))
        err = await refused(engine.connector, row(rig, "here", extras=lost))
        assert (err.kind, err.is_uncertain) == (ErrorKind.PERMANENT, False) and "here" not in rig.shown()

    @case(Ability.MARKUP)
    async def test_broken_markup_loses_no_word(self, rig: Rig, engine: Engine) -> None:
        """A text that the network cannot read as markup is shown as it can be."""
        await begun(rig)
        await bring(engine, row(rig, "one <b>two <i>three", extras=Extras(markup=Markup.HTML)))
        await until(lambda: all(word in rig.shown()[-1] for word in ("one", "two", "three")), "three words")

    @case(Ability.TYPING)
    async def test_typing_is_shown(self, rig: Rig, engine: Engine) -> None:
        """And becomes no message."""
        await begun(rig)
        before, shown = rig.typed(), list(rig.shown())
        await engine.connector.typing(rig.place)
        await until(lambda: rig.typed() > before, "the sign")
        assert rig.shown() == shown

    @case(Ability.DRAFTS)
    async def test_a_growing_reply_is_shown(self, rig: Rig, engine: Engine) -> None:
        """A piece that the engine publishes is seen before the whole is."""
        await begun(rig)
        engine.connector.publish(Outgoing(None, "r901", rig.place, None, "half of", 0.0, final=False))
        await until(lambda: any("half of" in piece for piece in rig.pieces()), "the piece")

    @case(Ability.PULLS, Ability.FILES)
    async def test_a_file_that_is_not_there_any_more_costs_no_text(self, rig: Rig, engine: Engine) -> None:
        """The reader is shown the text and the name; that the content is gone is seen when it is fetched."""
        await begun(rig)
        engine.connector.publish(row(rig, "here", "r901", extras=Extras(files=(FileOut("files/lost", "report.txt", "text/plain"),))))
        await until(lambda: "here" in "\n".join(rig.shown()), "the text")
        engine.connector.publish(row(rig, "end", "r902"))
        await seen(rig, "end")

    @case(Ability.DRAFTS)
    async def test_a_whole_that_begins_otherwise_is_shown_whole(self, rig: Rig, engine: Engine) -> None:
        """A handler that is tried again may say something else than its pieces did."""
        await begun(rig)
        whole = row(rig, "the right answer", "r901")
        engine.connector.publish(Outgoing(None, whole.id, whole.place, None, "a wrong beginning", whole.at, final=False))
        await until(lambda: any("a wrong beginning" in piece for piece in rig.pieces()), "the piece")
        await bring(engine, whole)
        await seen(rig, whole.text)

    @case(Ability.ATTACHES)
    async def test_a_file_that_comes_in_can_be_fetched(self, rig: Rig, engine: Engine) -> None:
        """Its name, size and content, and the text under it."""
        content = bytes(range(256)) * 800
        await rig.send_file("notes.bin", content, "look")
        await until(lambda: engine.witness.accepted, "the message")
        message = engine.witness.accepted[0]
        (attachment,) = message.envelope.attachments
        assert (message.text, attachment.name, attachment.size_bytes) == ("look", "notes.bin", len(content))
        assert b"".join([piece async for piece in engine.connector.fetch(attachment)]) == content

    @case(Ability.ATTACHES)
    async def test_a_file_that_is_gone_is_an_error_of_the_network(self, rig: Rig, engine: Engine) -> None:
        """Not one of Python's."""
        try:
            async for _ in engine.connector.fetch(Attachment("document", "x", "text/plain", 1, "no-such-file")):
                raise AssertionError("something came")
        except NetworkError as err:
            assert err.kind in (ErrorKind.PERMANENT, ErrorKind.GONE)
        else:
            raise AssertionError("the fetch did not fail")

    @case(Ability.FILES)
    async def test_a_file_goes_out_as_it_is(self, rig: Rig, engine: Engine) -> None:
        """From the bot's data folder, under the name it is to have."""
        await begun(rig)
        (engine.folder / "files").mkdir(parents=True, exist_ok=True)
        (engine.folder / "files" / "f1").write_bytes(b"a report")
        await bring(engine, row(rig, "here", extras=Extras(files=(FileOut("files/f1", "report.txt", "text/plain"),))))
        await until(lambda: rig.files() == {"report.txt": b"a report"}, "the file")

    @case(Ability.GROUPS)
    async def test_a_group_says_what_is_meant_for_the_bot(self, rig: Rig, engine: Engine) -> None:
        """A mention is, talk among people is not; both are handed over as of a group."""
        await rig.join()
        await rig.say_in_group("hello everybody")
        await rig.say_in_group("@BOT hello you")
        await until(lambda: engine.witness.accepted and "hello you" in engine.witness.accepted[-1].text, "both")
        talk, mention = [incoming for incoming in engine.witness.accepted if incoming.kind is Kind.MESSAGE]
        assert (talk.envelope.room, talk.envelope.is_addressed) == (RoomKind.GROUP, False)
        assert (mention.envelope.room, mention.envelope.is_addressed) == (RoomKind.GROUP, True)
        assert talk.place == mention.place != rig.place and talk.envelope.title

    @case(Ability.GROUPS)
    async def test_joining_and_leaving_are_told(self, rig: Rig, engine: Engine) -> None:
        """So that the statement is said once, and nothing is sent to where the bot is not."""
        await rig.join()
        await until(lambda: [i.kind for i in engine.witness.accepted] == [Kind.JOINED], "the joining")
        await rig.leave()
        await until(lambda: [i.kind for i in engine.witness.accepted] == [Kind.JOINED, Kind.LEFT], "the leaving")
