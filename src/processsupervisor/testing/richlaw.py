"""The law of connectors, what is more than text: edits, buttons, files, groups. Each holds where the network has it."""

from __future__ import annotations

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Attachment, ButtonRow, Extras, FileOut, Kind, RoomKind
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawrig import Ability, Engine, Rig, until
from processsupervisor.testing.receivinglaw import seen
from processsupervisor.testing.sendinglaw import begun, refused, row

BUTTONS = Extras(buttons=((ButtonRow("Yes", "vote:yes"), ButtonRow("No", "vote:no")),))


class RichLaw(LawBase):
    """What holds for edits, buttons, files and groups."""

    @case(Ability.EDITS)
    async def test_a_message_can_take_the_place_of_an_earlier_one(self, rig: Rig, engine: Engine) -> None:
        """By the network's own id; the message stands there once, with the new text."""
        await begun(rig)
        receipt = await engine.connector.send(row(rig, "old", "r901"))
        await engine.connector.send(row(rig, "new", "r902", extras=Extras(edits=f"net:{receipt.network_id}")))
        assert rig.standing().count("new") == 1 and "old" not in rig.standing()

    @case(Ability.EDITS)
    async def test_an_edit_of_a_deleted_message_is_permanent(self, rig: Rig, engine: Engine) -> None:
        """There is nothing to wait for."""
        await begun(rig)
        receipt = await engine.connector.send(row(rig, "old", "r901"))
        rig.forget_message(receipt.network_id)
        err = await refused(engine.connector, row(rig, "new", "r902", extras=Extras(edits=f"net:{receipt.network_id}")))
        assert err.kind is ErrorKind.PERMANENT

    @case(Ability.EDITS)
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
    async def test_buttons_are_shown_and_bring_their_data(self, rig: Rig, engine: Engine) -> None:
        """With the network's id of the message they belong to, and what is needed to answer the press."""
        await begun(rig)
        receipt = await engine.connector.send(row(rig, "Vote", extras=BUTTONS))
        assert rig.buttons() == ["Yes", "No"]
        await rig.press("No")
        await until(lambda: engine.witness.accepted[-1].kind is Kind.BUTTON, "the press")
        pressed = engine.witness.accepted[-1]
        assert pressed.text == "vote:no" and pressed.envelope.token and pressed.envelope.about == receipt.network_id

    @case(Ability.BUTTONS)
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

    @case(Ability.FILES)
    async def test_a_file_that_comes_in_can_be_fetched(self, rig: Rig, engine: Engine) -> None:
        """Its name, size and content, and the text under it."""
        content = bytes(range(256)) * 800
        await rig.send_file("notes.bin", content, "look")
        await until(lambda: engine.witness.accepted, "the message")
        message = engine.witness.accepted[0]
        (attachment,) = message.envelope.attachments
        assert (message.text, attachment.name, attachment.size_bytes) == ("look", "notes.bin", len(content))
        assert b"".join([piece async for piece in engine.connector.fetch(attachment)]) == content

    @case(Ability.FILES)
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
        await engine.connector.send(row(rig, "here", extras=Extras(files=(FileOut("files/f1", "report.txt", "text/plain"),))))
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
