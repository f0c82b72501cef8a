"""What comes from Telegram: each message once, committed before it is confirmed, whatever the network does."""

from __future__ import annotations

import asyncio

import pytest
from tests.connectors.telegramrig import TOKEN, Port, connected, until

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram import make
from processsupervisor.connectors.telegram.convert import Me
from processsupervisor.connectors.telegram.polling import Polling
from processsupervisor.kernel.errors import Refused, StorageError
from processsupervisor.storage.records import Kind, RoomKind
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import Person
from processsupervisor.testing.botapi.server import BotApi

EVE = Person(8, "Eve", "eve", "de")


@pytest.fixture
def port() -> Port:
    return Port()


async def test_a_message_comes_with_what_telegram_says_of_it(api: BotApi, port: Port, tmp_path) -> None:
    """Ids, sender and time are the network's own; the cursor goes in with it and the network is proved."""
    number = api.bot(TOKEN).says("hallo", EVE)
    async with connected(api, port, tmp_path):
        await until(lambda: port.accepted)
    (message,) = port.accepted
    assert (message.id, message.text, message.sender, message.place) == (f"m{number}", "hallo", "8", ("telegram", "8"))
    assert (message.envelope.sender_name, message.envelope.locale, message.envelope.room) == ("Eve", "de", RoomKind.PRIVATE)
    assert message.envelope.sent_at is not None and message.cursor == port.cursor_at is not None
    assert port.proofs > 0 and port.ended is None


async def test_nothing_is_confirmed_before_it_is_committed(api: BotApi, port: Port, tmp_path) -> None:
    """While the bot takes nothing, messages wait at Telegram: another life of the bot is given all of them again."""
    ada = api.bot(TOKEN)
    for number in range(5):
        ada.says(f"m{number}")
    port.refuses = Refused("the bot is paused", code="paused")
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.tried) >= 3)
    assert port.accepted == []
    later = Port()
    async with connected(api, later, tmp_path):
        await until(lambda: len(later.accepted) == 5)
    assert later.texts == [f"m{number}" for number in range(5)]


async def test_what_fails_in_the_middle_of_a_batch_is_tried_until_it_is_stored(api: BotApi, port: Port, tmp_path) -> None:
    """The cursor never stands behind a message that is not on disk, and none is left out."""
    ada = api.bot(TOKEN)
    for number in range(4):
        ada.says(f"m{number}")
    port.fails = [StorageError("the disk is full"), StorageError("the disk is full")]
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.accepted) == 4)
    assert sorted(port.texts) == [f"m{number}" for number in range(4)]
    assert [message.cursor is not None for message in port.accepted] == [False, False, False, True]


async def test_a_pause_holds_messages_back_and_keeps_their_order(api: BotApi, port: Port, tmp_path) -> None:
    """After it they come in the order in which they were written."""
    ada = api.bot(TOKEN)
    port.refuses = Refused("the bot is paused", code="paused")
    async with connected(api, port, tmp_path):
        for number in range(5):
            ada.says(f"m{number}")
        await until(lambda: len(port.tried) >= 3)
        port.refuses = None
        await until(lambda: len(port.accepted) == 5)
    assert port.texts == [f"m{number}" for number in range(5)]


async def test_a_message_that_can_never_be_taken_does_not_hold_up_the_next(api: BotApi, port: Port, tmp_path, caplog) -> None:
    """It is left out with a word in the log, which has none of its text."""
    ada = api.bot(TOKEN)
    port.fails = [Refused("a message has at most 64 KiB", code="too-long")]
    port.fails += [Refused("a message has at most 64 KiB", code="too-long")]
    ada.says("private words")
    ada.says("next")
    async with connected(api, port, tmp_path):
        await until(lambda: port.texts == ["next"])
    assert "64 KiB" in caplog.text and "private" not in caplog.text


async def test_a_restart_goes_on_at_the_durable_offset(api: BotApi, port: Port, tmp_path) -> None:
    """What was committed and not yet confirmed is not even delivered again."""
    ada = api.bot(TOKEN)
    ada.says("one")
    async with connected(api, port, tmp_path):
        await until(lambda: port.accepted)
    async with connected(api, port, tmp_path):
        ada.says("two")
        await until(lambda: len(port.accepted) == 2)
    assert (port.texts, port.repeats) == (["one", "two"], 0)


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.CUT_BEFORE, FaultKind.CUT_AFTER, FaultKind.GARBAGE, FaultKind.RATE])
async def test_polls_that_fail_lose_nothing(api: BotApi, port: Port, tmp_path, kind: FaultKind) -> None:
    """Whatever a poll ends with, the next one brings what was there, and the bot goes on."""
    ada = api.bot(TOKEN)
    ada.says("one")
    api.faults.add(Fault(kind, "getUpdates", times=1))
    async with connected(api, port, tmp_path):
        await until(lambda: port.texts == ["one"])
        ada.says("two")
        await until(lambda: port.texts == ["one", "two"])
    assert port.ended is None


async def test_numbers_that_jump_back_and_updates_that_come_twice(api: BotApi, port: Port, tmp_path) -> None:
    """The offset follows Telegram downwards; a repeat is known by the number of its message."""
    ada = api.bot(TOKEN)
    ada.says("one")
    async with connected(api, port, tmp_path):
        await until(lambda: port.texts == ["one"])
        ada.repeats()
        await until(lambda: port.repeats == 1)
        api.known(TOKEN).updates.jump(10)
        ada.says("two")
        await until(lambda: port.texts == ["one", "two"])
        ada.says("three")
        await until(lambda: port.texts == ["one", "two", "three"])
    assert port.cursor_at == 12


async def test_a_token_that_is_refused_ends_the_bot(api: BotApi, port: Port, tmp_path) -> None:
    """At the start by identify, later by the port, each time with AUTH and without the token in the words."""
    connector = make({"token": TOKEN, "base_url": api.url}, "anna", tmp_path)
    api.revoke(TOKEN)
    with pytest.raises(NetworkError, match="the token is refused") as caught:
        await connector.identify()
    await connector.close()
    assert caught.value.kind == ErrorKind.AUTH
    assert TOKEN.partition(":")[2] not in f"{caught.value}{caught.value.__cause__}"


async def test_a_token_that_is_revoked_later_ends_the_bot(api: BotApi, port: Port, tmp_path) -> None:
    """The next poll tells; nothing is tried again."""
    async with connected(api, port, tmp_path):
        await asyncio.to_thread(api.wait_for_poll, TOKEN)
        api.revoke(TOKEN)
        api.bot(TOKEN).says("wake up")
        await until(lambda: port.ended is not None)
        calls = api.known(TOKEN).called["getUpdates"]
        await asyncio.sleep(0.1)
        assert api.known(TOKEN).called["getUpdates"] == calls
    assert port.ended is not None and port.ended.kind == ErrorKind.AUTH


async def test_two_that_receive_with_one_token_end_in_a_clear_state(api: BotApi, port: Port, tmp_path) -> None:
    """A single 409 may be an accident; the second ends the bot with CONFLICT, and what it says names no token."""
    other = Port()
    async with connected(api, port, tmp_path), connected(api, other, tmp_path):
        await until(lambda: port.ended is not None or other.ended is not None)
    loser = port.ended or other.ended
    assert loser is not None and loser.kind == ErrorKind.CONFLICT and "getUpdates" in loser.message
    assert port.ended is None or other.ended is None


@pytest.mark.parametrize(("expect", "fits"), [("123456", True), ("@n123456_bot", True), ("@N123456_BOT", True), ("@other", False), ("99", False)])
async def test_the_token_of_another_bot(api: BotApi, port: Port, tmp_path, expect: str, fits: bool) -> None:
    """`expect` is compared before anything is received."""
    connector = make({"token": TOKEN, "base_url": api.url, "expect": expect}, "anna", tmp_path)
    try:
        if fits:
            assert (await connector.identify()).name == "n123456_bot"
        else:
            with pytest.raises(NetworkError, match="is of @n123456_bot") as caught:
                await connector.identify()
            assert caught.value.kind == ErrorKind.AUTH
    finally:
        await connector.close()
    assert api.known(TOKEN).called["getUpdates"] == 0


async def test_edits_buttons_files_and_what_cannot_be_read(api: BotApi, port: Port, tmp_path) -> None:
    """Each is what it is, with the number of the message that it is about."""
    ada = api.bot(TOKEN)
    async with connected(api, port, tmp_path) as connector:
        number = ada.says("helo")
        ada.edits(number, "hello")
        ada.sends("document", b"content", name="../plan.txt", mime="text/plain", caption="the plan")
        ada.sends("photo", b"pixels")
        ada.sends("voice", b"sound")
        ada.sends("sticker", b"sticker")
        await until(lambda: len(port.accepted) == 6)
        _, edit, document, photo, voice, sticker = port.accepted
        pieces = [piece async for piece in connector.fetch(document.envelope.attachments[0])]
    assert (edit.kind, edit.text, edit.envelope.about, edit.id.partition(".")[0]) == (Kind.EDIT, "hello", str(number), f"e{number}")
    (attachment,) = document.envelope.attachments
    assert (document.kind, document.text, attachment.kind, attachment.mime) == (Kind.MESSAGE, "the plan", "document", "text/plain")
    assert "/" not in attachment.name and attachment.name.endswith("plan.txt") and b"".join(pieces) == b"content"
    assert (photo.text, photo.envelope.attachments[0].kind) == ("", "photo")
    assert [(incoming.kind, incoming.text) for incoming in (voice, sticker)] == [
        (Kind.UNREADABLE, "a voice message"), (Kind.UNREADABLE, "a sticker")]


async def test_a_group_that_is_joined_left_and_moved(api: BotApi, port: Port, tmp_path) -> None:
    """Membership is told; a group that becomes a supergroup is told as a move, and what comes from there is of the new room."""
    ada = api.bot(TOKEN)
    async with connected(api, port, tmp_path):
        group = ada.group("Team")
        ada.says("hello", chat=group)
        await until(lambda: len(port.accepted) == 2)
        bigger = ada.upgrades(group)
        ada.says("still here", chat=bigger)
        await until(lambda: len(port.accepted) == 3)
        ada.removes_bot(bigger)
        await until(lambda: len(port.accepted) == 4)
    joined, _, moved, left = port.accepted
    assert (joined.kind, joined.place.conversation, joined.envelope.title, joined.envelope.room) == (
        Kind.JOINED, str(group.id), "Team", RoomKind.GROUP)
    assert set(port.moves) == {(str(group.id), str(bigger.id))}
    assert (moved.place.conversation, left.kind) == (str(bigger.id), Kind.LEFT)


async def test_who_is_spoken_to_in_a_group(api: BotApi, port: Port, tmp_path) -> None:
    """A mention, a command without or with the bot's name, an answer to the bot; nothing else, and no other bot's command."""
    ada = api.bot(TOKEN)
    words = ["just talking", "hey @n123456_bot you", "/help", "/help@n123456_bot now", "/help@other_bot", "mail a@n123456_bot.org"]
    async with connected(api, port, tmp_path):
        group = ada.group("Team")
        for text in words:
            ada.says(text, chat=group)
        await until(lambda: len(port.accepted) == 7)
    said = port.accepted[1:]
    assert [incoming.envelope.is_addressed for incoming in said] == [False, True, True, True, False, False]
    assert said[3].text == "/help now"


async def test_topics_are_conversations_of_their_own(api: BotApi, port: Port, tmp_path) -> None:
    """The id of a topic stands behind that of its forum; the note that opens it is no message and answers nobody."""
    ada = api.bot(TOKEN)
    async with connected(api, port, tmp_path):
        forum = ada.group("Forum", forum=True)
        topic = ada.topic(forum, "Plans")
        ada.says("in general", chat=forum)
        ada.says("in the topic", chat=forum, topic=topic)
        await until(lambda: len(port.accepted) == 3)
    assert [incoming.place.conversation for incoming in port.accepted[1:]] == [str(forum.id), f"{forum.id}/{topic}"]


async def test_a_person_who_blocks_the_bot(api: BotApi, port: Port, tmp_path) -> None:
    """Is told as having left; one who comes back writes, which says the same."""
    ada = api.bot(TOKEN)
    async with connected(api, port, tmp_path):
        ada.says("hello")
        await until(lambda: port.accepted)
        ada.blocks()
        ada.unblocks()
        ada.says("again")
        await until(lambda: len(port.accepted) == 3)
    assert [incoming.kind for incoming in port.accepted] == [Kind.MESSAGE, Kind.LEFT, Kind.MESSAGE]


async def test_an_update_that_no_type_knows_is_answered_and_holds_up_nobody(api: BotApi, port: Port, tmp_path) -> None:
    """What aiogram cannot read is still a message of its chat; what has none is left out."""
    ada = api.bot(TOKEN)
    account = api.known(TOKEN)
    with api.heard:
        account.add_update("message", {"message_id": 900, "chat": {"id": 7, "type": "private"}, "date": "soon", "hologram": {}})
        account.add_update("message", {"hologram": {}})
    ada.says("next")
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.accepted) == 2)
    strange, following = port.accepted
    assert (strange.id, strange.kind, strange.place.conversation) == ("m900", Kind.UNREADABLE, "7")
    assert following.text == "next"


async def test_the_token_of_a_new_bot_takes_nothing_for_the_former_ones(api: BotApi, port: Port, tmp_path) -> None:
    """Neither is its first message a repeat, nor is anything confirmed unread by the former one's offset; back again it goes on."""
    other = "654321:AAofanotherbot"
    for number in range(3):
        api.bot(TOKEN).says(f"old {number}")
    async with connected(api, port, tmp_path):
        await until(lambda: len(port.accepted) == 3)
    port.cursor_at = 10**9  # the former one's, far ahead or in the midst of the new one's
    api.known(other).updates.jump(10**9 - 1)
    for number in range(3):
        api.bot(other).says(f"new {number}")
    for _ in range(2):
        async with connected(api, port, tmp_path, token=other):
            await until(lambda: len(port.accepted) == 6)
    assert port.texts[3:] == ["new 0", "new 1", "new 2"] and port.accepted[3].id == f"654321.{port.accepted[0].id}"
    async with connected(api, port, tmp_path):
        api.bot(TOKEN).says("old 3")
        await until(lambda: len(port.accepted) == 7)
    assert port.accepted[6].id.startswith("m")


@pytest.mark.parametrize("answer", [[], {}, [{"message": {}}], [{"update_id": 5}]], ids=str)
async def test_a_server_that_does_not_hold_polls_is_not_asked_in_a_circle(port: Port, answer: object) -> None:
    """Nothing at once, no list, no update, or the same one for ever: each is followed by a pause."""

    class Server:
        asked = 0
        server = "https://api.example.org"

        async def call(self, method: object, timeout_s: int = 0, *, asks_who: bool = False) -> object:
            self.asked += 1
            return answer

    server = Server()
    polling = asyncio.create_task(Polling(server, port, Me(1, "x"), [], lambda _: False).run())
    await asyncio.wait((polling,), timeout=0.3)
    polling.cancel()
    assert 1 <= server.asked <= 3
