"""The example bots: their own tests pass as a reader runs them, and psv takes their fleets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.page import PROJECT, blocks

EXAMPLES = ("todo", "poll", "files")
TUTORIAL = PROJECT / "docs" / "tutorial-bot.md"


@pytest.fixture
def copied(tmp_path: Path):
    """Return a copy of an example, so that nothing is left in the checkout."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(PROJECT / "examples" / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".*")))

    return copy


def run(folder: Path, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PSV_RUNTIME_DIR": str(folder.parent)}
    return subprocess.run(command, cwd=folder, env=env, input=typed, capture_output=True, timeout=100, text=True, check=False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_examples_own_tests_pass(copied, name):
    """`pytest` in its folder, with nothing but the installed package."""
    done = run(copied(name), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_psv_takes_the_fleet_of_an_example(copied, name):
    """Nothing is wrong with it but the token that is not there yet."""
    done = run(copied(name), "psv", "check")
    said = (done.stdout + done.stderr).splitlines()
    assert all(": ok, 1 bot" in line or "is not in the secret store" in line for line in said), said
    assert len(said) == 1


@pytest.mark.parametrize(
    ("name", "typed", "shown"),
    [
        ("poll", ["/poll Lunch? | Pizza | Soup", "1", "soup", "Close"], "Lunch?\n0 × Pizza\n1 × Soup\nClosed.\n"),
        ("todo", ["/add", "buy milk", "4", "/list"], "1. buy milk: noted.\n1. buy milk\n"),
    ],
)
def test_an_example_can_be_used_on_a_console(copied, name, typed, shown):
    """`python bot.py`, with nothing but a keyboard: its buttons are pressed by number or label."""
    done = run(copied(name), sys.executable, "bot.py", typed="".join(f"{line}\n" for line in typed))
    assert done.returncode == 0 and done.stdout.endswith(shown), done.stdout + done.stderr


def test_the_tutorial_builds_the_todo_bot():
    """What a reader of the tutorial ends up with is the example, but for its first words."""
    last = {block.file: block.text for block in blocks(TUTORIAL) if block.file}
    for file in ("bot.py", "test_bot.py"):
        example = (PROJECT / "examples" / "todo" / file).read_text()
        assert _behind_docstring(last[file]) == _behind_docstring(example), file


def _behind_docstring(text: str) -> str:
    return text.split('"""', 2)[2].strip() if text.startswith('"""') else text.strip()
