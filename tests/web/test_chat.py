"""POST messages and GET history of a bot's chat: what is accepted, and what each wrong request is told."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import pytest
from tests.web.webfleet import Fleet, finals, wait_for


def history(fleet: Fleet, conversation: str = "default") -> list[tuple[str, str]]:
    answer = fleet.client.get(f"{fleet.url}/chat/guide/history", params={"conversation": conversation})
    return [(message["from"], message["text"]) for message in answer.json()["messages"]]


def test_accepted_means_committed(fleet: Fleet) -> None:
    """202 is said after the bot committed: the message is there and answered though the bot is killed at once."""
    fleet.start_bot("guide")
    answer = fleet.post("guide", {"id": "m1", "text": "hello"})
    fleet.kill_bot("guide")
    assert (answer.status_code, answer.json()) == (202, {"id": "m1"})
    fleet.start_bot("guide")
    wait_for("the reply", lambda: history(fleet) == [("contact", "hello"), ("bot", "You said: hello")])


def test_same_id_is_handled_once(fleet: Fleet) -> None:
    """A message that is sent again under its id is accepted again and answered once."""
    fleet.start_bot("guide")
    assert [fleet.post("guide", {"id": "m1", "text": "hello"}).status_code for _ in range(3)] == [202] * 3
    with fleet.events("/chat/guide/events?last_event_id=0") as events:
        fleet.post("guide", {"id": "m2", "text": "end"})
        assert [event["data"]["reply_to"] for event in finals(events, 2)] == ["m1", "m2"]


def test_conversations_are_apart(fleet: Fleet) -> None:
    """A conversation of another name sees nothing of this one."""
    fleet.start_bot("guide")
    fleet.post("guide", {"id": "m1", "text": "mine", "conversation": "a"})
    fleet.post("guide", {"id": "m1", "text": "yours", "conversation": "b"})
    wait_for("both replies", lambda: len(history(fleet, "a")) == 2 and len(history(fleet, "b")) == 2)
    assert history(fleet, "a")[0] == ("contact", "mine")
    assert history(fleet) == []


def test_away_bot_is_503_until_it_is_back(fleet: Fleet) -> None:
    """While the bot is away the answer is 503 with Retry-After, and the same request succeeds when it is back."""
    body = {"id": "m1", "text": "hello"}
    away = fleet.post("guide", body)
    assert (away.status_code, away.json()["code"], int(away.headers["retry-after"]) >= 1) == (503, "bot-away", True)
    fleet.start_bot("guide")
    fleet.kill_bot("guide")
    assert fleet.post("guide", body).status_code == 503, "a socket left by a dead bot"
    fleet.start_bot("guide")
    assert fleet.post("guide", body).status_code == 202


def test_paused_bot_is_503(fleet: Fleet) -> None:
    """A paused bot takes nothing: 503 with Retry-After and the code that says why."""
    fleet.start_bot("guide")
    mark = fleet.paths.data / "guide.db.paused"
    mark.touch()
    paused = fleet.post("guide", {"id": "m1", "text": "hello"})
    assert (paused.status_code, paused.json()["code"], "retry-after" in paused.headers) == (503, "paused", True)
    mark.unlink()
    assert fleet.post("guide", {"id": "m1", "text": "hello"}).status_code == 202


def test_stopped_bot_costs_ten_seconds_and_nobody_else(fleet: Fleet) -> None:
    """A bot that accepts and says nothing is 503 after the deadline; other bots answer meanwhile."""
    fleet.start_bot("guide")
    fleet.start_bot("notes")
    fleet.bot_processes["guide"].send_signal(signal.SIGSTOP)
    answers: list[tuple[int, str, float]] = []

    def ask() -> None:
        began = time.monotonic()
        answer = fleet.post("guide", {"id": "m1", "text": "hello"})
        answers.append((answer.status_code, answer.json()["code"], time.monotonic() - began))

    waiting = threading.Thread(target=ask)
    waiting.start()
    began = time.monotonic()
    assert fleet.post("notes", {"id": "m1", "text": "hello"}).status_code == 202
    assert time.monotonic() - began < 5
    waiting.join()
    status, code, took_s = answers[0]
    assert (status, code) == (503, "bot-timeout")
    assert 9 < took_s < 14


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 30000, "JSON"),
        (b"[]", "object"),
        (b"{}", '"id"'),
        (b'{"id": "m"}', '"text"'),
        (b'{"id": 5, "text": "x"}', '"id"'),
        (b'{"id": "", "text": "x"}', '"id"'),
        (b'{"id": "a\\u0000b", "text": "x"}', '"id"'),
        (b'{"id": "m", "text": 5}', '"text"'),
        (b'{"id": "m", "text": "  \\n"}', '"text"'),
        (b'{"id": "m", "text": "\\ud800"}', '"text"'),
        (b'{"id": "m", "text": "x", "conversation": 7}', '"conversation"'),
        (b'{"id": "m", "text": "x", "txet": "y"}', "'txet'"),
    ],
)
def test_bad_body_is_named(fleet: Fleet, body: bytes, named: str) -> None:
    """A body that is no message is 400, in JSON that names what is wrong and the way out; nothing is stored."""
    fleet.start_bot("guide")
    answer = fleet.client.post(f"{fleet.url}/chat/guide/messages", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert answer.status_code == 400
    assert set(problem) == {"code", "message", "hint"}
    assert named in problem["message"]
    assert problem["hint"]
    assert history(fleet) == []


def test_status_of_each_refusal(fleet: Fleet) -> None:
    """Type, size, unknown bot, program, wrong method and unknown address have a status each, always in JSON."""
    fleet.start_bot("guide")
    good = {"id": "m", "text": "x"}
    url = f"{fleet.url}/chat/guide/messages"
    answers = {
        415: fleet.client.post(url, content=json.dumps(good), headers={"Content-Type": "text/plain"}),
        413: fleet.post("guide", {"id": "m", "text": "x" * 70000}),
        404: fleet.post("nobody", good),
        409: fleet.post("legacy", good),
        405: fleet.client.get(url),
    }
    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    assert all(answer.json()["code"] and answer.json()["message"] for answer in answers.values())
    assert fleet.post("guide", {"id": "m", "text": "x" * 62000}).status_code == 413, "refused by the bot itself"
    assert fleet.client.get(f"{fleet.url}/nowhere").json()["code"] == "not-found"
    assert history(fleet) == []


def test_endless_body_is_cut_off(fleet: Fleet) -> None:
    """A chunked body without an end is refused at 64 KiB and soon read no further."""
    fleet.start_bot("guide")

    with socket.create_connection(("127.0.0.1", fleet.note()["port"]), 15) as raw:
        raw.sendall(
            b"POST /chat/guide/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sent = 0
        try:
            while sent < 64 << 20:
                sent += raw.send(b"2000\r\n" + b"x" * 8192 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
    pytest.fail("the server read for ever")


def test_no_text_in_the_log(fleet: Fleet) -> None:
    """What a person writes, and in which conversation, stands in no output of the process."""
    fleet.start_bot("guide")
    fleet.post("guide", {"id": "m1", "text": "my-secret-text", "conversation": "my-secret-room"})
    fleet.client.get(f"{fleet.url}/chat/guide/history?conversation=my-secret-room&limit=0")
    fleet.client.post(f"{fleet.url}/chat/guide/messages", content=b'{"my-secret-text', headers={"Content-Type": "application/json"})
    fleet.web.send_signal(signal.SIGTERM)
    out, err = fleet.web.communicate(timeout=10)
    assert b"my-secret" not in out + err


@pytest.mark.parametrize("press", [{}, {"message": "r1"}, {"message": "r1", "data": ""}, {"message": "r1", "data": "x", "more": 1}, "r1"])
def test_a_press_is_the_message_and_the_data_of_its_button(fleet: Fleet, press: object) -> None:
    """Nothing else is passed on to the bot."""
    fleet.start_bot("guide")
    answer = fleet.post("guide", {"id": "m1", "text": "Yes", "press": press})
    assert answer.status_code == 400 and "press" in answer.json()["message"]
    assert history(fleet) == []


def test_history_limit(fleet: Fleet) -> None:
    """History gives the newest `limit`, oldest first; a wrong limit is 400."""
    fleet.start_bot("guide")
    for number in range(4):
        fleet.post("guide", {"id": f"m{number}", "text": str(number)})
    wait_for("all replies", lambda: len(history(fleet)) == 8)
    newest = fleet.client.get(f"{fleet.url}/chat/guide/history?limit=2").json()["messages"]
    assert [message["text"] for message in newest] == [text for _, text in history(fleet)][-2:]
    assert [fleet.client.get(f"{fleet.url}/chat/guide/history?limit={wrong}").status_code for wrong in ("0", "x", "1e3", "101")] == [
        400
    ] * 4
