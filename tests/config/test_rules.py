"""config.rules: what is looked up outside fleet.toml, in words that show a way out, and asked again before a start."""

from __future__ import annotations

import pytest
from tests.config.conftest import as_nobody
from tests.config.test_load import bot, only

from processsupervisor.config.rules import Site, recheck, user_can_be_taken


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("script = 'mian.py'", "mian.py does not exist", 'did you mean "main.py"?'),
        ("run = 'bot:helper'", "neither beside fleet.toml nor installed", 'did you mean "bots.py"?'),
        ("run = 'pkg.inner:x'", "inner.py does not exist", 'did you mean "inners.py"?'),
        ("command = ['run.sh']", "not on PATH", 'write "./run.sh"'),
        ("command = ['./other.py']", "is not executable", "chmod +x"),
        ("command = ['./pkg']", "is not executable", "name the program in it"),
        ("script = 'main.py'\ncwd = 'gone'", "is not a folder", "mkdir -p"),
    ],
)
def test_messages_show_the_way_out(load, folder, text, message, hint):
    """Each rule says what was looked for and what to do."""
    (folder / "pkg").mkdir()
    (folder / "pkg" / "inners.py").write_text("")
    problem = only(load("[bots.a]\n" + text))
    assert message in problem.message and hint in problem.hint


@pytest.mark.parametrize(
    "text",
    [
        "run = 'processsupervisor.kernel:x'",
        "run = 'pkg.sub.deep:x'",
        "run = 'json:x'",
        "run = 'unknown_here:x'\nenv = { PYTHONPATH = '/elsewhere' }",
        "run = 'unknown_here:x'\npython = '/bin/sh'",
        "command = ['sh', '-c', 'true']",
        "command = ['mine']\nenv = { PATH = 'FOLDER/bin' }",
    ],
)
def test_what_may_work_is_not_refused(load, folder, text):
    """Installed and nested modules, other interpreters and search paths of the bot's own pass."""
    (folder / "pkg" / "sub").mkdir(parents=True)
    (folder / "pkg" / "sub" / "deep.py").write_text("")
    (folder / "bin").mkdir()
    (folder / "bin" / "mine").symlink_to("/bin/sh")
    assert load("[bots.a]\n" + text.replace("FOLDER", str(folder))).problems == ()


def test_a_faulty_env_file_is_told_with_its_line(load, folder):
    """The problem stands at env_file; its message names the line of the other file, and no value of it."""
    (folder / ".env").write_text("A=1\ns3cret\n")
    problem = only(load("[bots.a]\nscript='main.py'\nenv_file='.env'"))
    assert problem.line == 5 and f"{folder / '.env'}:2:1" in problem.message and "s3cret" not in problem.text()


def test_only_root_gives_bots_another_user(load, folder):
    """Without root the bot is refused, with both ways out."""
    spec = bot(load("[bots.a]\nscript='main.py'"), "a") | {"user": "root"}
    assert as_nobody(lambda: [f.code for f in user_can_be_taken(spec, Site(folder))] == ["user-not-root"])


def test_an_error_outside_the_file_is_asked_again(load, folder):
    """When the missing file has come, the bot may start without reading fleet.toml again; other errors stay."""
    spec = bot(load("[bots.a]\nscript='late.py'"), "a")
    assert spec["error"] and spec["error_rechecks"]
    assert "late.py does not exist" in str(recheck(spec, folder))
    (folder / "late.py").write_text("")
    assert recheck(spec, folder) is None
    mistake = bot(load("[bots.a]\nscript='late.py'\nnope=1"), "a")
    assert not mistake["error_rechecks"] and recheck(mistake, folder) == mistake["error"]


def test_an_inherited_variable_that_is_not_set_is_told(load, monkeypatch):
    """psv up may be run elsewhere: it is allowed, with a word."""
    monkeypatch.setenv("KEY_THAT_IS_SET", "x")
    monkeypatch.delenv("KEY_THAT_IS_NOT", raising=False)
    text = "[bots.a]\nrun = 'bots:bot'\ninherit = ['PATH', 'TZ', 'KEY_THAT_IS_SET', 'KEY_THAT_IS_NOT']\n"
    (problem,) = load(text).problems
    assert (problem.code, problem.severity) == ("inherit-unset", "warning") and "KEY_THAT_IS_NOT is not set here" in problem.text()
    assert load(text + "env = { KEY_THAT_IS_NOT = 'y' }\n").problems == ()


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("from processsupervisor import Bot\nbot = Bot()\nother: Bot = Bot()\n", "did you mean rt:bot?"),
        ("import processsupervisor as psv\nanna = psv.Bot()\n", 'write run = "rt:anna"'),
    ],
)
def test_a_bot_that_its_module_does_not_define_is_told(load, folder, source, hint):
    """The file is read, not run; the bots in it are named."""
    (folder / "rt.py").write_text(f"{source}raise RuntimeError\n")
    problem = only(load("[bots.a]\nrun = 'rt:bto'\n"))
    assert 'module rt has no "bto"; its bots are: ' in problem.message and hint in problem.hint
    (folder / "rt").mkdir()
    (folder / "rt.py").rename(folder / "rt" / "__init__.py")
    assert "bto" in only(load("[bots.a]\nrun = 'rt:bto'\n")).message


@pytest.mark.parametrize(
    "line",
    [
        "bto = make()", "from elsewhere import bto", "from elsewhere import *", "import a.b as bto", "if x:\n    bto = bot", "bto: object = bot",
        "def f():\n    global bto", "globals()['bto'] = bot", "def __getattr__(name): ...", "exec(text)", "class bto: ...", "(bto := bot)",
        "for bto in bots: ...", "with x as bto: ...", "a, (bto, *b) = x", "match x:\n    case {'a': 1, **bto}: ...", "setattr(module, n, bot)",
        "import sys\nsys.modules[__name__].n = bot", "broken(", "bot = None",
    ],
)  # fmt: skip
def test_where_a_module_may_have_a_bot_nothing_is_said(load, folder, line):
    """Whatever may give it the name; and a file that cannot be read, or shows no bot at all."""
    made = "" if line == "bot = None" else "from processsupervisor import Bot\nbot = Bot()\n"
    (folder / "rt.py").write_text(f"{made}{line}\n")
    assert "bot-missing" not in [problem.code for problem in load("[bots.a]\nrun = 'rt:bto'\n").problems]
    assert load("[bots.a]\nrun = 'rt:bot'\n").problems == ()
