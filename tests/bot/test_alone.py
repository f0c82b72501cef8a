"""bot.run(): the same file alone on a console, as a process of its own."""

from __future__ import annotations

import os
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


SECTION = """
from dataclasses import dataclass
from processsupervisor import Bot, Config
bot = Bot()

@dataclass
class Settings:
    colour: str
    token: str = ""

@bot.on_message
async def handle(message, config: Config[Settings]):
    return f"{bot.name} {config.now.colour} {config.now.token}"

if __name__ == "__main__":
    import sys
    bot.run(*sys.argv[1:])
"""


@pytest.fixture
def fleet(tmp_path):
    """A file in a folder below that of a fleet.toml, run alone."""
    folder = tmp_path / "bots"
    folder.mkdir()
    (folder / "painter.py").write_text(SECTION, encoding="utf-8")

    def run(toml: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "fleet.toml").write_text('[fleet]\nname = "alone"\n' + textwrap.dedent(toml), encoding="utf-8")
        return subprocess.run(
            [sys.executable, str(folder / "painter.py"), *args], input="hi\n", capture_output=True, text=True, timeout=30,
            cwd=tmp_path.parent, check=False, env={**os.environ, **env},
        )

    return run


def test_its_section_of_fleet_toml_gives_name_options_and_sentences(fleet, tmp_path):
    """Found by `run`, above the file; references are read; another bot's section is not its."""
    ended = fleet(
        """
        [bots.other]
        run = "bots.other:bot"
        [bots.anna]
        run = "bots.painter:bot"
        options = { colour = "blue", token = "env:PAINTER_TOKEN" }
        """,
        PAINTER_TOKEN="t0k3n",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "anna blue t0k3n" and "This is anna" in ended.stdout
    assert (tmp_path / "bots" / ".psv-console" / "anna" / "bot.db").exists()


def test_which_of_several_sections_is_said_by_name(fleet):
    """Without a name nothing is guessed; a name that nobody has is refused."""
    toml = """
        [bots.anna]
        run = "bots.painter:bot"
        options = { colour = "blue" }
        [bots.bert]
        run = "bots.painter:bot"
        options = { colour = "red" }
        """
    ended = fleet(toml)
    assert ended.returncode == 1 and "several bots that run this: anna, bert" in ended.stderr and 'bot.run("anna")' in ended.stderr
    assert fleet(toml, "bert").stdout.splitlines()[-1].strip() == "bert red"
    ended = fleet(toml, "carl")
    assert ended.returncode == 1 and 'no section "carl"' in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[bots.anna\n", "fleet.toml"),
        ('[bots.anna]\nrun = "bots.painter:bot"\noptions = { colour = 3 }', "Expected `str`, got `int` - at `$.colour`"),
        ('[bots.anna]\nrun = "bots.painter:bot"\nstop_it = 3', "stop_it"),
        ('[bots.anna]\nrun = "bots.painter:bot"\noptions = { colour = "env:NO_SUCH_VARIABLE" }', "NO_SUCH_VARIABLE"),
        ('[bots.anna]\nrun = "bots.painter:bot"\noptions = { colour = "x" }\n[bots.anna.networks.pigeon]\nfeather = 1', "pigeon"),
    ],
)
def test_a_section_that_cannot_be_used_is_one_line(fleet, toml, said):
    """Status 1 and no traceback; nothing was started."""
    ended = fleet(toml)
    assert ended.returncode == 1 and said in ended.stderr and "Traceback" not in ended.stderr and not ended.stdout


def test_a_fleet_toml_without_a_section_for_it_changes_nothing(fleet, tmp_path):
    """As without one: the state is called like the file; only the type of its options is missed."""
    ended = fleet('[bots.other]\nrun = "bots.other:bot"\n')
    assert ended.returncode == 1 and "painter: the options do not fit" in ended.stderr
