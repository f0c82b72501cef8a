"""bot.run(): the same file alone on a console, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from processsupervisor.bot.alone import state_path

SOURCE = """
from processsupervisor import Bot, Duration
bot = Bot()

@bot.on_message
async def handle(message):
    if message.text == "fail":
        raise ValueError("for the author")
    return "echo " + message.text

@bot.command("add")
async def add(message, text: str):
    return str(await message.store.append("notes", text))

@bot.command("count")
async def count(message):
    for number in range(3):
        yield f"{number} "

if __name__ == "__main__":
    bot.run()
"""


@pytest.fixture
def console(tmp_path):
    file = tmp_path / "my bot.py"
    file.write_text(textwrap.dedent(SOURCE), encoding="utf-8")

    def run(text: str, **keys) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(file)], input=text, capture_output=True, text=True, timeout=30, cwd=tmp_path.parent, check=False, **keys
        )

    return run


def test_every_line_is_answered_in_order_and_the_end_of_input_ends_it(console, tmp_path):
    """The statement first, then a reply a line; the state lies beside the file."""
    ended = console("hi\n\n/add milk\n/add bread\n/count\nbye")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert "program" in lines[0] and [line.strip() for line in lines[1:]] == ["echo hi", "1", "2", "0 1 2", "echo bye"]
    assert state_path(str(tmp_path / "my bot.py")) == tmp_path / ".psv-console" / "my bot" / "bot.db"
    assert (tmp_path / ".psv-console" / "my bot" / "bot.db").exists()


def test_the_state_lasts_and_the_statement_is_not_repeated(console):
    """The next run goes on where the last ended."""
    console("/add milk\n")
    assert console("/add bread\n").stdout == "2\n"


def test_the_author_sees_the_whole_error(console):
    """Alone, the traceback of a handler is shown; the contact's line gets the apology."""
    ended = console("fail\n")
    assert "ValueError: for the author" in ended.stderr and "Sorry" in ended.stdout and ended.returncode == 0


def test_a_state_that_cannot_be_used_ends_with_one_line(console, tmp_path):
    """A damaged file: status 1, the file's name, no traceback."""
    console("hi\n")
    for file in (tmp_path / ".psv-console" / "my bot").iterdir():
        file.write_bytes(b"garbage" * 1000)
    ended = console("hi\n")
    assert ended.returncode == 1 and "bot.db" in ended.stderr and "Traceback" not in ended.stderr


def test_two_consoles_do_not_share_a_state(console, tmp_path):
    """The second run says that another program holds the file."""
    first = subprocess.Popen(
        [sys.executable, str(tmp_path / "my bot.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    first.stdin.write("hi\n")
    first.stdin.flush()
    assert "program" in first.stdout.readline()
    second = console("hi\n")
    first.communicate(timeout=20)
    assert second.returncode == 1 and "locked" in second.stderr
