"""The hooks of a scope: lists and tables, merged by name, and what is said of a wrong one."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only


def test_hooks_of_all_scopes_come_together(load, folder):
    """A list is a command with the defaults; each name is the innermost scope's; programs with a slash are beside fleet.toml."""
    spec = bot(
        load(
            """[global.hooks]
after_exit = ["./run.sh", "./stays"]
before_start = { command = ["true"], timeout = "20s", env = ["TOKEN"] }
[bots.a]
script = "main.py"
hooks = { before_start = ["false"], after_ready = ["python", "x.py"] }
"""
        ),
        "a",
    )
    assert spec["hooks"] == {
        "before_start": {"command": ["false"], "timeout_s": 20.0, "env": ["TOKEN"]},
        "after_ready": {"command": ["python", "x.py"], "timeout_s": 10.0, "env": []},
        "after_exit": {"command": [str(folder / "run.sh"), "./stays"], "timeout_s": 10.0, "env": []},
    }


def test_a_bot_without_hooks_has_none(load):
    """The key is there all the same."""
    assert bot(load("[bots.a]\nscript = 'main.py'"), "a")["hooks"] == {}


@pytest.mark.parametrize(
    ("hooks", "code", "words"),
    [
        ('{ after_exit = "./notify.sh" }', "bad-value", "expected a list of texts, or a table with a command"),
        ("{ after_exit = [] }", "bad-value", 'expected a list of texts, as in ["node", "bot.js"]'),
        ("{ after_exit = { timeout = 5 } }", "missing-key", '"command" is missing in [bots.a.hooks.after_exit]'),
        ('{ after_exit = { command = ["true"], timeout = 0 } }', "bad-value", "expected a duration longer than 0"),
        ('{ after_exit = { command = ["true"], env = ["1X"] } }', "bad-value", "expected the name of an environment variable"),
        ('{ after_exits = ["true"] }', "unknown-key", 'unknown key "after_exits" in [bots.a.hooks]; did you mean "after_exit"?'),
        ('["true"]', "bad-value", "expected a table"),
    ],
)
def test_a_wrong_hook_is_named_with_its_place(load, hooks, code, words):
    """Found, expected and the way out, in the bot's line."""
    problem = only(load(f"[bots.a]\nscript = 'main.py'\nhooks = {hooks}"))
    assert (problem.code, problem.line) == (code, 5)
    assert words in f"{problem.message}; {problem.hint}"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("./rum.sh", 'does not exist; did you mean "run.sh"?'),
        ("./main.py", "is not executable; chmod +x"),
        ("run.sh", '"run.sh" is not on PATH; for a file beside fleet.toml write "./run.sh"'),
    ],
)
def test_a_hook_that_cannot_run_is_a_warning(load, program, words):
    """The bot runs all the same; psv check says it."""
    loaded = load(f"[bots.a]\nscript = 'main.py'\nhooks.after_exit = ['{program}']")
    problem = only(loaded)
    assert (problem.code, problem.severity, problem.line) == ("hook-missing", "warning", 5)
    assert words in f"{problem.message}; {problem.hint}"
    assert bot(loaded, "a")["error"] is None
