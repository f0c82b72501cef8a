"""`psv bot db`, `backup` and `restore`, as the real command on real files."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest
from tests.storage.old import make_version_1

from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_NO_SUCH_BOT, EXIT_OK, EXIT_REFUSED, EXIT_USAGE
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.storage.backup import facts_of
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Incoming, Outcome, Place, Reply


@pytest.fixture
def database(folder):
    return FleetPaths(folder).bot_data("echo") / "bot.db"


def talk(path, *texts: str) -> None:
    """Have a bot answer these; "boom" becomes a dead letter."""

    async def run() -> None:
        bot = BotDatabase(path)
        for text in texts:
            row = (await bot.accept(Incoming(Place("web", "ada"), text, "ada", text), "A program answers.")).row
            await bot.complete(row, [Reply(f"echo {text}")], Changes(), outcome=Outcome.DEAD if text == "boom" else Outcome.DONE)
        await bot.close()

    asyncio.run(run())


def test_db_says_what_is_in_it(psv, database):
    """Version, size, and what a person has words for; a bot without a database is said to have none."""
    nothing = psv("bot", "db", "echo")
    assert nothing.returncode == EXIT_REFUSED and "first message" in nothing.stderr
    talk(database, "one", "boom")
    shown = psv("bot", "db", "echo")
    assert shown.returncode == EXIT_OK and "schema 2" in shown.stdout and "no damage" in shown.stdout
    found = json.loads(psv("bot", "db", "echo", "--json").stdout)
    assert (found["version"], found["counts"]["messages"], found["counts"]["dead_letters"], found["counts"]["contacts"]) == (2, 2, 1, 1)
    assert found["rows"]["outbox"] == 3 and found["counts"]["unanswered"] == 0


def test_a_backup_is_put_back(psv, database):
    """What came later is gone, and lies beside."""
    talk(database, "one")
    made = psv("bot", "backup", "echo", "--to", "kept.db")
    assert made.returncode == EXIT_OK and "1 messages" in made.stdout, made.stderr
    talk(database, "two")
    for name in ("telegram-bot.json", "telegram-drafts.json", "telegram-hooks.json"):
        database.with_name(name).write_text("{}")
    back = json.loads(psv("bot", "restore", "echo", "kept.db", "--json").stdout)
    assert back["rows"]["inbox"] == 1 and facts_of(database).rows["inbox"] == 1 and facts_of(Path(back["kept"])).rows["inbox"] == 2
    stamp = back["kept"].rpartition(".before-")[2]
    assert {path.name for path in database.parent.glob("*.json*")} == {
        f"telegram-bot.json.before-{stamp}", f"telegram-drafts.json.before-{stamp}", "telegram-hooks.json"}


def test_backups_have_a_place_of_their_own(psv, database, folder):
    """Private, checked, named by bot and time; also of a bot that fleet.toml has no more."""
    talk(database, "one")
    (folder / "fleet.toml").write_text('[fleet]\nname = "demo"\n')
    told = json.loads(psv("bot", "backup", "echo", "--json").stdout)
    (only,) = (folder / ".psv" / "data" / "backups").iterdir()
    assert told["file"].endswith(only.name) and only.name.startswith("echo-") and only.stat().st_mode & 0o077 == 0


def test_a_running_bot_is_not_restored(psv, database, folder):
    """Its lock is the truth; the way out is said and nothing was changed."""
    make_version_1(folder / "old.db")
    talk(database, "one")
    lock = FleetPaths(folder).bot_run("echo") / "lock"
    lock.parent.mkdir(parents=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        refused = psv("bot", "restore", "echo", "old.db")
        assert refused.returncode == EXIT_REFUSED and "psv stop echo" in refused.stderr
        assert psv("bot", "backup", "echo").returncode == EXIT_OK
    finally:
        os.close(descriptor)
    assert facts_of(database).version == 2
    assert psv("bot", "restore", "echo", "old.db").returncode == EXIT_OK and facts_of(database).version == 1
    assert "inbox" in psv("bot", "db", "echo").stdout


def test_wrong_names_and_files_are_said(psv, database, folder):
    """A bot that is none, a path in its place, a file that is something else, the database itself."""
    talk(database, "one")
    (folder / "notes.txt").write_text("mine")
    for arguments, status, words in (
        (("bot", "db", "ecco"), EXIT_NO_SUCH_BOT, 'did you mean "echo"'),
        (("bot", "backup", "../echo"), EXIT_NO_SUCH_BOT, "there is no bot"),
        (("bot", "backup", "echo", "--to", "notes.txt"), EXIT_REFUSED, "is no backup"),
        (("bot", "backup", "echo", "--to", str(database)), EXIT_USAGE, "itself"),
        (("bot", "backup", "echo", "--to", "."), EXIT_USAGE, "name a file"),
        (("bot", "restore", "echo", "notes.txt"), EXIT_FAILED, "notes.txt"),
        (("bot", "restore", "echo", "nothing.db"), EXIT_FAILED, "there is no file"),
    ):
        ended = psv(*arguments)
        assert ended.returncode == status and words in ended.stderr, (arguments, ended)
    assert (folder / "notes.txt").read_text() == "mine" and facts_of(database).rows["inbox"] == 1


def test_a_file_is_migrated_forth_and_back(psv, database, folder):
    """Outside of the bot, with a copy each time; not while it runs, not to a schema that nobody knows."""
    make_version_1(database)
    there = psv("bot", "migrate", "echo")
    assert there.returncode == EXIT_OK and "bot.db.v1" in there.stdout and facts_of(database).version == 2, there
    assert "already" in psv("bot", "migrate", "echo").stdout
    assert json.loads(psv("bot", "migrate", "echo", "--to", "1", "--json").stdout)["kept"].endswith("bot.db.v2")
    assert facts_of(database).version == 1 and facts_of(database).rows["inbox"] == 3
    assert psv("bot", "migrate", "echo", "--to", "3").returncode == EXIT_USAGE
    lock = FleetPaths(folder).bot_run("echo") / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert psv("bot", "migrate", "echo").returncode == EXIT_REFUSED
