"""Laws of `psv run`: as `python main.py`, but supervised; and the fleet beside the file when that is asked for."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, environment
from tests.cli.test_up import left_over
from tests.supervisor.live import eventually

from processsupervisor.cli.single import bot_attribute, bot_name, make_single
from processsupervisor.kernel.paths import FleetPaths

MAIN = """\
import os, sys, time
print("args", sys.argv[1:], os.getcwd(), os.environ.get("TOKEN"), flush=True)
print("to stderr", file=sys.stderr, flush=True)
time.sleep(3600)
"""
Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start `psv run` in tmp_path/work with its output in files beside it; ended with the test."""
    made: list[subprocess.Popen[bytes]] = []
    (tmp_path / "work").mkdir()

    def begin(*args: str) -> subprocess.Popen[bytes]:
        env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"), TOKEN="secret")
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            made.append(subprocess.Popen([*PSV, "run", *args], cwd=tmp_path / "work", env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err))
        return made[-1]

    yield begin
    for process in made:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
    for state in (tmp_path / "work", *(tmp_path / "work" / ".psv-run").glob("*")):
        for pid in left_over(FleetPaths(state)):
            os.kill(pid, signal.SIGKILL)


def said(tmp_path: Path, name: str, text: str) -> None:
    eventually(lambda: text in (tmp_path / name).read_text(), f"{text!r} in {name}")


@pytest.mark.slow
def test_one_file_runs_as_before_and_is_started_again(tmp_path: Path, run: Run) -> None:
    """Arguments, folder, environment and output are those of `python main.py`; killed, it comes back; SIGTERM ends all of it."""
    (tmp_path / "work" / "main.py").write_text(MAIN)
    process = run("main.py", "--", "-x", "1")
    said(tmp_path, "out", f"args ['-x', '1'] {tmp_path / 'work'} secret\n")
    said(tmp_path, "err", "to stderr\n")
    said(tmp_path, "err", "psv: main  ready after")
    assert "secret" not in (tmp_path / "work/.psv-run/main/fleet.toml").read_text()

    second = subprocess.run([*PSV, "run", "main.py"], cwd=tmp_path / "work", env=environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime")), capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 5 and "already runs" in second.stderr

    (lock,) = FleetPaths(tmp_path / "work/.psv-run/main").run.glob("bots/main/record")
    os.kill(_pid(lock), signal.SIGKILL)
    eventually(lambda: (tmp_path / "out").read_text().count("args") == 2, "it was started again")

    process.terminate()
    assert process.wait(30) == 0
    assert (tmp_path / "err").read_text().rstrip().endswith("psv: stopped 1 bot")


def _pid(record: Path) -> int:
    from processsupervisor.kernel.files import read_record

    facts = read_record(record)
    assert facts is not None and isinstance(facts["identity"], dict)
    return int(facts["identity"]["pid"])


BOT = """\
from processsupervisor import Bot, Button, Edit, Message, Reply

bot = Bot()


@bot.command("wake")
async def wake(message: Message) -> str:
    await bot.remind(message, 0.1, "wake up")
    return "soon"


@bot.command("vote")
async def vote(message: Message) -> Reply:
    return Reply("Tea?", buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")]])


@bot.button("vote")
async def voted(message: Message, choice: str) -> Edit:
    return Edit(f"Tea: {choice}")


if __name__ == "__main__":
    bot.run()
"""


@pytest.mark.slow
def test_a_native_bot_says_how_to_talk_to_it_and_is_talked_to(tmp_path: Path, run: Run) -> None:
    """By the command that is shown: a reminder between two calls is in the second, a button is pressed over a kill of the bot."""
    (tmp_path / "work" / "tea.py").write_text(BOT)
    process = run("tea.py")
    said(tmp_path, "err", "psv: talk to it: psv -C ")
    (line,) = [line for line in (tmp_path / "err").read_text().splitlines() if "talk to it" in line]
    words = shlex.split(line.partition("talk to it: psv ")[2])

    def chat(*text: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"))
        return subprocess.run([*PSV, *words, *text], cwd=tmp_path, env=env, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    state = FleetPaths(tmp_path / "work/.psv-run/tea")
    assert chat("/wake").stdout == "soon\n"
    eventually(lambda: _rows(state, "SELECT text FROM outbox WHERE id LIKE 'reminder-%'") == [("wake up",)], "the reminder is due")
    done = chat("/vote")
    assert (done.stdout, done.stderr) == ("Tea?\n[1] Yes  [2] No\n", "(while you were away) wake up\n")
    os.kill(_pid(state.bot_run("tea") / "record"), signal.SIGKILL)
    done = chat(stdin="2\n/vote\nyes\n")
    assert (done.stdout, done.stderr) == ("Tea: no\nTea?\n[1] Yes  [2] No\nTea: yes\n", "")
    process.terminate()
    assert process.wait(30) == 0


def _rows(state: FleetPaths, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(state.bot_data("tea") / "bot.db")) as database:
        return database.execute(query).fetchall()


@pytest.mark.slow
def test_a_file_that_ends_for_good_ends_the_command(tmp_path: Path, run: Run) -> None:
    """What no restart can mend is told, with a status other than 0."""
    (tmp_path / "work" / "main.py").write_text("import sys\nprint('no token', file=sys.stderr)\nsys.exit(78)\n")
    process = run()
    assert process.wait(30) != 0
    said(tmp_path, "err", "no token")
    said(tmp_path, "err", "psv: main  FAILED: config; see psv -C ")


@pytest.mark.slow
def test_auto_runs_the_fleet_beside_the_file_unless_it_is_broken(tmp_path: Path, run: Run) -> None:
    """A fleet.toml makes it a fleet; a broken one stops everything, but with --fallback, which says so, the file runs alone."""
    work = tmp_path / "work"
    (work / "main.py").write_text(MAIN)
    (work / "fleet.toml").write_text('[fleet]\nname = "f"\n\n[bots.a]\ncommand = ["sleep", "99"]\n')
    fleet = run("--mode", "auto")
    said(tmp_path, "out", "a  ready after")

    (work / "fleet.toml").write_text("[fleet]\nname = 3\n")
    assert run("--mode", "auto", "--fallback").wait(30) == 5
    said(tmp_path, "err", "runs, and may have main.py among its bots")
    fleet.terminate()
    assert fleet.wait(30) == 0

    assert run("--mode", "auto").wait(30) == 2
    said(tmp_path, "err", "fleet.toml:2:")
    (work / "fleet.toml").rename(work / "broken.toml")
    (work / "fleet.toml").symlink_to("gone.toml")
    assert run("--mode", "auto").wait(30) == 2
    assert not (work / ".psv-run").exists()

    (work / "fleet.toml").unlink()
    (work / "fleet.toml").write_text('[fleet]\nname = "f"\n\n[bots.a]\ncommand = ["sleep", "99"]\nunknown = 1\n')  # no bot is left to run
    alone = run("--mode", "auto", "--fallback", "main.py")
    said(tmp_path, "out", "args []")
    said(tmp_path, "err", "as --fallback says, main.py runs alone")
    alone.terminate()
    assert alone.wait(30) == 0


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("from processsupervisor import Bot\nalice = Bot()\n", "alice"),
        ("import processsupervisor as p\nx: object = p.Bot(name='a')\n", "x"),
        ("from processsupervisor import Bot as B, Message\nif True:\n    b = B()\n", None),
        ("from aiogram import Bot\nbot = Bot('t')\n", None),
        ("bot = Bot(\n", None),
    ],
)
def test_a_native_bot_is_known_by_reading(tmp_path: Path, text: str, attribute: str | None) -> None:
    """A file is native when a Bot of ours stands at its top; it is never imported to find out."""
    (tmp_path / "b.py").write_text(text)
    assert bot_attribute(tmp_path / "b.py") == attribute


def test_the_environment_is_named_and_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values stay out of the made fleet.toml, but for variables that only a new interpreter reads: such a file is not forked."""
    monkeypatch.setenv("MY_TOKEN", "hidden")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    (tmp_path / "main.py").write_text("print()\n")
    paths, applied = make_single(tmp_path / "main.py", ".psv-run")

    (spec,) = applied["bots"]
    assert spec["env"] == {"PYTHONHASHSEED": "7", "PYTHONPATH": "/some/where"}
    assert "MY_TOKEN" in spec["inherit"] and "PYTHONPATH" not in spec["inherit"]
    assert "hidden" not in paths.config.read_text()


def test_a_file_gives_its_name() -> None:
    """Any file name becomes a name that a bot may have."""
    assert [bot_name(Path(name)) for name in ("main.py", "My Bot (2).py", "ü.py", "_x.py")] == ["main", "my-bot-2", "bot", "x"]
