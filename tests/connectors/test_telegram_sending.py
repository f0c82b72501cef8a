"""What goes to Telegram: as it was committed, under the limits, and each error with what it asks for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.connectors.telegramrig import TOKEN, Port, connected, out, until

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram import drafts, make
from processsupervisor.connectors.telegram import sending as module
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.storage.records import ButtonRow, Extras, FileOut, Markup, Place
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.server import BotApi

MARKDOWN = Extras(markup=Markup.MARKDOWN)
HTML = Extras(markup=Markup.HTML)


@pytest.fixture
async def bot(api: BotApi, tmp_path):
    """A connector whose bot Ada has written to."""
    api.bot(TOKEN).says("/start")
    port = Port()
    async with connected(api, port, tmp_path) as connector:
        await until(lambda: port.accepted)
        connector.port = port  # for tests that ask what was noted
        yield connector


async def refused(bot: TelegramConnector, *args: object, **kwargs: object) -> NetworkError:
    """Send and return the error that it ends with."""
    with pytest.raises(NetworkError) as caught:
        await bot.send(out(*args, **kwargs))
    return caught.value


async def test_a_text_is_shown_and_its_number_told(api: BotApi, bot) -> None:
    """The receipt has the network's own number, by which it can be edited."""
    receipt = await bot.send(out("hello 🙂"))
    (shown,) = api.bot(TOKEN).shown
    assert (shown.text, str(shown.message_id)) == ("hello 🙂", receipt.network_id)


async def test_markdown_is_shown_as_entities(api: BotApi, bot) -> None:
    """Offsets count UTF-16 units, so an emoji in front moves them by two."""
    await bot.send(out("🙂 **bold** and `code` [site](https://example.org)", MARKDOWN))
    message = api.bot(TOKEN).shown[0].message
    assert message["text"] == "🙂 bold and code site"
    assert [(entity["type"], entity["offset"], entity["length"]) for entity in message["entities"]] == [
        ("bold", 3, 4), ("code", 12, 4), ("text_link", 17, 4)]


async def test_broken_markup_is_sent_once_without(api: BotApi, bot) -> None:
    """A tag that is never closed does not keep a reply from its reader; the text stands there once."""
    await bot.send(out("<b>never closed & 4 < 5", HTML))
    assert api.bot(TOKEN).texts() == ["never closed & 4 < 5"]
    await bot.send(out("**never closed", MARKDOWN, id_="r2"))
    assert api.bot(TOKEN).texts()[1] == "**never closed"


async def test_buttons_are_pressed_and_acknowledged(api: BotApi, bot) -> None:
    """The press comes back with the button's data; its answer stops the clock, and one that is too late does no harm."""
    ada = api.bot(TOKEN)
    rows = ((ButtonRow("Yes", "vote:yes"), ButtonRow("Site", url="https://example.org")),)
    receipt = await bot.send(out("Do you agree?", Extras(buttons=rows)))
    pressed = ada.presses(int(receipt.network_id), "vote:yes")
    await until(lambda: len(bot.port.accepted) == 2)
    press = bot.port.accepted[1]
    assert (press.text, press.envelope.about, press.sender) == ("vote:yes", receipt.network_id, "7")
    for _ in range(2):
        assert (await bot.send(out("", Extras(acknowledges=press.envelope.token)))).network_id == ""
    assert pressed.answer == "" and len(ada.texts()) == 1


@pytest.mark.parametrize("button", [ButtonRow("Long", "x" * 65), ButtonRow("Empty", "")])
async def test_a_button_that_telegram_never_takes(bot, button: ButtonRow) -> None:
    """It is said before the call, and for good."""
    error = await refused(bot, "text", Extras(buttons=((button,),)))
    assert error.kind == ErrorKind.PERMANENT and "1 to 64 bytes" in error.message


async def test_an_edit_by_our_own_id_and_by_the_networks(api: BotApi, bot) -> None:
    """The same edit made twice is one; the receipt keeps the number."""
    receipt = await bot.send(out("first"))
    bot.port.sent_ids["r1"] = receipt.network_id
    edit = out("second", Extras(edits="r1"), id_="r2")
    assert await bot.send(edit) == await bot.send(edit) == receipt
    assert await bot.send(out("third", Extras(edits=f"net:{receipt.network_id}"), id_="r3")) == receipt
    assert [shown.text for shown in api.bot(TOKEN).shown] == ["first", "second", "third"]
    assert api.bot(TOKEN).texts() == ["first"]


async def test_an_edit_whose_answer_is_lost_may_simply_be_made_again(api: BotApi, bot) -> None:
    """It is not uncertain: made twice it is still one message."""
    receipt = await bot.send(out("first"))
    api.faults.add(Fault(FaultKind.CUT_AFTER, "editMessageText"))
    error = await refused(bot, "second", Extras(edits=f"net:{receipt.network_id}"))
    assert (error.kind, error.is_uncertain) == (ErrorKind.TRANSIENT, False)


async def test_an_edit_of_a_deleted_message(api: BotApi, bot) -> None:
    """Can never be made; so can one of a message that was never sent."""
    receipt = await bot.send(out("first"))
    api.bot(TOKEN).deletes(int(receipt.network_id))
    error = await refused(bot, "second", Extras(edits=f"net:{receipt.network_id}"))
    assert error.kind == ErrorKind.PERMANENT and "not found" in error.message
    assert (await refused(bot, "second", Extras(edits="r99"))).kind == ErrorKind.PERMANENT


async def test_a_file_goes_with_its_caption(api: BotApi, bot, tmp_path) -> None:
    """One call; a text that is too long for a caption goes before the file."""
    (tmp_path / "plan.txt").write_bytes(b"content")
    file = FileOut("plan.txt", "the plan.txt", "text/plain")
    await bot.send(out("short", Extras(files=(file,))))
    await bot.send(out("x" * 1025, Extras(files=(file,)), id_="r2"))
    shown = api.bot(TOKEN).shown
    assert [(one.kind, len(one.text)) for one in shown] == [("document", 5), ("message", 1025), ("document", 0)]
    assert shown[0].message["document"]["file_name"] == "the plan.txt"


async def test_files_that_belong_together_are_one_album(api: BotApi, bot, tmp_path) -> None:
    """Photos in one call with the caption at the first; what cannot stand among them goes by itself; buttons need a text of their own."""
    for name in ("a.jpg", "b.jpg", "c.pdf"):
        (tmp_path / name).write_bytes(name.encode())
    photos = tuple(FileOut(name, name, "image/jpeg", "photo") for name in ("a.jpg", "b.jpg"))
    files = (*photos, FileOut("c.pdf", "c.pdf", "application/pdf"))
    receipt = await bot.send(out("**three** files", Extras(markup=Markup.MARKDOWN, files=files)))
    shown = api.bot(TOKEN).shown
    assert [(one.kind, one.text) for one in shown] == [("photo", "three files"), ("photo", ""), ("document", "")]
    assert (api.known(TOKEN).called["sendMediaGroup"], receipt.network_id) == (1, str(shown[0].message_id))
    assert len({one.message.get("media_group_id") for one in shown[:2]}) == 1
    buttons = ((ButtonRow("Yes", "yes"),),)
    await bot.send(out("choose", Extras(files=photos, buttons=buttons), id_="r2"))
    assert [(one.kind, "reply_markup" in one.message) for one in api.bot(TOKEN).shown[3:]] == [
        ("message", True), ("photo", False), ("photo", False)]


async def test_the_caption_of_a_file_is_edited_as_a_text(api: BotApi, bot, tmp_path) -> None:
    """Whoever edits a message need not know whether it was a file."""
    (tmp_path / "plan.txt").write_bytes(b"content")
    receipt = await bot.send(out("before", Extras(files=(FileOut("plan.txt", "plan.txt", "text/plain"),))))
    await bot.send(out("*after*", Extras(markup=Markup.MARKDOWN, edits=f"net:{receipt.network_id}"), id_="r2"))
    edited = api.bot(TOKEN).shown[-1]
    assert (edited.text, edited.message["caption_entities"][0]["type"]) == ("after", "italic")


@pytest.mark.parametrize("path", ["gone.txt", "../outside.txt"])
async def test_a_file_that_is_not_there(api: BotApi, bot, tmp_path, path: str) -> None:
    """Also one outside of the bot's folder is none; nothing is sent."""
    (tmp_path.parent / "outside.txt").write_text("secret")
    error = await refused(bot, "text", Extras(files=(FileOut(path, "x", "text/plain"),)))
    assert error.kind == ErrorKind.PERMANENT and api.bot(TOKEN).shown == []


async def test_several_calls_go_on_where_they_ended(api: BotApi, bot, tmp_path) -> None:
    """What was answered is not sent again by the same process."""
    (tmp_path / "a.txt").write_bytes(b"a")
    message = out("x" * 1025, Extras(files=(FileOut("a.txt", "a.txt", "text/plain"),)))
    api.faults.add(Fault(FaultKind.RATE, "sendDocument", retry_after_s=0))
    with pytest.raises(NetworkError):
        await bot.send(message)
    await bot.send(message)
    assert [one.kind for one in api.bot(TOKEN).shown] == ["message", "document"]


async def test_several_calls_go_on_where_an_earlier_life_ended(api: BotApi, bot, tmp_path) -> None:
    """A text whose file has to wait does not come again when the bot is restarted meanwhile; another message with its id begins anew."""
    (tmp_path / "a.txt").write_bytes(b"a")
    message = out("x" * 1025, Extras(files=(FileOut("a.txt", "a.txt", "text/plain"),)))
    for sender in (message, replace(message, text="y" * 1025)):
        api.faults.add(Fault(FaultKind.RATE, "sendDocument", retry_after_s=1))
        async with connected(api, Port(), tmp_path) as life:
            with pytest.raises(NetworkError):
                await life.send(sender)
    async with connected(api, Port(), tmp_path) as last:
        await last.send(replace(message, text="y" * 1025))
    assert [one.text[:1] or one.kind for one in api.bot(TOKEN).shown] == ["x", "y", "document"]
    assert not (tmp_path / "telegram-begun.json").exists()


async def test_an_answer_in_a_topic_and_to_a_message(api: BotApi, bot) -> None:
    """It stands in its topic, as the answer to what it quotes; a message that is gone is no reason not to send."""
    ada = api.bot(TOKEN)
    forum = ada.group("Forum", forum=True)
    topic = ada.topic(forum, "Plans")
    number = ada.says("hello", chat=forum, topic=topic)
    await bot.send(out("hi", Extras(quotes=str(number)), to=f"{forum.id}/{topic}"))
    await bot.send(out("hi again", Extras(quotes="99999"), to=f"{forum.id}/{topic}", id_="r2"))
    first, second = (shown.message for shown in ada.shown)
    assert (first["message_thread_id"], first["reply_to_message"]["message_id"]) == (topic, number)
    assert second["text"] == "hi again"


@pytest.mark.parametrize(
    ("fault", "kind", "is_uncertain"),
    [
        (Fault(FaultKind.RATE, "sendMessage", retry_after_s=7), ErrorKind.RATE, False),
        (Fault(FaultKind.ERROR, "sendMessage"), ErrorKind.TRANSIENT, False),
        (Fault(FaultKind.ERROR, "sendMessage", status=401, description="Unauthorized"), ErrorKind.AUTH, False),
        (Fault(FaultKind.ERROR, "sendMessage", status=400, description="Bad Request: message is too long"), ErrorKind.PERMANENT, False),
        (Fault(FaultKind.ERROR, "sendMessage", status=403, description="Forbidden: bot was kicked"), ErrorKind.GONE, False),
        (Fault(FaultKind.ERROR, "sendMessage", status=502, description="Bad Gateway"), ErrorKind.TRANSIENT, True),
        (Fault(FaultKind.ERROR, "sendMessage", status=500, description="Internal Server Error: restart"), ErrorKind.TRANSIENT, True),
        (Fault(FaultKind.GARBAGE, "sendMessage"), ErrorKind.TRANSIENT, True),
        (Fault(FaultKind.CUT_AFTER, "sendMessage"), ErrorKind.TRANSIENT, True),
        (Fault(FaultKind.CUT_BEFORE, "sendMessage"), ErrorKind.TRANSIENT, True),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_errors_say_what_they_ask_for(api: BotApi, bot, fault: Fault, kind: ErrorKind, is_uncertain: bool) -> None:
    """The kind, whether it may have arrived all the same, and neither token nor text."""
    api.faults.add(replace(fault, struck=0))
    error = await refused(bot, "private words", HTML)
    assert (error.kind, error.is_uncertain) == (kind, is_uncertain)
    assert error.retry_after_s == (7.0 if kind == ErrorKind.RATE else None)
    assert TOKEN.partition(":")[2] not in str(error) and "private" not in str(error)


async def test_a_429_without_a_time_is_no_verdict_on_the_message(api: BotApi, bot) -> None:
    """As a gateway on the way says it: the message is sent later."""
    api.faults.add(Fault(FaultKind.ERROR, "sendMessage", status=429, description="Too Many Requests"))
    error = await refused(bot, "text")
    assert (error.kind, error.retry_after_s) == (ErrorKind.RATE, None)


async def test_a_network_that_cannot_be_reached_is_certain(tmp_path) -> None:
    """No connection, no request: nothing is uncertain about it."""
    with BotApi() as api:
        connector = make({"token": TOKEN, "base_url": api.url}, "anna", tmp_path)
    with pytest.raises(NetworkError) as caught:
        await connector.identify()
    await connector.close()
    assert (caught.value.kind, caught.value.is_uncertain) == (ErrorKind.TRANSIENT, False)


async def test_who_is_gone_is_gone_and_who_has_moved_has_moved(api: BotApi, bot) -> None:
    """Blocked, deactivated, kicked, never seen: GONE; a group that is a supergroup now says which."""
    ada = api.bot(TOKEN)
    group = ada.group("Team")
    other = ada.group("Other")
    bigger = ada.upgrades(group)
    ada.removes_bot(other)
    moved = await refused(bot, "text", to=group.id)
    assert (moved.kind, moved.moved_to) == (ErrorKind.GONE, str(bigger.id))
    assert [(await refused(bot, "text", to=chat)).kind for chat in (other.id, 4711)] == [ErrorKind.GONE] * 2
    ada.blocks()
    blocked = await refused(bot, "text")
    assert (blocked.kind, blocked.moved_to) == (ErrorKind.GONE, None)
    assert (await refused(bot, "text", to="nowhere")).kind == ErrorKind.PERMANENT


async def test_retry_after_is_obeyed_without_asking_again(api: BotApi, bot, monkeypatch) -> None:
    """Until then no call is made for that chat; other chats go on."""
    now = [1000.0]
    monkeypatch.setattr(module.clock, "mono", lambda: now[0])
    forum = api.bot(TOKEN).group("Team")
    api.faults.add(Fault(FaultKind.RATE, "sendMessage", retry_after_s=30))
    assert (await refused(bot, "text")).retry_after_s == 30.0
    now[0] += 29.0
    calls = api.known(TOKEN).called["sendMessage"]
    early = await refused(bot, "text")
    assert (early.kind, early.retry_after_s, early.is_for_bot) == (ErrorKind.RATE, 1.0, False)
    assert api.known(TOKEN).called["sendMessage"] == calls
    await bot.send(out("to the group", to=forum.id))
    now[0] += 1.0
    await bot.send(out("text"))
    assert api.bot(TOKEN).texts() == ["to the group", "text"]


async def test_telegrams_own_limits_are_never_met(api: BotApi, bot, monkeypatch) -> None:
    """Whoever waits as told sends sixty messages to a group and a person without one refusal."""
    now = [1000.0]
    monkeypatch.setattr(module.clock, "mono", lambda: now[0])
    group = api.bot(TOKEN).group("Team")
    sent: dict[int, list[float]] = {7: [], group.id: []}
    for number in range(60):
        for chat, times in sent.items():
            message = out(f"text {number}", to=chat, id_=f"r{number}.{chat}")
            while True:
                try:
                    await bot.send(message)
                    break
                except NetworkError as err:
                    assert err.kind == ErrorKind.RATE and err.retry_after_s
                    now[0] += err.retry_after_s
            times.append(now[0])
    assert all(later - earlier >= 60.0 - 1e-6 for earlier, later in zip(sent[group.id], sent[group.id][20:], strict=False))
    assert all(later - earlier >= 20.0 - 1e-6 for earlier, later in zip(sent[7], sent[7][20:], strict=False))


async def test_a_reply_that_grows_is_a_draft_until_it_is_sent(api: BotApi, bot) -> None:
    """Pieces are shown in private, the newest wins, and none comes behind the message itself."""
    ada = api.bot(TOKEN)
    for text in ("one", "one two", "one two three"):
        bot.publish(replace(out(text), seq=None, final=False))
    await until(lambda: ada.shown)
    bot.publish(replace(out("one two three four"), seq=None, final=False))
    await bot.send(out("one two three four five"))
    assert [shown.kind for shown in ada.shown][-1] == "message"
    drafts = [shown.text for shown in ada.shown if shown.kind == "draft"]
    assert drafts and drafts[0] == "one two three" and ada.texts() == ["one two three four five"]
    await asyncio.sleep(0.1)
    assert ada.shown[-1].kind == "message"


async def test_drafts_that_fail_are_left_out(api: BotApi, bot) -> None:
    """An error of one is nobody's business, and a server that has none is not asked for ever."""
    ada = api.bot(TOKEN)
    api.faults.add(Fault(FaultKind.ERROR, "sendMessageDraft", status=404, description="Not Found", times=99))
    for number in range(20):
        bot.publish(replace(out(f"piece {number}"), seq=None, final=False))
        await bot.send(out(f"whole {number}"))
    assert {shown.kind for shown in ada.shown} == {"message"}
    assert api.known(TOKEN).called["sendMessageDraft"] <= 5


async def test_a_reply_that_grows_in_a_group_is_one_message(api: BotApi, bot, monkeypatch) -> None:
    """It is edited until it is whole; one that is whole at once is never edited."""
    monkeypatch.setattr(drafts, "GROUP_FIRST_S", 0.05)
    monkeypatch.setattr(drafts, "GROUP_EVERY_S", 0.05)
    ada = api.bot(TOKEN)
    group = ada.group("Team")
    for text in ("one", "one two"):
        bot.publish(replace(out(text, to=group.id), seq=None, final=False))
        await until(lambda t=text: f"{t} …" in [shown.text for shown in ada.shown])
    receipt = await bot.send(out("one two three", to=group.id))
    assert [(shown.kind, shown.text) for shown in ada.shown] == [("message", "one …"), ("edit", "one two …"), ("edit", "one two three")]
    assert receipt.network_id == str(ada.shown[0].message_id)
    bot.publish(replace(out("quick", to=group.id, id_="r2"), seq=None, final=False))
    await bot.send(out("quick and whole", to=group.id, id_="r2"))
    assert [(shown.kind, shown.text) for shown in ada.shown[3:]] == [("message", "quick and whole")]


async def test_a_reply_that_a_crash_cut_off_becomes_whole_where_it_began(api: BotApi, bot, tmp_path, monkeypatch) -> None:
    """The next life finds its beginning; if that was deleted, the whole is a message of its own."""
    monkeypatch.setattr(drafts, "GROUP_FIRST_S", 0.0)
    monkeypatch.setattr(drafts, "GROUP_EVERY_S", 0.0)
    ada = api.bot(TOKEN)
    group = ada.group("Team")
    for number in (1, 2):
        bot.publish(replace(out(f"begun {number}", to=group.id, id_=f"r{number}"), seq=None, final=False))
        await until(lambda n=number: f"begun {n} …" in ada.texts(group.id))
    await bot.close()  # as far as the network and the disk know, this is kill -9: nothing was sent and nothing noted
    ada.deletes(ada.shown[1].message_id, chat=group)
    async with connected(api, Port(), tmp_path) as later:
        for number in (1, 2):
            await later.send(out(f"whole {number}", to=group.id, id_=f"r{number}"))
    assert [(shown.kind, shown.text) for shown in ada.shown[2:]] == [("edit", "whole 1"), ("message", "whole 2")]
    assert not (tmp_path / "telegram-drafts.json").exists()


async def test_a_piece_on_its_way_never_takes_the_place_of_the_whole(api: BotApi, bot, monkeypatch) -> None:
    """While Telegram has not answered for a piece, the whole waits: carried out behind it, the piece would stand there for good."""
    monkeypatch.setattr(drafts, "GROUP_FIRST_S", 0.0)
    monkeypatch.setattr(drafts, "GROUP_EVERY_S", 0.0)
    monkeypatch.setattr(drafts, "_SETTLE_S", 0.05)
    ada = api.bot(TOKEN)
    group = ada.group("Team")
    bot.publish(replace(out("one", to=group.id), seq=None, final=False))
    await until(lambda: "one …" in ada.texts(group.id))
    stall = api.faults.add(Fault(FaultKind.STALL, "editMessageText", delay_s=0.5))
    bot.publish(replace(out("one two", to=group.id), seq=None, final=False))
    await until(lambda: stall.struck)
    assert (await refused(bot, "one two three", to=group.id)).kind == ErrorKind.TRANSIENT
    await until(lambda: "one two …" in [shown.text for shown in ada.shown])
    await until(lambda: not bot._drafts._showing)
    await bot.send(out("one two three", to=group.id))
    assert ada.shown[-1].text == "one two three"


async def test_typing_is_shown_and_fails_in_silence(api: BotApi, bot) -> None:
    """Where it can be; a conversation that is none does no harm."""
    await bot.typing(Place("telegram", "7"))
    await bot.typing(Place("telegram", "4711"))
    await bot.typing(Place("telegram", "nowhere"))
    assert api.known(TOKEN).actions == [(7, "typing")]


async def test_a_closed_connector_sends_nothing(api: BotApi, bot) -> None:
    """It says so; whoever asks may do so again."""
    await bot.close()
    assert (await refused(bot, "late")).kind == ErrorKind.TRANSIENT
    assert api.bot(TOKEN).texts() == []
