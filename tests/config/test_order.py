"""config.order and config.logins: names that are nobody's, circles spelled out, and the budget that a Discord bot has by itself."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only

_COMMAND = 'command = ["sleep", "1"]\n'


def _problems(loaded, code):
    return [p for p in loaded.problems if p.code == code]


@pytest.mark.parametrize("key", ["depends_on", "restart_with"])
def test_a_name_that_is_nobodys_is_told_with_the_nearest(load, key):
    """At the key, with the way out, and only that bot is left out."""
    loaded = load(f'[bots.a]\n{_COMMAND}{key} = ["datbase"]\n[bots.database]\n{_COMMAND}')
    problem = only(loaded)
    assert (problem.code, problem.line, problem.bots) == ("unknown-bot", 5, ("a",))
    assert '"datbase"' in problem.message and 'did you mean "database"?' in problem.hint
    assert bot(loaded, "a")["error"] and not bot(loaded, "database")["error"]


@pytest.mark.parametrize("key", ["depends_on", "restart_with"])
def test_a_circle_is_spelled_out_once(load, key):
    """The shortest way round, at the first of its bots, all of which are left out; who only leads into it is not at fault."""
    loaded = load("".join(f'[bots.{n}]\n{_COMMAND}{key} = ["{m}"]\n' for n, m in (("d", "a"), ("a", "b"), ("b", "c"), ("c", "a"))))
    problem = only(loaded)
    assert (problem.code, problem.line, problem.severity, problem.bots) == ("circular-order", 8, "bot", ("a", "b", "c"))
    assert problem.message == f'{key} of bot "a" leads back to it: a -> b -> c -> a'
    assert all(bot(loaded, name)["error"] for name in "abc") and not bot(loaded, "d")["error"]


def test_two_circles_are_two_problems(load):
    """A bot of both is told of one; each bot is left out."""
    loaded = load("".join(f"[bots.{n}]\n{_COMMAND}depends_on = {m}\n" for n, m in (("a", ["b"]), ("b", ["a", "c"]), ("c", ["b"]))))
    assert [(p.line, p.bots, p.message.rpartition(": ")[2]) for p in _problems(loaded, "circular-order")] == [
        (5, ("a", "b"), "a -> b -> a"),
        (8, ("c",), "b -> c -> b"),
    ]


def test_nobody_waits_for_himself(load):
    """Written in the bot's own table it is refused; from a scope around it, it holds for the others."""
    assert "a -> a" in only(load(f'[bots.a]\n{_COMMAND}depends_on = ["a"]')).message
    loaded = load(f'[global]\n{_COMMAND}depends_on = ["db", {{ bot = "a", until = "started" }}]\n[bots.a]\n[bots.db]\ndepends_on = []\n')
    assert loaded.problems == ()
    assert bot(loaded, "a")["depends_on"] == [{"bot": "db", "until": "ready"}] and bot(loaded, "db")["depends_on"] == []


def test_who_depends_on_a_task_is_told_when_it_starts(load):
    """A warning: between its runs a task is TERMINATED. Who writes `completed` has seen it."""
    job = f'[bots.job]\n{_COMMAND}schedule = {{ every = "1h" }}\n'
    loaded = load(f'[bots.app]\n{_COMMAND}depends_on = ["job"]\n{job}')
    problem = only(loaded)
    assert (problem.code, problem.line, problem.severity) == ("depends-on-task", 5, "warning")
    assert '"job" is a task' in problem.message and 'until = "completed"' in problem.hint
    assert bot(loaded, "app")["error"] is None
    assert load(f'[bots.app]\n{_COMMAND}depends_on = [{{ bot = "job", until = "completed" }}]\n{job}').problems == ()


@pytest.mark.parametrize(
    ("other", "is_refused"),
    [("", True), ('restart = { policy = "on-failure" }', False), ('restart = { policy = "never" }', False), ('schedule = { cron = "@daily" }', False)],
)
def test_nobody_waits_for_the_completion_of_a_bot_that_is_always_started_again(load, other, is_refused):
    """It would wait for ever, and `psv up --wait` with it; a job and a task do complete."""
    loaded = load(f'[bots.a]\n{_COMMAND}depends_on = [{{ bot = "b", until = "completed" }}]\n[bots.b]\n{_COMMAND}{other}\n')
    assert bool(bot(loaded, "a")["error"]) is is_refused and not bot(loaded, "b")["error"]
    if is_refused:
        problem = only(loaded)
        assert (problem.code, problem.line) == ("never-completes", 5) and 'policy = "on-failure"' in problem.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('depends_on = "db"', "expected a list of bots"),
        ('depends_on = [{ bot = "db", until = "up" }]', 'expected one of "started", "ready", "healthy", "completed"'),
        ('depends_on = [{ until = "ready" }]', '"bot" is missing'),
        ("depends_on = [3]", "expected a table"),
        ('restart_with = "db"', "expected a list"),
        ('priority = "high"', "expected a whole number"),
        ("priority = 1001", "expected at most 1000"),
        ("login_budget = true", 'expected a table such as { count = 1000, within = "24h" }, or "off"'),
        ("login_budget = { count = 3, within = 0 }", "expected a duration longer than 0"),
        ('login_budget = { within = "1h" }', '"count" is missing'),
    ],
)
def test_bad_values_say_what_was_expected(load, text, message):
    """Each with its place."""
    problem = only(load(f"[bots.db]\n{_COMMAND}[bots.a]\n{_COMMAND}{text}"))
    assert message in problem.message and problem.line == 7


def _budget_of(load, folder, text, program="import discord\n"):
    (folder / "chat.py").write_text(program)
    return bot(load(f"[bots.a]\n{text}\n"), "a")["login_budget"]


def test_a_bot_with_a_lock_that_imports_discord_has_a_budget(load, folder):
    """Found in its script, its module, its preload, or the file that an interpreter is given; a lock tells what is counted."""
    lock = 'lock = [{ env = "T" }]\n'
    expected = {"count": 800, "within_s": 86400.0}
    for program in ('script = "chat.py"', 'run = "chat:bot"', 'run = "bots:helper"\npreload = ["discord.ext"]', 'command = ["python", "chat.py"]'):
        assert _budget_of(load, folder, f"{program}\n{lock}") == expected, program
        assert _budget_of(load, folder, program) is None, f"{program} without a lock"
    assert _budget_of(load, folder, f'script = "chat.py"\n{lock}', "import aiogram\n") is None


def test_what_is_written_wins_over_what_is_found(load, folder):
    """A number, "off" and false, in any scope."""
    program = 'script = "chat.py"\nlock = [{ env = "T" }]\n'
    assert _budget_of(load, folder, f"{program}login_budget = {{ count = 5 }}") == {"count": 5, "within_s": 86400.0}
    for off in ('"off"', "false", "{ count = 0 }"):
        assert _budget_of(load, folder, f"{program}login_budget = {off}") is None
    text = f'[global]\nlogin_budget = "off"\n[bots.a]\n{program}[bots.b]\n{program}login_budget = {{ count = 7, within = "1h" }}\n'
    loaded = load(text)
    assert bot(loaded, "a")["login_budget"] is None and bot(loaded, "b")["login_budget"] == {"count": 7, "within_s": 3600.0}
