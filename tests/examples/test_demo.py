"""The demo does what README.md and its own hints say, in a copy of its own, with real processes and real kills."""

from __future__ import annotations

import json
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.docs.page import PROJECT
from tests.docs.shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="fleets need Linux")]
PSV = "psv -C examples/demo"
BOTS = "examples/demo/bots.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder laid out like a checkout, as far as the demo looks at it."""
    folder = tmp_path / "checkout"
    shutil.copytree(PROJECT / "examples" / "demo", folder / "examples" / "demo", ignore=shutil.ignore_patterns(".psv", "__pycache__"))
    shutil.copytree(PROJECT / "docs", folder / "docs")
    shutil.copy(PROJECT / "README.md", folder)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return folder


@pytest.fixture
def shell(checkout: Path) -> Iterator[Shell]:
    """A shell in the checkout; the fleet is down afterwards."""
    shell = Shell(checkout)
    try:
        shell.run(f"{PSV} up --detach --wait")
        yield shell
    finally:
        shell.run(f"{PSV} down")


def bot(shell: Shell, name: str) -> dict[str, object]:
    """Return the bot's object."""
    return dict(json.loads(shell.run(f"{PSV} bot list {name} --json"))[0])


def eventually(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def test_the_hints_are_shown_and_their_commands_work(checkout: Path, shell: Shell) -> None:
    """Each of the three hints holds a command that can be pasted as it stands."""
    hints = tomllib.loads((checkout / "examples/demo/fleet.toml").read_text())["fleet"]["hints"]
    assert len(hints) == 3
    said = shell.run(f"{PSV} up --detach --wait")

    for hint in hints:
        assert hint in said
        command = hint.partition(":")[2].strip().rpartition("then ")[2]
        shell.run(command)


def test_the_guide_learns_a_word_that_is_written_down(checkout: Path, shell: Shell) -> None:
    """It does not know a word, and cites its place less than 5 s after it was written into docs/."""
    assert "do not know" in shell.run(f"{PSV} chat guide 'what is a quollomat?'")

    (checkout / "docs" / "new.md").write_text("# Machines\n\n## Quollomat\n\nThe quollomat counts quolls.\n")
    began = time.monotonic()

    assert "docs/new.md#quollomat" in shell.run(f"{PSV} chat guide 'what is a quollomat?'")
    assert time.monotonic() - began < 5


def test_notes_survive_every_kill(shell: Shell) -> None:
    """Notes and reminders are there after kill -9 of the bot, of psvd, and of both."""
    shell.run(f"{PSV} chat notes /add buy milk")
    shell.run(f"{PSV} chat notes '/remind 3s tea is ready'")
    first = bot(shell, "notes")

    shell.run("kill -9 $(cut -d' ' -f3 examples/demo/.psv/run/psvd.lock)")
    assert shell.run(f"{PSV} chat notes /list") == "1. buy milk\n"
    assert bot(shell, "notes")["pid"] == first["pid"]

    shell.run(f"kill -9 {first['pid']} $(cut -d' ' -f3 examples/demo/.psv/run/psvd.lock)")
    assert shell.run(f"{PSV} chat notes /list") == "1. buy milk\n"
    assert bot(shell, "notes")["pid"] != first["pid"]

    url = json.loads(shell.run(f"{PSV} status --json"))["web"]
    history = f"curl -s '{url}chat/notes/history?conversation=cli-reader'"
    eventually(lambda: shell.run(history).count('"tea is ready"') == 1, "the reminder is sent once")


def test_a_restart_runs_what_is_on_disk(checkout: Path, shell: Shell) -> None:
    """An edit of bots.py counts after psv restart, for that bot alone."""
    guide = bot(shell, "guide")
    path = checkout / BOTS
    path.write_text(path.read_text().replace("Kept as note", "Written down as note"))

    shell.run(f"{PSV} restart notes")

    assert shell.run(f"{PSV} chat notes /add x").splitlines()[-1] == "Written down as note 1."
    assert bot(shell, "guide")["pid"] == guide["pid"]


def test_commands_are_typed(shell: Shell) -> None:
    """What does not fit is told with the way it is written."""
    assert "/remind AFTER TEXT" in shell.run(f"{PSV} chat notes /remind soon tea")
    assert "No notes yet" in shell.run(f"{PSV} chat notes /list")
    assert "/add" in shell.run(f"{PSV} chat notes hello")


def test_the_plain_program_runs(shell: Shell) -> None:
    """legacy is forked as a script, prints, and stops by SIGTERM."""
    eventually(lambda: "beat 1 since" in shell.run(f"{PSV} logs legacy"), "its first line")
    assert bot(shell, "legacy")["kind"] == "script"

    shell.run(f"{PSV} stop legacy")

    assert bot(shell, "legacy")["state"] == "STOPPED"
