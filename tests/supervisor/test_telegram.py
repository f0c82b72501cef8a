"""Bots on Telegram in a real fleet: whose token is refused, of another bot or in use ends in a clear state; the others answer all."""

from __future__ import annotations

import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.testing.botapi.people import Person
from processsupervisor.testing.botapi.server import BotApi

ANNA, BAD, OTHER = "123456:AAannasecretannasecretannasecret", "223456:AAbadsecretbadsecretbadsecretba", "323456:AAothersecretothersecretother"
PEOPLE = 20


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi(conflict_pause_s=0.2) as double:
        yield double


def test_tokens_end_in_clear_states_and_kills_lose_nothing(fleet: LiveFleet, api: BotApi) -> None:
    """Refused: auth. Of another bot: auth. In use by another program: conflict. The others answer everything, through kill -9 too."""
    fleet.write("bots.py", "from processsupervisor import Bot, Message\nbot = Bot()\n\n@bot.on_message\n"
                           "async def echo(message: Message) -> str:\n    return f'echo {message.text}'\n")  # fmt: skip
    api.revoke(BAD)
    bots = {"anna": (ANNA, ""), "bad": (BAD, ""), "other": (OTHER, 'expect = "@somebody_else"')}
    fleet.configure("".join(
        f'[bots.{name}]\nrun = "bots:bot"\nnetworks.telegram.token = "{token}"\nnetworks.telegram.base_url = "{api.url}"\n'
        f"{f'networks.telegram.{more}' if more else ''}\n"
        for name, (token, more) in bots.items()
    ))  # fmt: skip
    fleet.up()
    people = [Person(100 + number, f"P{number}") for number in range(PEOPLE)]
    crowd = api.bot(ANNA)
    for person in people:
        crowd.says("hello", person)
    crowd.wait_until(2 * PEOPLE, 30.0)
    for name in ("bad", "other"):
        state = fleet.until(name, state="FAILED")
        assert (state["reason"], state["exit_code"]) == ("auth", 77), state
    assert fleet.detail("anna")["connected"] is True

    for number in range(3):
        for person in people:
            crowd.says(f"round {number}", person)
        os.kill(fleet.bot("anna")["pid"], signal.SIGKILL)
        eventually(lambda n=number: sum(crowd.times_shown()[f"echo round {k}"] for k in range(n + 1)) >= PEOPLE * (n + 1), "every answer")
    for person in people:
        texts = crowd.texts(person.id)
        assert set(texts) >= {"echo hello", "echo round 0", "echo round 1", "echo round 2"}

    stop = threading.Event()
    thief = threading.Thread(target=_poll, args=(api, stop), daemon=True)
    thief.start()
    try:
        state = fleet.until("anna", state="FAILED")
    finally:
        stop.set()
        thief.join(30.0)
    assert (state["reason"], state["exit_code"]) == ("conflict", 79), state
    logs = (fleet.paths.logs / "bots" / "anna" / "stderr.log").read_text() + (fleet.paths.logs / "bots" / "bad" / "stderr.log").read_text()
    assert "the token is refused" in logs and "secret" not in logs


def _poll(api: BotApi, stop: threading.Event) -> None:
    """Receive with Anna's token, as another program would."""
    while not stop.is_set():
        try:
            urllib.request.urlopen(f"{api.url}/bot{ANNA}/getUpdates?timeout=1", timeout=10).read()
        except (urllib.error.URLError, OSError):
            stop.wait(0.05)
