"""config.dangers: warnings of what is legal."""

from __future__ import annotations

import os

import pytest
from tests.config.test_load import only

LOCK = "lock = [{ env = 'TOKEN' }]\n"


def text_of(name: str) -> str:
    return f"[bots.{name}]\nscript = 'main.py'\n{LOCK}"


@pytest.mark.parametrize(
    "more",
    ["env = { TOKEN = '1:s3cret' }\n", "env = { TOKEN = 'env:SHOP' }\n", "env_file = 'a.env'\n", "inherit = ['TOKEN']\n"],
)
def test_two_bots_with_one_token_are_a_warning(load, folder, monkeypatch, more):
    """The same value or reference, wherever it comes from; told once for all of them, and without the token."""
    (folder / "a.env").write_text("TOKEN=1:s3cret\n")
    monkeypatch.setenv("TOKEN", "1:s3cret")
    monkeypatch.setenv("SHOP", "1:s3cret")
    loaded = load("".join(text_of(name) + more for name in "abc"))
    problem = only(loaded)
    assert (problem.code, problem.severity) == ("token-shared", "warning") and not loaded.fatal
    assert "bots a, b and 1 more have one TOKEN" in problem.message and "s3cret" not in problem.text() and 7 <= problem.line <= 10


def test_one_token_by_two_ways_is_found(load, folder):
    """A value in an env file is the same as one in env; a name that nobody sets is no token."""
    (folder / "a.env").write_text("TOKEN=x\n")
    assert only(load(text_of("a") + "env.TOKEN = 'x'\n" + text_of("b") + "env_file = 'a.env'\n")).code == "token-shared"
    assert load(text_of("a") + text_of("b")).problems == ()
    assert load(text_of("a") + "env.TOKEN='1'\n" + text_of("b") + "env.TOKEN='2'\n").problems == ()
    assert load("".join(f"[bots.{name}]\nscript='main.py'\nenv.TOKEN='1'\n" for name in "ab")).problems == ()


def test_a_shared_token_is_told_where_it_stands(load):
    """In the scope that gives it, although the bots say other variables."""
    more = "script = 'main.py'\nenv.OTHER = 'x'\n" + LOCK
    assert only(load(f"[global]\nenv.TOKEN = 'x'\n[bots.a]\n{more}[bots.b]\n{more}")).line == 4


def test_a_template_whose_bots_share_a_token_is_a_warning(load, monkeypatch):
    """Not when the token depends on the number."""
    for name in ("TOKEN", *(f"TOKEN_{n}" for n in range(1, 41))):
        monkeypatch.setenv(name, f"value of {name}")
    text = "[bots.\"a-{n}\"]\ncount = 40\nscript = 'main.py'\n" + LOCK
    problem = only(load(f"{text}env.TOKEN = 'env:TOKEN'\n"))
    assert (problem.code, problem.severity, problem.line) == ("template-token", "warning", 7) and "40 bots" in problem.message
    assert load(f"{text}env.TOKEN = 'env:TOKEN_{{n}}'\n").problems == ()
    problem = only(load(f"{text}[global]\nenv.TOKEN = 'x'\n"))
    assert (problem.code, problem.line) == ("template-token", 8)


def test_limits_of_memory_over_the_machine_are_a_warning(load, monkeypatch):
    """Of one bot, or of all together, once; at exactly the machine's memory there is none."""
    pages = (8 << 30) // os.sysconf("SC_PAGE_SIZE")
    asked = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: pages if name == "SC_PHYS_PAGES" else asked(name))
    bots = "".join(f"[bots.{name}]\nscript = 'main.py'\nlimits.memory = '{size}'\n" for name, size in (("a", "3GB"), ("b", "5GB")))
    assert load(bots).problems == ()
    problem = only(load(bots.replace("3GB", "4GB")))
    assert (problem.code, problem.severity, problem.line) == ("memory-over-machine", "warning", 8)
    assert "2 bots come to 9.0 GB together" in problem.message and "8.0 GB" in problem.message
    problem = only(load(bots.replace("5GB", "9GB")))
    assert (problem.line, problem.severity) == (8, "warning") and "9.0 GB" in problem.message
    problem = only(load("[bots.\"a-{n}\"]\ncount = 40\nscript = 'main.py'\nlimits.memory = '1GB'\n"))
    assert problem.line == 6 and "40 bots come to 40.0 GB" in problem.message


DISCORD = "[bots.a]\nscript = 'main.py'\nlock = [{ env = 'T' }]\npreload = ['discord']\n"


@pytest.mark.parametrize(
    ("window", "more", "words"),
    [
        ("{ count = 100, within = '1h' }", "", "allow 2400 starts a day, and the network 800 logins"),
        ("{ count = 801, within = '24h' }", "", "801 starts"),
        ("{ count = 100, within = '1h' }", "login_budget = 'off'\n", "the network 1000 logins"),
        ("{ count = 100, within = '1h' }", "login_budget = { count = 50, within = '24h' }\n", "the network 50 logins"),
        ("", "", "no limit to starts"),
        ("{ count = 100, within = '1h' }, { count = 200, within = '24h' }", "", None),
        ("{ count = 800, within = '24h' }", "", None),
    ],
)
def test_a_window_that_allows_more_starts_than_logins_is_a_warning(load, window, more, words):
    """All windows together, over a day."""
    loaded = load(f"{DISCORD}{more}restart.window = [{window}]\n")
    if words is None:
        assert loaded.problems == ()
    else:
        problem = only(loaded)
        assert (problem.code, problem.severity) == ("more-starts-than-logins", "warning") and words in problem.message
        assert problem.line == 7 + bool(more)


def test_windows_that_nobody_wrote_and_other_networks_are_passed_over(load):
    """Nothing to correct there."""
    assert load(DISCORD + "login_budget = { count = 50, within = '24h' }\n").problems == ()
    assert load(DISCORD.replace("discord", "aiogram") + "restart.window = [{ count = 9999, within = '1h' }]\n").problems == ()
