"""GET events of a chat: what is sent, and that kill -9 of either side neither loses nor repeats a final message."""

from __future__ import annotations

import signal
import threading
import time

import httpx
import pytest
from tests.web.webfleet import Fleet, finals, wait_for


def test_shape_and_ids(fleet: Fleet) -> None:
    """Data has exactly four keys; pieces carry the text so far and no SSE id, the final one its durable number."""
    fleet.start_bot("guide")
    with fleet.events("/chat/guide/events?last_event_id=0") as events:
        fleet.post("guide", {"id": "m1", "text": "hello"})
        piece, final = next(events), next(events)
    assert piece == {"id": None, "event": "message", "data": {"id": "r-m1", "reply_to": "m1", "text": "You said", "final": False}}
    assert final == {"id": "1", "event": "message", "data": {"id": "r-m1", "reply_to": "m1", "text": "You said: hello", "final": True}}


def test_from_now_on(fleet: Fleet) -> None:
    """Without a position a stream begins now: nothing said before is repeated."""
    fleet.start_bot("guide")
    fleet.post("guide", {"id": "m1", "text": "before"})
    wait_for("first reply", lambda: "You said: before" in fleet.client.get(f"{fleet.url}/chat/guide/history").text)
    with fleet.events("/chat/guide/events") as events:
        fleet.post("guide", {"id": "m2", "text": "after"})
        assert [event["data"]["reply_to"] for event in finals(events, 1)] == ["m2"]


@pytest.mark.parametrize("how", ["header", "query"])
def test_resumes_behind_last_event_id(fleet: Fleet, how: str) -> None:
    """Last-Event-ID, as header or as query, gives everything final after it, in order, once."""
    fleet.start_bot("guide")
    with fleet.events("/chat/guide/events?last_event_id=0") as events:
        for number in range(5):
            fleet.post("guide", {"id": f"m{number}", "text": str(number)})
        seen = finals(events, 5)
    headers = {"Last-Event-ID": seen[1]["id"]} if how == "header" else {}
    query = f"?last_event_id={seen[1]['id']}" if how == "query" else "?last_event_id=0"
    with fleet.events("/chat/guide/events" + query, **headers) as events:
        assert finals(events, 3) == seen[2:]


def test_bad_position_is_refused(fleet: Fleet) -> None:
    """A Last-Event-ID that is none of ours is 400, not silently a stream from somewhere."""
    for wrong in ("x", "-1", "1.5", "9" * 30):
        answer = fleet.client.get(f"{fleet.url}/chat/guide/events", headers={"Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-position")


@pytest.mark.parametrize("position", ["", "?last_event_id=0"])
def test_stream_stays_open_over_kills_of_the_bot(fleet: Fleet, position: str) -> None:
    """One client stream lives through kill -9 of the bot, even in the middle of a reply; each reply comes once, in order."""
    fleet.start_bot("guide")
    with fleet.events("/chat/guide/events" + position) as events:
        got: list[dict[str, object]] = []
        reader = threading.Thread(target=lambda: got.extend(finals(events, 6)))
        reader.start()
        for number in range(6):
            text = f"/slow {number + 2}" if number % 2 else "/quick"
            wait_for("acceptance", lambda t=text, n=number: fleet.post("guide", {"id": f"m{n}", "text": t}).status_code == 202)
            if number % 2:
                time.sleep(0.15)  # into the middle of the pieces; any moment is right
                fleet.kill_bot("guide")
                fleet.start_bot("guide")
        reader.join(30)
    assert [event["data"]["reply_to"] for event in got] == [f"m{n}" for n in range(6)]
    assert [int(event["id"]) for event in got] == sorted({int(event["id"]) for event in got})


def test_bot_that_was_away_at_first(fleet: Fleet) -> None:
    """A stream opened while the bot is away stays open, and has what the returning bot says first, but not what was before."""
    fleet.start_bot("guide")
    fleet.post("guide", {"id": "m1", "text": "before"})
    wait_for("first reply", lambda: "You said: before" in fleet.client.get(f"{fleet.url}/chat/guide/history").text)
    fleet.post("guide", {"id": "m2", "text": "/slow 30"})
    fleet.kill_bot("guide")
    with fleet.events("/chat/guide/events") as events:
        fleet.start_bot("guide")
        assert [event["data"]["reply_to"] for event in finals(events, 1)] == ["m2"]


def test_resumes_over_kill_of_web(fleet: Fleet) -> None:
    """kill -9 of web ends the streams and nothing else: on the same port, by Last-Event-ID, all is there once."""
    fleet.start_bot("guide")
    url, last, seen = fleet.url, "0", []
    for number in range(3):
        fleet.post("guide", {"id": f"m{number}", "text": "/later x"})
        try:
            with fleet.events("/chat/guide/events?last_event_id=0", **{"Last-Event-ID": last}) as events:
                for event in finals(events, 1):
                    seen.append(event["data"]["id"])
                    last = event["id"]
                fleet.kill_web()
                for event in finals(events, 1):
                    seen.append(event["data"]["id"])
                    last = event["id"]
        except (httpx.HTTPError, AssertionError):
            pass
        fleet.start_web()
        assert fleet.url == url
    with fleet.events("/chat/guide/events?last_event_id=0", **{"Last-Event-ID": last}) as events:
        seen += [event["data"]["id"] for event in finals(events, 6 - len(seen))]
    assert seen == ["r-m0", "self-m0", "r-m1", "self-m1", "r-m2", "self-m2"]


def test_client_that_does_not_read_holds_up_nobody(fleet: Fleet) -> None:
    """A stopped reader costs its own stream only: another reader of the same conversation gets everything."""
    fleet.start_bot("guide")
    with fleet.events("/chat/guide/events?last_event_id=0"), fleet.events("/chat/guide/events?last_event_id=0") as reading:
        for number in range(40):
            assert fleet.post("guide", {"id": f"m{number}", "text": "x" * 30000}).status_code == 202
        assert len(finals(reading, 40)) == 40


def test_page_hears_of_presence(fleet: Fleet) -> None:
    """With render=1 the stream says whether the bot can be reached, and carries html beside the text."""
    with fleet.events("/chat/guide/events?render=1&last_event_id=0") as events:
        assert next(events) == {"id": None, "event": "presence", "data": {"present": False}}
        fleet.start_bot("guide")
        assert next(events)["data"] == {"present": True}
        fleet.post("guide", {"id": "m1", "text": "*hi*"})
        assert finals(events, 1)[0]["data"]["html"] == "<p>You said: <em>hi</em></p>\n"
        fleet.bot_processes["guide"].send_signal(signal.SIGKILL)
        assert next(events)["data"] == {"present": False}


def test_bot_taken_out_of_the_fleet(fleet: Fleet) -> None:
    """When the configuration no longer names the bot, its stream ends and the next one is 404."""
    with fleet.events("/chat/guide/events?render=1") as events:
        next(events)
        del fleet.bots["guide"]
        fleet.apply()
        assert list(events) == []
    assert fleet.client.get(f"{fleet.url}/chat/guide/events").status_code == 404
