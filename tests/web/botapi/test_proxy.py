"""A bot behind the proxy loses no update and never has its token; Telegram sees one owner that keeps to the limits."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest
from aiohttp import ClientSession, FormData
from tests.web.botapi.conftest import BOT, TOKEN, Stand
from yarl import URL

from processsupervisor.launch.locks import token_holder
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.limits import Limits
from processsupervisor.testing.botapi.people import ADA, Person
from processsupervisor.web.botapi.proxy import UPLOADS_AT_ONCE


def texts(updates: list[dict[str, Any]]) -> list[str]:
    return [update["message"]["text"] for update in updates]


async def test_an_update_is_persisted_before_telegram_may_forget_it(stand: Stand, eventually: Any) -> None:
    """Telegram is told that it was taken when it lies in the file, and the bot gets it until its own offset confirms it."""
    stand.crowd.says("one")
    (one,) = await stand.updates(timeout=5)
    queue = stand.api.known(TOKEN).updates
    await eventually(lambda: queue.confirmed == 1)
    rows = sqlite3.connect(stand.paths.bot_data(BOT) / "updates.db").execute("SELECT body FROM updates").fetchall()
    assert json.loads(rows[0][0])["message"]["text"] == "one"
    assert await stand.updates() == [one]
    assert await stand.updates(offset=one["update_id"] + 1) == []
    assert await stand.updates() == []


async def test_nothing_is_lost_over_a_restart_of_the_proxy(stand: Stand) -> None:
    """What the bot has not confirmed is there again, what it has confirmed is not, and the stand-in is the same."""
    for text in "abc":
        stand.crowd.says(text)
    updates = [*await stand.updates(timeout=5)]
    while len(updates) < 3:
        updates = await stand.updates(timeout=5)
    await stand.updates(offset=updates[1]["update_id"])
    token = stand.token
    await stand.stop()
    stand.crowd.says("d")
    await stand.start()
    assert stand.token == token
    found: list[dict[str, Any]] = []
    while len(found) < 3:
        found = await stand.updates(timeout=5)
    assert texts(found) == ["b", "c", "d"]


async def test_it_reads_ahead_while_the_bot_is_away(stand: Stand, eventually: Any) -> None:
    """Once the bot has asked, updates are fetched without it."""
    await stand.updates()
    for number in range(30):
        stand.crowd.says(f"m{number}")
    await eventually(lambda: stand.api.known(TOKEN).updates.confirmed == 30)
    assert texts(await stand.updates()) == [f"m{number}" for number in range(30)]


async def test_nothing_is_fetched_for_a_bot_that_never_asked(stand: Stand) -> None:
    """A bot with a webhook of its own is left alone."""
    stand.crowd.says("hi")
    await stand.call("getMe")
    assert stand.api.known(TOKEN).called["getUpdates"] == 0


async def test_numbers_only_grow_and_nothing_comes_twice(stand: Stand, eventually: Any) -> None:
    """Numbers of Telegram's that jump back and updates that it delivers again do not reach the bot as such."""
    stand.crowd.says("one")
    (one,) = await stand.updates(timeout=5)
    assert await stand.updates(offset=one["update_id"] + 1) == []
    queue = stand.api.known(TOKEN).updates
    await eventually(lambda: queue.confirmed == 1)
    stand.crowd.repeats()
    queue.jump(5)
    stand.crowd.says("two")
    (two,) = await stand.updates(offset=one["update_id"] + 1, timeout=5)
    assert two["message"]["text"] == "two" and two["update_id"] > one["update_id"]


async def test_the_real_token_is_nowhere(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in what the bot gets, not in the note, not in the file, not in an error, whatever goes wrong."""
    stand.crowd.says("hi")
    secret = TOKEN.partition(":")[2]
    assert stand.token.startswith("123456:") and secret not in stand.token
    said = json.dumps(await stand.note())
    for kind in (FaultKind.CUT_BEFORE, FaultKind.CUT_AFTER, FaultKind.GARBAGE, FaultKind.ERROR):
        stand.api.faults.add(Fault(kind, "sendMessage", description=f"Bad Request: wrong address /bot{TOKEN}/x"))
        async with ClientSession() as session:
            async with session.post(f"{stand.url}/bot{stand.token}/sendMessage", json={"chat_id": ADA.id, "text": "x"}) as answer:
                said += await answer.text() + str(answer.headers)
    said += json.dumps(await stand.updates(timeout=1))
    for path in [*stand.paths.bot_data(BOT).rglob("*"), *stand.paths.bot_run(BOT).rglob("*")]:
        said += path.read_bytes().decode(errors="replace") if path.is_file() else ""
    captured = capsys.readouterr()
    assert secret not in said + captured.out + captured.err
    assert stand.token in said  # what Telegram said of the real one is said of the stand-in


async def test_only_who_knows_the_stand_in_is_served(stand: Stand) -> None:
    """Another token, also the real one, is unauthorized in Telegram's words, and Telegram hears nothing of it."""
    async with ClientSession() as session:
        for token in ("123456:psv_wrong", TOKEN, "x"):
            async with session.get(f"{stand.url}/bot{token}/getMe") as answer:
                assert answer.status == 401 and (await answer.json())["description"] == "Unauthorized"
        async with session.get(f"{stand.url}/file/bot{TOKEN}/documents/file_1.txt") as answer:
            assert answer.status == 401
    assert stand.api.known(TOKEN).called["getMe"] == 0


async def test_a_second_client_of_the_stand_in_sends_the_first_away(stand: Stand) -> None:
    """409 for the first, as Telegram does; Telegram itself sees one poller and no conflict."""
    first = asyncio.create_task(stand.call("getUpdates", timeout=9))
    await asyncio.to_thread(stand.api.wait_for_poll, TOKEN)
    second = asyncio.create_task(stand.updates(timeout=9))
    answer = await asyncio.wait_for(first, 9)
    assert (answer["ok"], answer["error_code"]) == (False, 409) and "terminated by other getUpdates" in answer["description"]
    stand.crowd.says("hi")
    assert texts(await second) == ["hi"]
    assert stand.api.known(TOKEN).conflicts == 0


async def test_who_has_the_real_token_elsewhere_is_told_to_the_bot(stand: Stand, eventually: Any) -> None:
    """A webhook at Telegram is the bot's 409, in Telegram's words; the bot's own deleteWebhook ends it."""
    await stand.call("setWebhook", url="http://127.0.0.1:9/")
    answer = await stand.call("getUpdates", timeout=5)
    assert answer["error_code"] == 409 and "deleteWebhook" in answer["description"]
    assert (await stand.call("deleteWebhook"))["ok"]
    stand.crowd.says("hi")
    assert texts(await stand.updates(timeout=9)) == ["hi"]


async def test_dropped_pending_updates_are_dropped_here_too(stand: Stand, eventually: Any) -> None:
    """deleteWebhook with drop_pending_updates, which libraries call at their start, means what waits here as well."""
    await stand.updates()
    stand.crowd.says("old")
    await eventually(lambda: stand.api.known(TOKEN).updates.confirmed == 1)
    assert (await stand.call("getWebhookInfo"))["result"]["pending_update_count"] == 1
    await stand.call("deleteWebhook", drop_pending_updates=True)
    stand.crowd.says("new")
    assert texts(await stand.updates(timeout=5)) == ["new"]


async def test_sends_keep_to_the_limits(stand: Stand) -> None:
    """Twenty go to a group within a minute; the others are told when to come, and Telegram, which counts too, has to refuse none."""
    group = stand.crowd.group()
    stand.api.limit(TOKEN, Limits(per_chat_per_s=0, per_group_per_min=20, per_token_per_s=0))
    answers = await asyncio.gather(*(stand.call("sendMessage", chat_id=group.id, text=f"m{number}") for number in range(25)))
    held = [answer for answer in answers if not answer["ok"]]
    assert len(held) == 5 and all(answer["error_code"] == 429 and answer["parameters"]["retry_after"] > 50 for answer in held)
    assert len(stand.crowd.texts(group.id)) == 20
    assert (stand.api.known(TOKEN).gate.refused, stand.api.known(TOKEN).gate.hasty) == (0, 0)


async def test_a_refusal_of_telegrams_is_heeded(stand: Stand) -> None:
    """After a 429 nothing more goes to that chat before its time: the bot is told by the proxy."""
    stand.crowd.says("hi")
    stand.api.faults.add(Fault(FaultKind.RATE, "sendMessage", retry_after_s=30))
    for _ in range(2):
        answer = await stand.call("sendMessage", chat_id=ADA.id, text="x")
        assert answer["error_code"] == 429 and answer["parameters"]["retry_after"] >= 29
    assert stand.api.known(TOKEN).called["sendMessage"] == 1 and stand.api.known(TOKEN).gate.hasty == 0


async def test_telegram_away_is_no_affair_of_a_bot_that_waits(stand: Stand) -> None:
    """Polls that fail are tried again by the proxy; the bot just gets what comes."""
    stand.api.faults.add(Fault(FaultKind.CUT_BEFORE, "getUpdates", times=2))
    stand.api.faults.add(Fault(FaultKind.GARBAGE, "getMe"))
    stand.crowd.says("hi")
    assert texts(await stand.updates(timeout=9)) == ["hi"]


async def test_a_revoked_token_is_told(stand: Stand) -> None:
    """401 for every method, getUpdates too."""
    stand.api.revoke(TOKEN)
    assert (await stand.call("getMe"))["error_code"] == 401
    assert (await stand.call("getUpdates", timeout=5))["error_code"] == 401


async def test_what_a_killed_bot_had_begun_comes_again_when_it_is_wished(stand: Stand) -> None:
    """With `again`: confirmed and not answered, it comes to the next program that asks without an offset; answered, it does not."""
    await stand.stop()
    stand.settings["again_s"] = 60.0
    await stand.start()
    bob = Person(8, "Bob")
    stand.crowd.says("answered")
    stand.crowd.says("not answered", bob)
    updates: list[dict[str, Any]] = []
    while len(updates) < 2:
        updates = await stand.updates(timeout=5)
    offset = updates[-1]["update_id"] + 1
    assert await stand.updates(offset=offset) == []
    await stand.call("sendMessage", chat_id=ADA.id, text="x")
    assert await stand.updates(offset=offset) == []
    assert texts(await stand.updates()) == ["not answered"]


@pytest.mark.parametrize(
    "path", ["/bot{}/getUpdates%3Foffset=9", "/bot{}/getUpdates%23x", "/bot{}/..", "/file/bot{}/a/..%2f../../bot{}/getUpdates", "/file/bot{}/.."]
)
async def test_no_path_leads_around_the_proxy(stand: Stand, path: str) -> None:
    """A name that becomes another method when it is decoded, or a path that climbs out of the files, is not passed on."""
    address = URL(stand.url + path.replace("{}", stand.token), encoded=True)
    async with ClientSession() as session, session.get(address) as answer:
        assert answer.status == 404
    assert stand.api.known(TOKEN).called["getUpdates"] == 0


async def test_kinds_that_are_no_list_are_passed_over(stand: Stand) -> None:
    """As Telegram does; the bot is not deaf for them, now or after a restart."""
    stand.crowd.says("hi")
    assert texts(await stand.updates(timeout=5, allowed_updates="message")) == ["hi"]


async def test_the_token_of_another_bot_gets_none_of_its_updates(stand: Stand) -> None:
    """Nor is the offset of the one said of the other, whose updates would be confirmed unread."""
    stand.crowd.says("for 123456")
    assert texts(await stand.updates(timeout=5)) == ["for 123456"]
    await stand.stop()
    other = TOKEN.replace("123456", "654321")
    stand.api.bot(other).says("for 654321")
    stand.settings["token"] = other
    await stand.start()
    assert stand.token.startswith("654321:")
    assert texts(await stand.updates(timeout=5)) == ["for 654321"]


async def test_a_new_token_is_taken_when_the_old_one_is_refused(stand: Stand) -> None:
    """By a bot that only polls, too. The token of another bot is not, and the old one stays locked meanwhile."""
    file = stand.paths.folder / "token.txt"
    file.write_text(TOKEN)
    await stand.stop()
    stand.settings["token"] = "file:token.txt"
    await stand.start()
    await stand.updates()
    stand.api.revoke(TOKEN)
    file.write_text("654321:AAofanotherbot")
    while (await stand.call("getUpdates", timeout=1))["ok"]:
        pass
    assert (await stand.call("getMe"))["error_code"] == 401
    assert token_holder(TOKEN) is not None and token_holder("654321:AAofanotherbot") is None


async def test_a_poll_alone_finds_the_new_token(stand: Stand) -> None:
    """A refusal that getUpdates brought is looked into by the next getUpdates."""
    file = stand.paths.folder / "token.txt"
    file.write_text(TOKEN)
    await stand.stop()
    stand.settings["token"] = "file:token.txt"
    await stand.start()
    await stand.updates()
    stand.api.revoke(TOKEN)
    file.write_text(TOKEN + "new")
    stand.api.bot(TOKEN + "new").says("hi")
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(15):
        while not found:
            found = (await stand.call("getUpdates", timeout=1)).get("result", [])
    assert texts(found) == ["hi"] and token_holder(TOKEN) is None


async def test_only_so_many_large_bodies_are_held_at_once(stand: Stand, eventually: Any) -> None:
    """The others wait before they are read, small calls pass them by, and all are answered in the end."""
    stand.crowd.says("hi")
    stalls = stand.api.faults.add(Fault(FaultKind.STALL, "sendDocument", delay_s=0.5, times=9))
    uploads = [asyncio.create_task(upload(stand, 3 << 20)) for _ in range(UPLOADS_AT_ONCE + 2)]
    await eventually(lambda: stalls.struck == UPLOADS_AT_ONCE)
    assert (await stand.call("getMe"))["ok"] and stalls.struck == UPLOADS_AT_ONCE
    assert [(await task)["ok"] for task in uploads] == [True] * (UPLOADS_AT_ONCE + 2)


async def upload(stand: Stand, size: int) -> Any:
    form = FormData({"chat_id": str(ADA.id)})
    form.add_field("document", b"x" * size, filename="x.bin")
    async with ClientSession() as session, session.post(f"{stand.url}/bot{stand.token}/sendDocument", data=form) as answer:
        return await answer.json()
