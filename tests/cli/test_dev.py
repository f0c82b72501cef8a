"""Laws of `psv dev`: what is saved is new, what is broken changes nothing, and all of it ends with the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, environment
from tests.cli.test_up import left_over
from tests.supervisor.live import eventually

from processsupervisor.kernel.paths import FleetPaths

pytestmark = pytest.mark.slow

BOT = '''\
from processsupervisor import Bot, Message

import words

bot = Bot()


@bot.on_message
async def answer(message: Message) -> str:
    return f"{words.TEXT} {message.text}"
'''


class Dev:
    """A running `psv dev` and what it has printed."""

    def __init__(self, folder: Path, runtime: Path, *args: str) -> None:
        self._out = folder.parent / "screen"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*PSV, "dev", *args], cwd=folder, env=environment(PSV_RUNTIME_DIR=str(runtime)), stdin=subprocess.PIPE, stdout=out, stderr=out
            )

    @property
    def text(self) -> str:
        return self._out.read_text()

    def shows(self, pattern: str, count: int = 1) -> None:
        eventually(lambda: len(re.findall(pattern, self.text, re.MULTILINE)) >= count or self.process.poll(), f"{pattern} on the screen")
        assert len(re.findall(pattern, self.text, re.MULTILINE)) >= count, self.text

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    """Start `psv dev` in a folder; ended with the test, with all that it has started."""
    made: list[tuple[Path, Dev]] = []

    def begin(folder: Path, *args: str) -> Dev:
        made.append((folder, Dev(folder, tmp_path / "runtime", *args)))
        return made[-1][1]

    yield begin
    for folder, dev in made:
        dev.end()
        for state in (folder / ".psv-dev", *(folder / ".psv-dev").glob("*")):
            for pid in left_over(FleetPaths(state)):
                os.kill(pid, signal.SIGKILL)


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "bots.py").write_text(BOT)
    (folder / "words.py").write_text('TEXT = "one"\n')
    return folder


def test_what_is_saved_is_new_and_what_is_broken_is_not_started(tmp_path: Path, start: Callable[..., Dev]) -> None:
    """A module of the bot is saved: the bot is new. It is saved with a mistake: the place is shown and the bot of before answers."""
    folder = project(tmp_path / "work")
    dev = start(folder, "bots.py")
    dev.shows("^bots - ready$")
    dev.shows(r"watching 2 files")
    dev.type("hello")
    dev.shows("^bots > one hello$")

    (folder / "words.py").write_text('TEXT = "two"\n')
    dev.shows(r"^bots - ready, \d+ ms after the save$")
    dev.type("hello")
    dev.shows("^bots > two hello$")

    (folder / "words.py").write_text('TEXT = \n')
    dev.shows(r"words.py\", line 1$")
    dev.shows("SyntaxError: invalid syntax$")
    dev.shows("^psv  - bots is not restarted")
    (folder / "words.py").write_text("from missing_here import TEXT\n")
    dev.shows("No module named 'missing_here'")
    dev.type("still")
    dev.shows("^bots > two still$")

    (folder / "missing_here.py").write_text('TEXT = "six"\n')
    dev.shows(r"^bots - ready, \d+ ms after the save$", 2)
    dev.type("hello")
    dev.shows("^bots > six hello$")
    assert dev.end() == 0
    assert left_over(FleetPaths(folder / ".psv-dev" / "bots")) == []


def test_of_a_fleet_only_what_changed_is_restarted(tmp_path: Path, start: Callable[..., Dev]) -> None:
    """A script, a command and a native bot: each is restarted by its own files; other settings come with fleet.toml and what it includes. -9 leaves nothing.

    Nobody whom the fleet tells of trouble hears of what goes wrong here, and no dead man's switch that all is well.
    """
    folder = project(tmp_path / "work")
    (folder / "main.py").write_text("import time\nprint('script one', flush=True)\ntime.sleep(3600)\n")
    (folder / "run.sh").write_text("echo shell one; exec sleep 3600\n")
    config = '[fleet]\nname = "f"\n\n[bots.nat]\nrun = "bots:bot"\n\n[bots.scr]\nscript = "main.py"\n'
    config = 'include = ["more.toml"]\n' + config
    more = '[bots.com]\ncommand = ["sh", "run.sh"]\n'
    (folder / "more.toml").write_text(more)
    config += '\n[notify.ops]\nto = "command"\ncommand = ["true"]\nheartbeat = "http://127.0.0.1:9/beat"\n'
    (folder / "fleet.toml").write_text(config)
    dev = start(folder)
    for bot in ("nat", "scr", "com"):
        dev.shows(f"^{bot} - ready$")

    (folder / "main.py").write_text("import time\nprint('script two', flush=True)\ntime.sleep(3600)\n")
    dev.shows(r"^scr \| script two$")
    (folder / "run.sh").write_text("echo shell two; exec sleep 3600\n")
    dev.shows(r"^com \| shell two$")
    (folder / "main.py").write_text("from words import NONE\nprint('never')\n")
    dev.shows("cannot import name 'NONE'")
    dev.type("nat: hi")
    dev.shows("^nat > one hi$")
    assert "nat - ready, " not in dev.text and "| never" not in dev.text

    (folder / "fleet.toml").write_text(config.replace('name = "f"', "name = 3"))
    dev.shows(r"fleet.toml:3:\d+: bad-value")
    (folder / "fleet.toml").write_text(config.replace('run = "bots:bot"', 'run = "bots:bot"\nargs = ["x"]') + '\n[bots.new]\ncommand = ["sleep", "99"]\n')
    dev.shows("^new - ready$")
    (folder / "more.toml").write_text(more + '[bots.third]\ncommand = ["sleep", "98"]\n')
    dev.shows("^third - ready$")
    (folder / "fleet.toml").write_text(config)
    assert not (folder / ".psv").exists()
    assert not FleetPaths(folder / ".psv-dev").role_lock("notify").exists()

    dev.end(signal.SIGKILL)
    eventually(lambda: left_over(FleetPaths(folder / ".psv-dev")) == [], "the fleet has ended with psv dev")


def test_what_cannot_be_worked_on_is_said(tmp_path: Path, start: Callable[..., Dev]) -> None:
    """No file, no fleet, a broken fleet: one line each, and nothing is left behind."""
    folder = tmp_path / "work"
    folder.mkdir()
    for args, said in ((("none.py",), "none.py does not exist"), ((), "no fleet.toml here"), ((str(tmp_path),), "does not exist")):
        dev = start(folder, *args)
        assert dev.process.wait(30) == 2
        assert said in dev.text, dev.text
    assert list(folder.iterdir()) == []
