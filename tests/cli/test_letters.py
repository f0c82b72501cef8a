"""`psv letter …` on the real files of a bot, and of one that runs."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.cli.test_data import talk

from processsupervisor.kernel.errors import EXIT_OK, EXIT_REFUSED
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Incoming, Outcome, Place


@pytest.fixture
def database(folder):
    path = FleetPaths(folder).bot_data("echo") / "bot.db"
    talk(path, "one", "boom")
    return path


def test_letters_are_listed_and_shown(psv, database):
    """With number, reason and text; also by the bot's own verb."""
    listed = psv("letter", "list", "echo")
    assert listed.returncode == EXIT_OK and "web/ada" in listed.stdout and "boom" in listed.stdout and "one" not in listed.stdout
    (letter,) = json.loads(psv("bot", "letters", "echo", "--json").stdout)
    shown = psv("letter", "show", "echo", str(letter["letter"]))
    assert "boom" in shown.stdout and "web/ada" in shown.stdout
    assert shown.stdout.endswith("\n\nboom\n") and "x0a" not in shown.stdout and "after 1 try\n" in shown.stdout
    assert json.loads(psv("letter", "show", "echo", str(letter["letter"]), "--json").stdout)["text"] == "boom"


def test_a_letter_of_a_stopped_bot_is_replayed_when_it_starts(psv, database):
    """It is an open message again, and no letter any more."""
    number = str(json.loads(psv("letter", "list", "echo", "--json").stdout)[0]["letter"])
    done = psv("letter", "replay", "echo", number)
    assert done.returncode == EXIT_OK and "when it starts; if it fails again, psv letter list has it under a new" in done.stdout, done.stderr
    assert json.loads(psv("letter", "list", "echo", "--json").stdout) == []
    assert json.loads(psv("bot", "db", "echo", "--json").stdout)["counts"]["unanswered"] == 1
    again = psv("letter", "replay", "echo", number)
    assert again.returncode == EXIT_REFUSED and "psv letter list echo" in again.stderr and "a new number" in again.stderr


def test_a_letter_is_dropped_once(psv, database):
    """The message stays in the past of its conversation."""
    number = str(json.loads(psv("letter", "list", "echo", "--json").stdout)[0]["letter"])
    assert psv("letter", "drop", "echo", number).returncode == EXIT_OK
    assert "no letter" in psv("letter", "drop", "echo", number).stderr
    assert json.loads(psv("bot", "db", "echo", "--json").stdout)["counts"]["messages"] == 2
    assert "no message" in psv("letter", "list", "echo").stdout


def test_a_letter_says_how_to_see_what_an_exception_said(psv, database):
    """Its text is not kept; what psv itself said is."""
    asyncio.run(fail(database, "KeyError at bots.py:7 in answer", 'UsageError: found "…", expected a duration at bots.py:9 in answer'))
    newest, before, _ = json.loads(psv("letter", "list", "echo", "--json").stdout)
    assert "what it said: not kept" in psv("letter", "show", "echo", str(before["letter"])).stdout
    assert "what it said" not in psv("letter", "show", "echo", str(newest["letter"])).stdout


async def fail(path, *details: str) -> None:
    """Have a bot give up a message for each."""
    bot = BotDatabase(path)
    for detail in details:
        row = (await bot.accept(Incoming(Place("web", "ada"), detail, "ada", "boom"), "A program answers.")).row
        await bot.complete(row, [], Changes(), outcome=Outcome.DEAD, reason="error", detail=detail)
    await bot.close()
