"""What bots send is shown to people once, in Telegram's words when it is refused, and counted whatever becomes of the answer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.account import Account
from processsupervisor.testing.botapi.crowd import Crowd
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.limits import Limits
from processsupervisor.testing.botapi.people import ADA, Person
from processsupervisor.testing.botapi.server import BotApi


def call(api: BotApi, method: str, **params: Any) -> Any:
    query = urlencode({k: v if isinstance(v, str | int) else json.dumps(v) for k, v in params.items()})
    with urlopen(f"{api.url}/bot{TOKEN}/{method}", data=query.encode(), timeout=10) as answer:
        return json.load(answer)["result"]


def refused(api: BotApi, method: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(HTTPError) as caught:
        call(api, method, **params)
    with caught.value as err:
        return dict(json.load(err))


def test_a_message_is_shown_and_counted(api: BotApi) -> None:
    """What is sent twice stands at two."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    for text in ("once", "twice", "twice"):
        call(api, "sendMessage", chat_id=ADA.id, text=text)
    assert crowd.times_shown(ADA.id) == {"once": 1, "twice": 2}
    assert crowd.wait_for("once").kind == "message"


def test_a_bot_writes_only_where_it_may(api: BotApi) -> None:
    """Unknown, blocked, deleted, kicked, moved: each in Telegram's words and with its code."""
    crowd = api.bot(TOKEN)
    assert refused(api, "sendMessage", chat_id=99, text="x")["description"] == "Bad Request: chat not found"
    crowd.says("hi")
    crowd.blocks()
    assert refused(api, "sendMessage", chat_id=ADA.id, text="x") == {
        "ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"}
    crowd.unblocks()
    call(api, "sendMessage", chat_id=ADA.id, text="x")
    bob = Person(8, "Bob")
    crowd.says("hi", bob)
    crowd.deactivates(bob)
    assert refused(api, "sendMessage", chat_id=8, text="x")["description"] == "Forbidden: user is deactivated"
    group = crowd.group()
    crowd.removes_bot(group)
    assert refused(api, "sendMessage", chat_id=group.id, text="x")["description"] == "Forbidden: bot was kicked from the group chat"
    crowd.adds_bot(group)
    moved = crowd.upgrades(group)
    assert refused(api, "sendMessage", chat_id=group.id, text="x")["parameters"] == {"migrate_to_chat_id": moved.id}
    call(api, "sendMessage", chat_id=moved.id, text="x")
    assert crowd.texts() == ["x", "x"]


@pytest.mark.parametrize(("kind", "shown", "error"), [
    (FaultKind.RATE, 0, HTTPError), (FaultKind.ERROR, 0, HTTPError), (FaultKind.CUT_BEFORE, 0, Exception), (FaultKind.CUT_AFTER, 1, Exception),
    (FaultKind.GARBAGE, 0, ValueError)])
def test_a_fault_strikes_once_and_only_what_it_was_meant_for(api: BotApi, kind: FaultKind, shown: int, error: type[Exception]) -> None:
    """Whether it was carried out is what people saw; the next one goes through."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    fault = api.faults.add(Fault(kind, "sendMessage", retry_after_s=7))
    assert call(api, "getMe")["id"] == 123456
    with pytest.raises(error) as caught:
        call(api, "sendMessage", chat_id=ADA.id, text="x")
    if isinstance(caught.value, HTTPError):
        caught.value.close()
    assert len(crowd.texts()) == shown and fault.struck == 1
    call(api, "sendMessage", chat_id=ADA.id, text="x")
    assert len(crowd.texts()) == shown + 1


def test_a_slow_send_is_carried_out_although_nobody_waits(api: BotApi) -> None:
    """The client gives up first; people see the message."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    api.faults.add(Fault(FaultKind.STALL, "sendMessage", delay_s=0.2))
    with pytest.raises((TimeoutError, URLError)):
        urlopen(f"{api.url}/bot{TOKEN}/sendMessage?chat_id={ADA.id}&text=late", timeout=0.05)
    crowd.wait_for("late")


def test_buttons_edits_and_their_refusals(api: BotApi) -> None:
    """A pressed button is answered once; an edit that changes nothing, or nothing that is there, is refused."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "vote:yes"}]]}
    number = call(api, "sendMessage", chat_id=ADA.id, text="Well?", reply_markup=keyboard)["message_id"]
    with pytest.raises(ValueError, match="vote:yes"):
        crowd.presses(number, "vote:no")
    pressed = crowd.presses(number, "vote:yes")
    assert call(api, "getUpdates", offset=-1)[0]["callback_query"]["data"] == "vote:yes"
    assert call(api, "answerCallbackQuery", callback_query_id=pressed.id, text="Thanks") is True and pressed.answer == "Thanks"
    assert "query is too old" in refused(api, "answerCallbackQuery", callback_query_id=pressed.id)["description"]
    assert call(api, "editMessageText", chat_id=ADA.id, message_id=number, text="Done")["text"] == "Done"
    assert "message is not modified" in refused(api, "editMessageText", chat_id=ADA.id, message_id=number, text="Done")["description"]
    assert "message to edit not found" in refused(api, "editMessageText", chat_id=ADA.id, message_id=77, text="Done")["description"]
    crowd.deletes(number)
    assert "message to edit not found" in refused(api, "editMessageText", chat_id=ADA.id, message_id=number, text="x")["description"]
    too_long = {"inline_keyboard": [[{"text": "Yes", "callback_data": "x" * 65}]]}
    assert "BUTTON_DATA_INVALID" in refused(api, "sendMessage", chat_id=ADA.id, text="x", reply_markup=too_long)["description"]


@pytest.mark.parametrize(("params", "expected"), [
    ({"text": "x" * 4097}, "message is too long"), ({"text": "😀" * 2049}, "message is too long"), ({"text": "  "}, "message text is empty"),
    ({"text": "<b>x", "parse_mode": "HTML"}, "can't parse entities"), ({"text": "a.b", "parse_mode": "MarkdownV2"}, "is reserved and must be escaped"),
    ({"text": "*x", "parse_mode": "Markdown"}, "Can't find end of the entity"), ({"text": "x", "parse_mode": "RTF"}, "unsupported parse_mode"),
    ({"text": "x", "reply_parameters": {"message_id": 55}}, "message to be replied not found"), ({"text": "x", "message_thread_id": 9}, "thread not found")])
def test_what_telegram_does_not_take(api: BotApi, params: dict[str, Any], expected: str) -> None:
    """Length in UTF-16 units, broken markup, replies and topics that are not there: a 400, and nobody sees anything."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    error = refused(api, "sendMessage", chat_id=ADA.id, **params)
    assert error["error_code"] == 400 and expected in error["description"]
    assert crowd.texts() == []


@pytest.mark.parametrize(("mode", "text", "plain", "kinds"), [
    ("HTML", "a <b>b <i>c</i></b> &lt;d&gt;", "a b c <d>", ["bold", "italic"]),
    ("HTML", '<a href="https://e.org">x</a>', "x", ["text_link"]),
    ("MarkdownV2", "*b* _i_ __u__ `c\\`` \\.", "b i u c` .", ["bold", "italic", "underline", "code"]),
    ("Markdown", "*b* _i_ [x](https://e.org) 2.", "b i x 2.", ["bold", "italic", "text_link"])])
def test_markup_becomes_entities(api: BotApi, mode: str, text: str, plain: str, kinds: list[str]) -> None:
    """The text that people see has no marks in it."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    message = call(api, "sendMessage", chat_id=ADA.id, text=text, parse_mode=mode)
    assert message["text"] == plain
    assert [entity["type"] for entity in message["entities"]] == kinds


def test_a_forum_keeps_its_topics(api: BotApi) -> None:
    """A message of a topic and the answer to it carry its number."""
    crowd = api.bot(TOKEN)
    forum = crowd.group("House", forum=True)
    topic = crowd.topic(forum, "Kitchen")
    crowd.says("hi @n123456_bot", chat=forum, topic=topic)
    update = call(api, "getUpdates", offset=-1)[0]["message"]
    assert update["message_thread_id"] == topic and update["entities"][0]["type"] == "mention"
    assert call(api, "sendMessage", chat_id=forum.id, message_thread_id=topic, text="x")["is_topic_message"] is True


def test_limits_are_enforced_when_asked_for(api: BotApi) -> None:
    """The second message to a chat within a second is a 429; one sent before its time has passed is counted as hasty."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    api.limit(TOKEN, Limits(per_chat_per_s=1))
    call(api, "sendMessage", chat_id=ADA.id, text="x")
    assert refused(api, "sendMessage", chat_id=ADA.id, text="y")["parameters"] == {"retry_after": 1}
    refused(api, "sendMessage", chat_id=ADA.id, text="y")
    group = crowd.group()
    api.limit(TOKEN, Limits(per_group_per_min=2))
    call(api, "sendMessage", chat_id=group.id, text="x")
    call(api, "sendMessage", chat_id=group.id, text="x")
    assert refused(api, "sendMessage", chat_id=group.id, text="y")["parameters"]["retry_after"] > 50
    gate = api.known(TOKEN).gate
    assert (gate.refused, gate.hasty) == (3, 1) and crowd.texts() == ["x"] * 3


def test_a_method_that_is_not_here_says_so(api: BotApi) -> None:
    """No answer is made up."""
    assert refused(api, "sendInvoice")["error_code"] == 501


def test_a_part_of_a_text_is_enough_to_wait_for(api: BotApi) -> None:
    """What is just that text is taken before what only holds it, and the newest before older ones."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    for text in ("Tea?", "Tea? Really?", "No tea."):
        call(api, "sendMessage", chat_id=ADA.id, text=text)
    assert [crowd.wait_for(part).text for part in ("Tea?", "Really", "ea")] == ["Tea?", "Tea? Really?", "No tea."]
    with pytest.raises(TimeoutError, match="did not show 'Coffee' but"):
        crowd.wait_for("Coffee", 0.01)


def test_a_button_is_pressed_by_its_label_or_its_data(api: BotApi) -> None:
    """What is there stands in the error; a button with an address brings nothing."""
    crowd = api.bot(TOKEN)
    crowd.says("hi")
    row = [{"text": "Yes", "callback_data": "vote:yes"}, {"text": "Read", "url": "https://example.org"}]
    sent = call(api, "sendMessage", chat_id=ADA.id, text="Tea?", reply_markup={"inline_keyboard": [row]})["message_id"]
    assert crowd.presses(sent, "Yes").data == crowd.presses(sent, "vote:yes").data == "vote:yes"
    with pytest.raises(ValueError, match=r"no button 'Read'; there are: 'Yes' \(vote:yes\)"):
        crowd.presses(sent, "Read")


def test_a_later_double_gives_no_number_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that was with an earlier one would take a message, an update or a press for a repeat, and say nothing."""
    numbers: list[list[int]] = []
    for now in (1_800_000_000.0, 1_800_000_060.0):
        monkeypatch.setattr("processsupervisor.testing.botapi.values.time.time", lambda now=now: now)
        account = Account(TOKEN)
        crowd = Crowd(account, threading.Condition())
        crowd.says("hi")
        group = crowd.group(supergroup=True)
        said = crowd.says("hi", chat=group)
        button = {"reply_markup": {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}}
        asked = account.new_message(group, account.user, button)["message_id"]
        pressed = crowd.presses(int(str(asked)), "Yes", chat=group)
        updates = [int(str(update["update_id"])) for update in account.updates.waiting]
        numbers.append([*updates, said, crowd.says("there?"), int(pressed.id)])
    assert all(earlier + 50 < later for earlier, later in zip(*numbers, strict=True)), numbers


def test_every_method_of_the_double_is_on_its_page() -> None:
    """Whoever writes a test with it finds what people can do, and what can go wrong."""
    page = (Path(__file__).parents[2] / "docs/reference/telegram-double.md").read_text()
    public = [name for kind in (Crowd, BotApi) for name in vars(kind) if not name.startswith("_") and name != "account"]
    assert [name for name in [*public, *FaultKind.__members__] if f"`{name}" not in page] == []
