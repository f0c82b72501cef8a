"""The web addresses in front of a whole real fleet: keeper, psvd, logd, a bot of ours and a script, killed one after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.webfleet import DEADLINE_S, finals, parse_events, wait_for

pytestmark = pytest.mark.slow

CONFIG = """
[fleet]
name = "whole"
[web]
listen = "127.0.0.1:18450"
next_free = true
[bots.teller]
run = "tellers:bot"
[bots.old]
script = "old.py"
ready = { after = "0s" }
"""
TELLER = """
import asyncio
from processsupervisor import Bot, Message
bot = Bot()

@bot.on_message
async def tell(message: Message):
    print("telling", flush=True)
    for number in range(6):
        yield f"{message.text}{number} "
        await asyncio.sleep(0.1)
"""
OLD = "import time\nprint('old words', flush=True)\ntime.sleep(1000)\n"


class Whole:
    """A fleet started by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("fleet.toml", CONFIG), ("tellers.py", TELLER), ("old.py", OLD)):
            (folder / name).write_text(text)

    def psv(self, *words: str) -> str:
        argv = [sys.executable, "-P", "-m", "processsupervisor.cli.main", "-C", str(self.folder), *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def url(self) -> str:
        return wait_for("the page's address", lambda: json.loads(self.psv("status", "--json")).get("web")).rstrip("/")

    def bots(self) -> list[dict[str, Any]]:
        return json.loads(self.psv("bot", "list", "--json"))

    def kill_role(self, role: str) -> None:
        processes = json.loads(self.psv("status", "--json"))["processes"]
        os.kill(next(process["pid"] for process in processes if process["role"] == role), signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A running fleet; every test leaves it running."""
    fleet = Whole(tmp_path_factory.mktemp("whole"))
    fleet.psv("up", "--detach", "--wait", "--timeout", "60s")
    yield fleet
    fleet.psv("down")


def post(whole: Whole, url: str, id_: str, conversation: str) -> None:
    """Post until it is accepted, under one id, as the page does."""
    body = {"id": id_, "text": id_, "conversation": conversation}

    def accepted() -> bool:
        try:
            answer = httpx.post(f"{url}/chat/teller/messages", json=body, timeout=DEADLINE_S, trust_env=False)
        except httpx.HTTPError:
            return False
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    wait_for(f"{id_} to be accepted", accepted, 40)


def test_same_objects_as_the_command_line(whole: Whole) -> None:
    """GET /api/bots has what `psv bot list --json` has; the live list adds chat and the last words."""
    steady = ("name", "kind", "state", "pid", "generation", "restarts")
    shown = httpx.get(f"{whole.url}/api/bots", trust_env=False).json()
    assert [{key: bot[key] for key in steady} for bot in shown] == [{key: bot[key] for key in steady} for bot in whole.bots()]
    assert all(set(bot) == set(listed) for bot, listed in zip(shown, whole.bots(), strict=True))
    with httpx.Client(timeout=DEADLINE_S, trust_env=False) as client, client.stream("GET", f"{whole.url}/api/events") as answer:
        words: dict[str, str | None] = {}
        for event in parse_events(answer.iter_lines()):
            words |= {bot["name"]: bot["last_log"] for bot in event["data"]["bots"]}
            if words.get("old") == "old words":
                break
    assert httpx.post(f"{whole.url}/chat/old/messages", json={"id": "m", "text": "x"}, trust_env=False).status_code == 409


@pytest.mark.parametrize("victim", ["bot", "psvd", "logd", "web"])
def test_reply_comes_once_whoever_is_killed(whole: Whole, victim: str) -> None:
    """In the middle of a reply somebody is killed with -9: each message is answered once and in order."""
    url, conversation, last, seen = whole.url, f"c-{victim}", "0", []
    answered: list[str] = []
    killed = False
    ends = time.monotonic() + 60
    while len(answered) < 3 and time.monotonic() < ends:
        try:
            with (
                httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
                client.stream("GET", f"{url}/chat/teller/events?conversation={conversation}", headers={"Last-Event-ID": last}) as stream,
            ):
                events = parse_events(stream.iter_lines())
                if not killed:
                    killed = True
                    for number in range(3):
                        post(whole, url, f"m{number}", conversation)
                    kill(whole, victim)
                while len(answered) < 3:
                    event = finals(events, 1)[0]
                    last = event["id"]
                    seen.append(event["data"]["id"])
                    if event["data"]["reply_to"]:
                        answered.append(event["data"]["text"])
        except (httpx.HTTPError, AssertionError, StopIteration):
            time.sleep(0.1)
            url = whole.url
    assert len(seen) == len(set(seen))
    assert [text.split()[0] for text in answered if text.endswith(("5", "5 "))] == ["m00", "m10", "m20"]


def kill(whole: Whole, victim: str) -> None:
    match victim:
        case "bot":
            os.kill(next(bot["pid"] for bot in whole.bots() if bot["name"] == "teller"), signal.SIGKILL)
        case role:
            whole.kill_role(role)


def test_paused_bot_is_503_and_goes_on(whole: Whole) -> None:
    """A paused bot refuses by 503 `paused`; after resume the same message is accepted."""
    url = whole.url
    whole.psv("bot", "pause", "teller")
    body = {"id": "p1", "text": "p", "conversation": "pause"}
    answer = httpx.post(f"{url}/chat/teller/messages", json=body, trust_env=False)
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (503, "paused", True)
    whole.psv("bot", "resume", "teller")
    post(whole, url, "p1", "pause")
