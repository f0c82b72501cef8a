"""getUpdates of the Bot API double keeps Telegram's rules: what an offset confirms, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.testing.conftest import TOKEN

from processsupervisor.testing.botapi.server import BotApi


def call(api: BotApi, method: str, query: str = "") -> Any:
    """Return the result of a method, as a client without any library would ask for it."""
    with urlopen(f"{api.url}/bot{TOKEN}/{method}?{query}", timeout=10) as answer:
        return json.load(answer)["result"]


def refused(api: BotApi, method: str, query: str = "") -> dict[str, Any]:
    with pytest.raises(HTTPError) as caught:
        call(api, method, query)
    with caught.value as err:
        return dict(json.load(err))


def ids(updates: list[dict[str, Any]]) -> list[int]:
    return [update["update_id"] for update in updates]


def test_an_update_comes_until_an_offset_behind_it_confirms_it(api: BotApi) -> None:
    """Asked again without an offset behind it, the server gives the same update again; confirmed, it is gone for every offset."""
    api.bot(TOKEN).says("one")
    api.bot(TOKEN).says("two")
    first, second = ids(call(api, "getUpdates", "timeout=5"))
    assert second == first + 1
    assert ids(call(api, "getUpdates", f"offset={first}")) == [first, second]
    assert ids(call(api, "getUpdates", f"offset={second}&limit=1")) == [second]
    assert ids(call(api, "getUpdates", "offset=0")) == [second]
    assert call(api, "getUpdates", f"offset={second + 1}") == []


def test_a_negative_offset_counts_from_the_end_and_forgets_the_rest(api: BotApi) -> None:
    """-1 is the newest alone; what came before it is gone."""
    for text in "abc":
        api.bot(TOKEN).says(text)
    (newest,) = call(api, "getUpdates", "offset=-1")
    assert newest["message"]["text"] == "c"
    assert call(api, "getUpdates") == [newest]


def test_a_poll_waits_and_is_woken_by_what_comes(api: BotApi) -> None:
    """A poll without updates is held; a message ends it at once, not at its timeout."""
    found: list[Any] = []
    poll = threading.Thread(target=lambda: found.extend(call(api, "getUpdates", "timeout=9")))
    poll.start()
    api.wait_for_poll(TOKEN)
    began = time.monotonic()
    api.bot(TOKEN).says("hello")
    poll.join(9)
    assert found[0]["message"]["text"] == "hello" and time.monotonic() - began < 3


def test_a_second_poller_sends_the_first_away_and_waits_on(api: BotApi) -> None:
    """The first has its 409 in Telegram's words, the second gets what comes; it is counted."""
    first: list[dict[str, Any]] = []
    second: list[Any] = []
    one = threading.Thread(target=lambda: first.append(refused(api, "getUpdates", "timeout=9")))
    one.start()
    api.wait_for_poll(TOKEN, 1)
    other = threading.Thread(target=lambda: second.extend(call(api, "getUpdates", "timeout=9")))
    other.start()
    one.join(9)
    assert first[0]["error_code"] == 409 and "terminated by other getUpdates request" in first[0]["description"]
    assert api.known(TOKEN).conflicts == 1
    api.bot(TOKEN).says("hello")
    other.join(9)
    assert len(second) == 1


def test_a_poll_that_gets_something_at_once_sends_nobody_away(api: BotApi) -> None:
    """Two pollers without waiting each see what waits: Telegram does not notice the second one."""
    api.bot(TOKEN).says("hello")
    assert call(api, "getUpdates") == call(api, "getUpdates")
    assert api.known(TOKEN).conflicts == 0


def test_no_poll_beside_a_webhook(api: BotApi) -> None:
    """With a webhook set getUpdates is a 409 that names the way out, and setting one ends the poll under way."""
    answers: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: answers.append(refused(api, "getUpdates", "timeout=9")))
    poll.start()
    api.wait_for_poll(TOKEN)
    call(api, "setWebhook", "url=http://127.0.0.1:9/hook")
    poll.join(9)
    assert "terminated by setWebhook request" in answers[0]["description"]
    assert "deleteWebhook" in refused(api, "getUpdates")["description"]
    call(api, "deleteWebhook")
    assert call(api, "getUpdates") == []


def test_a_client_that_hangs_up_takes_nothing_with_it(api: BotApi) -> None:
    """A poll whose client has gone confirms nothing, and its place is free without a conflict."""

    async def hang_up() -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
        writer.write(f"GET /bot{TOKEN}/getUpdates?timeout=9 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.to_thread(api.wait_for_poll, TOKEN)
        writer.close()

    asyncio.run(hang_up())
    api.bot(TOKEN).says("hello")
    assert len(call(api, "getUpdates", "timeout=5")) == 1


def test_numbers_that_jump_back_are_given_whatever_the_offset(api: BotApi) -> None:
    """An offset far behind the newest number is taken for a mistake: nothing is forgotten, and everything is given."""
    api.bot(TOKEN).says("before")
    (before,) = call(api, "getUpdates")
    call(api, "getUpdates", f"offset={before['update_id'] + 1}")
    api.known(TOKEN).updates.jump(5)
    api.bot(TOKEN).says("after")
    (after,) = call(api, "getUpdates", f"offset={before['update_id'] + 1}&timeout=5")
    assert (after["update_id"], after["message"]["text"]) == (5, "after")
    assert call(api, "getUpdates", "offset=6") == []


def test_an_update_can_come_twice(api: BotApi) -> None:
    """Repeated, it comes once more although it was confirmed."""
    api.bot(TOKEN).says("hello")
    (update,) = call(api, "getUpdates")
    api.bot(TOKEN).repeats()
    assert call(api, "getUpdates", f"offset={update['update_id'] + 1}&timeout=5") == [update]
    assert call(api, "getUpdates", f"offset={update['update_id'] + 1}") == []


def test_only_kinds_that_were_asked_for_come(api: BotApi) -> None:
    """allowed_updates holds for what comes later, and until another list is given."""
    call(api, "getUpdates", 'allowed_updates=["edited_message"]')
    number = api.bot(TOKEN).says("hello")
    api.bot(TOKEN).edits(number, "hello!")
    (update,) = call(api, "getUpdates")
    assert update["edited_message"]["text"] == "hello!"
    assert call(api, "getWebhookInfo")["allowed_updates"] == ["edited_message"]


def test_tokens_that_are_none_and_tokens_that_are_revoked(api: BotApi) -> None:
    """404 for what has not the shape of a token, 401 for one that is no longer valid."""
    api.revoke(TOKEN)
    assert refused(api, "getMe")["error_code"] == 401
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{api.url}/botnonsense/getMe", timeout=5)
    with caught.value as err:
        assert err.code == 404
