"""The double of the Bot API keeps what its tests rely on: offsets confirm, polls wait, and two pollers of one token do not stay unseen."""

from __future__ import annotations

import json
import threading
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.doubles.telegram import Telegram

TOKEN = "1:x"


def get(api: Telegram, query: str) -> list[dict[str, object]]:
    with urlopen(f"{api.url}/bot{TOKEN}/getUpdates?{query}", timeout=10) as answer:
        return list(json.load(answer)["result"])


def test_an_update_comes_until_it_is_confirmed() -> None:
    """Asked again without an offset behind it, the server gives the same update again."""
    with Telegram() as api:
        api.say(TOKEN, "hello")
        assert [update["update_id"] for update in get(api, "timeout=5")] == [1]
        assert [update["update_id"] for update in get(api, "timeout=5&offset=1")] == [1]
        assert get(api, "timeout=0&offset=2") == []


def test_a_second_poller_sends_the_first_away_and_is_counted() -> None:
    """The first has its 409, the second waits on and gets what comes."""
    with Telegram() as api:
        statuses: list[int] = []
        second: list[list[dict[str, object]]] = []

        def poll() -> None:
            try:
                get(api, "timeout=9")
            except HTTPError as err:
                statuses.append(err.code)
                err.close()

        first = threading.Thread(target=poll)
        first.start()
        api.wait_for_ready(TOKEN, 1, 10)
        other = threading.Thread(target=lambda: second.append(get(api, "timeout=9")))
        other.start()
        first.join(10)
        assert statuses == [409] and api.conflicts == {TOKEN: 1}
        api.say(TOKEN, "hello")
        other.join(10)
        assert len(second[0]) == 1
