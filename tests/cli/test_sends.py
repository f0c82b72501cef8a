"""`psv send …` on the real file of a bot: what was unknown of its sends is shown, and ended by a person."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sqlite3

import pytest

from processsupervisor.kernel.errors import EXIT_OK, EXIT_REFUSED
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Extras, FileOut, Incoming, Place, Reply, SendState


@pytest.fixture
def database(folder):
    """Three replies: one unknown and not resent, one sent again, one that simply went out."""
    path = FleetPaths(folder).bot_data("echo") / "bot.db"

    async def run() -> None:
        bot = BotDatabase(path)
        for text in ("one", "two", "three"):
            row = (await bot.accept(Incoming(Place("far", "ada"), text, "ada", text), None)).row
            (out,) = await bot.complete(row, [Reply(f"echo {text} " + "and so on " * 9)], Changes(), state=SendState.WAITING)
            await bot.sending([out.id])
            if text != "three":
                await bot.send_unknown(out.id, resend=text == "two")
            await bot.sent(out.id, text)
        await bot.close()

    asyncio.run(run())
    return path


def listed(psv) -> list[dict]:
    return json.loads(psv("send", "list", "echo", "--json").stdout)


def test_sends_of_which_it_was_unknown_are_listed(psv, database):
    """With time, conversation, state and the beginning of the text; also by the bot's own verb, and told where letters are."""
    shown = psv("bot", "sends", "echo")
    assert shown.returncode == EXIT_OK, shown.stderr
    assert "unknown, not resent" in shown.stdout and "uncertain, sent again" in shown.stdout and "far/ada" in shown.stdout
    assert "echo one and so on" in shown.stdout and "and so on " * 9 not in shown.stdout and "three" not in shown.stdout
    again, ended = listed(psv)
    assert (ended["state"], again["state"]) == ("unknown, not resent", "uncertain, sent again")
    assert ended["text"].startswith("echo one ") and (ended["network"], ended["conversation"], ended["attempts"]) == ("far", "ada", 1)
    letters = psv("letter", "list", "echo")
    assert "given up no message" in letters.stdout and "psv send list echo" in letters.stdout


def test_one_is_sent_after_all_when_the_stopped_bot_starts(psv, database):
    """It waits in the file; what was sent again already is not, and the way to what there is is said."""
    again, ended = listed(psv)
    done = psv("send", "again", "echo", str(ended["send"]))
    assert done.returncode == EXIT_OK and "when it starts" in done.stdout, done.stderr
    assert listed(psv)[1]["state"] == "uncertain, to be sent again"
    assert json.loads(psv("bot", "db", "echo", "--json").stdout)["counts"]["unsent"] == 1
    for number in (again["send"], ended["send"], 999):
        refused = psv("send", "again", "echo", str(number))
        assert refused.returncode == EXIT_REFUSED and "psv send list echo" in refused.stderr


def test_one_is_dropped_once(psv, database):
    """It is listed no more, and was marked all the same; what waits to be sent is not dropped."""
    again, ended = listed(psv)
    assert psv("send", "drop", "echo", str(ended["send"])).returncode == EXIT_OK
    assert [send["send"] for send in listed(psv)] == [again["send"]]
    for verb in ("drop", "again"):
        assert psv("send", verb, "echo", str(ended["send"])).returncode == EXIT_REFUSED
    assert json.loads(psv("bot", "db", "echo", "--json").stdout)["counts"]["uncertain"] == 2
    assert psv("send", "drop", "echo", str(again["send"])).returncode == EXIT_OK
    assert "no send" in psv("send", "list", "echo").stdout and "psv send" not in psv("letter", "list", "echo").stdout


def test_one_whose_file_is_gone_stays_as_it_is(psv, database):
    """Half a message is not sent."""
    extras = Extras(files=(FileOut("files/gone.txt", "gone.txt", "text/plain"),))

    async def run() -> None:
        bot = BotDatabase(database)
        row = (await bot.accept(Incoming(Place("far", "ada"), "four", "ada", "four"), None)).row
        (out,) = await bot.complete(row, [Reply("four", extras)], Changes(), state=SendState.WAITING)
        await bot.sending([out.id])
        await bot.send_unknown(out.id, resend=False)
        await bot.close()

    asyncio.run(run())
    number = listed(psv)[0]["send"]
    refused = psv("send", "again", "echo", str(number))
    assert refused.returncode == EXIT_REFUSED and "not kept" in refused.stderr
    with sqlite3.connect(database) as file:
        assert file.execute("SELECT state FROM outbox WHERE seq = ?", (number,)).fetchone() == (SendState.UNCERTAIN,)
    file.close()


def test_a_bot_that_runs_is_asked(psv, database, folder, fleet, keeper):
    """Over psvd: the file is the bot's alone while it runs. What the bot answers is told."""
    paths = FleetPaths(folder)
    paths.bot_data("echo").rename(paths.bot_data("alice"))
    lock = paths.bot_run("alice") / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done, refused = psv("send", "again", "alice", "7"), psv("send", "again", "alice", "8")
        assert len(json.loads(psv("send", "list", "alice", "--json").stdout)) == 2
    assert done.returncode == EXIT_OK and "alice sends 7 again" in done.stdout, done.stderr
    assert refused.returncode == EXIT_REFUSED and "it has no send 8" in refused.stderr and "psv send list alice" in refused.stderr
