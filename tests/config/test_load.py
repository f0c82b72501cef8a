"""config.load: all problems at once with their places, what is fatal and what leaves out one bot, and what comes out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.problem import Problem
from processsupervisor.config.spec import BotSpec

LASTING = {key for key, kind in BotSpec.__annotations__.items() if "NotRequired" not in str(kind)}
"""The keys of a spec that are always there."""

CONTRACT = """
[fleet]
name = "demo"                        # everything else has a default

[global]                             # first scope; types and bots inherit
stop = { timeout = "10s", signal = "TERM" }
restart = { policy = "always", initial = "0s", base = "1s", factor = 2.0, max = "60s", stable_after = "30s", window = [{ count = 10, within = "10m" }, { count = 100, within = "24h" }] }

[types.helper]
run = "bots:helper"                  # bots.py beside fleet.toml, imported after the fork
preload = ["openai", "aiogram"]      # imported once, in the zygote

[bots.alice]
type = "helper"
[bots.old]
script = "main.py"                   # unmodified, forked from a zygote
ready = { after = "1s" }
[bots.other]
command = ["python", "other.py"]     # fork + exec; "python" = the interpreter psv runs on
"""


def bot(loaded: Loaded, name: str) -> BotSpec:
    assert loaded.applied is not None, loaded.problems
    return next(spec for spec in loaded.applied["bots"] if spec["name"] == name)


def only(loaded: Loaded) -> Problem:
    assert len(loaded.problems) == 1, [p.text(short=True) for p in loaded.problems]
    return loaded.problems[0]


def test_the_contract_file_resolves_without_a_problem(load, folder):
    """The file that users are shown loads, with three kinds of bots and all keys of a spec."""
    loaded = load(CONTRACT)
    assert loaded.problems == () and not loaded.fatal
    alice, old, other = (bot(loaded, name) for name in ("alice", "old", "other"))
    assert (alice["kind"], alice["run"], alice["type"], alice["preload"]) == ("native", "bots:helper", "helper", ["openai", "aiogram"])
    assert alice["ready"] == {"kind": "said", "value": None}
    assert (old["kind"], old["script"], old["ready"]) == ("script", str(folder / "main.py"), {"kind": "after", "value": 1.0})
    assert (other["kind"], other["command"], other["ready"]) == ("command", ["python", "other.py"], {"kind": "after", "value": 1.0})
    assert LASTING <= set(alice) <= set(BotSpec.__annotations__)
    assert alice["cwd"] == str(folder) and alice["inherit"] == ["PATH", "HOME", "LANG", "TZ"]


def test_the_written_defaults_are_the_defaults(load):
    """The contract writes out stop and restart; leaving them away gives the same."""
    text = CONTRACT[: CONTRACT.index("[global]")] + CONTRACT[CONTRACT.index("[types") :]
    written, silent = load(CONTRACT).applied, load(text).applied
    assert written is not None and silent is not None
    assert written["bots"] == silent["bots"]


def test_a_name_is_enough(load):
    """Everything but fleet.name has a default; no bots is a fleet, and no page without [web]."""
    applied = load("").applied
    assert applied is not None
    assert applied["fleet"] == {
        "name": "demo",
        "down_timeout_s": 8.0,
        "log_total_bytes": 2 << 30,
        "disk_free_percent": 5.0,
        "control_group": None,
        "release_watch_s": 600.0,
        "hints": [],
        "watch": False,
        "settle_s": 10.0,
    }
    assert applied["web"] == {"enabled": False, "listen_host": "127.0.0.1", "listen_port": 8450, "next_free": False}
    assert applied["bots"] == [] and len(applied["source_digest"]) == 64


def test_the_page_is_on_with_its_table(load):
    """[web] alone turns the page on, `enabled` off again; IPv6 addresses lose their brackets."""
    assert load("[web]").applied["web"]["enabled"] is True
    assert load("[web]\nenabled = false").applied["web"]["enabled"] is False
    web = load('[web]\nlisten = "[::1]:9000"\nnext_free = true').applied["web"]
    assert (web["listen_host"], web["listen_port"], web["next_free"]) == ("::1", 9000, True)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(load):
    """Mistakes of every kind, in several tables, are found in one run, each with line and column."""
    loaded = load(
        """[fleet]
name = "demo"
down_timeot = "3s"
[global]
stop = { timeout = "-5s", signal = "TREM" }
[types.h]
run = "bots.py:helper"
[bots.a]
script = "main.py"
restart.polcy = "never"
[bots.b]
type = "hh"
"""
    )
    assert loaded.fatal and loaded.applied is None
    assert [(p.line, p.column, p.code, p.severity) for p in loaded.problems] == [
        (3, 1, "unknown-key", "fatal"),
        (5, 10, "bad-value", "fatal"),
        (5, 27, "bad-value", "fatal"),
        (7, 1, "bad-value", "fatal"),
        (10, 1, "unknown-key", "bot"),
        (12, 1, "unknown-type", "bot"),
    ]
    hints = [p.hint for p in loaded.problems]
    assert 'did you mean "down_timeout"?' in hints and 'did you mean "policy"?' in hints and 'did you mean "h"?' in hints
    assert '"TREM"' in loaded.problems[2].message and 'did you mean "TERM"?' in hints


@pytest.mark.parametrize(
    "text",
    [
        "[fleet]",
        '[fleet]\nname = "a b"',
        "[global]\nnonsense = 1",
        "[global]\nrun = 5",
        "[types.x]\nscript = 1",
        "[types.X]",
        "types = 3\n[fleet]\nname = 'x'",
        "[web]\nlisten = 'here'",
        "[control]\ngroup = ''",
        "[bot.alice]",
        "stop = 3\n[fleet]\nname = 'x'",
        "bots = []\n[fleet]\nname = 'x'",
        "[types.x]\nrun = 'a:b'\nready = { after = '1s' }",
    ],
)
def test_a_mistake_outside_bots_is_fatal(load, text):
    """Nothing can be applied when the mistake may concern every bot."""
    loaded = load(text)
    assert loaded.fatal and loaded.applied is None
    assert all(p.message and p.line >= 1 and p.column >= 1 for p in loaded.problems)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no-program"),
        ("nonsense = 1", "unknown-key"),
        ("type = 'nobody'", "unknown-type"),
        ("run = 'bots:helper'\nscript = 'main.py'", "two-programs"),
        ("command = 'node bot.js'", "bad-value"),
        ("command = []", "bad-value"),
        ("script = 'gone.py'", "script-missing"),
        ("script = '.'", "script-missing"),
        ("run = 'nosuchmodule_:bot'", "module-missing"),
        ("command = ['no-such-program-anywhere']", "command-missing"),
        ("command = ['./gone']", "command-missing"),
        ("command = ['./other.py']", "command-not-executable"),
        ("script = 'main.py'\ncwd = 'gone'", "cwd-missing"),
        ("script = 'main.py'\nenv_file = 'gone.env'", "env-file"),
        ("script = 'main.py'\npython = 'venv'", "python-missing"),
        ("script = 'main.py'\nuser = 'no-such-user-here'", "user-unknown"),
        ("run = 'bots:helper'\nready = { log = 'x' }", "ready-native"),
        ("script = 'main.py'\nready = { log = '(' }", "bad-value"),
        ("script = 'main.py'\nready = { tcp = 70000 }", "bad-value"),
        ("script = 'main.py'\nready = { tcp = 80, after = '1s' }", "ready-choice"),
        ("script = 'main.py'\nready = {}", "ready-choice"),
        ("script = 'main.py'\nready = { http = 'localhost' }", "bad-value"),
        ("script = 'main.py'\nstop = { signal = 'NOPE' }", "bad-value"),
        ("script = 'main.py'\nstop = { timeout = '-1s' }", "bad-value"),
        ("script = 'main.py'\nhang_after = '1s'", "bad-value"),
        ("script = 'main.py'\nrestart = { factor = nan }", "bad-value"),
        ("script = 'main.py'\nrestart = { max = inf }", "bad-value"),
        ("script = 'main.py'\nlock = [{}]", "lock-choice"),
        ("script = 'main.py'\noptions = { a = [nan] }", "bad-value"),
        ("script = 'main.py'\nenv = { A = 1.5 }", "bad-value"),
        ("script = 'main.py'\nenv = { 'a b' = 'c' }", "bad-value"),
        ('script = "a\\u0000b"', "bad-value"),
    ],
)
def test_a_mistake_inside_one_bot_leaves_the_others(load, text, code):
    """Only the bot with the mistake has an error, on one line, with place; its neighbour resolves."""
    loaded = load(f"[bots.bad]\n{text}\n[bots.good]\ncommand = ['./run.sh']\n")
    assert not loaded.fatal
    problem = only(loaded)
    assert (problem.code, problem.bots, problem.severity) == (code, ("bad",), "bot")
    error = bot(loaded, "bad")["error"]
    assert error is not None and error.startswith(f"fleet.toml:{problem.line}:{problem.column}: ") and error.isprintable()
    assert bot(loaded, "good")["error"] is None
    assert loaded.applied["problems"] == [problem.to_json()]


@pytest.mark.parametrize("name", ["Alice", "a b", "../up", "-a", "x" * 64, "é", "", "a\\nb", "a\\u202eb"])
def test_a_bad_bot_name_is_that_bots_problem(load, name):
    """The name is kept for reporting, escaped in every message."""
    loaded = load(f'[bots."{name}"]\ncommand = ["./run.sh"]\n[bots.good]\ncommand = ["./run.sh"]')
    problem = only(loaded)
    assert problem.code == "bot-name" and problem.line == 3 and problem.text().isprintable()
    assert bot(loaded, problem.bots[0])["error"] and bot(loaded, "good")["error"] is None


def test_a_faulty_bot_keeps_its_type_and_likely_kind(load):
    """What is shown of a bot that cannot start is still what its table says."""
    loaded = load("[types.t]\nrun = 'bots:helper'\n[bots.a]\ntype = 't'\nscript = 'main.py'\nnope = 1")
    assert (bot(loaded, "a")["type"], bot(loaded, "a")["kind"]) == ("t", "script")


def test_one_mistake_of_a_type_is_told_once_for_all_its_bots(load):
    """A file that a type names and that is missing is one problem, at the type, of each of its bots."""
    loaded = load("[types.t]\nscript = 'gone.py'\n[bots.a]\ntype = 't'\n[bots.b]\ntype = 't'")
    problem = only(loaded)
    assert problem.bots == ("a", "b") and problem.line == 4 and not loaded.fatal
    assert bot(loaded, "a")["error"] == bot(loaded, "b")["error"] != None  # noqa: E711


def test_an_error_counts_the_further_ones(load):
    """The one line of a bot names the first problem and how many more there are."""
    error = bot(load("[bots.a]\nx = 1\ny = 2\nz = 3"), "a")["error"]
    assert error.startswith("fleet.toml:4:1: ") and error.endswith("(and 2 more: psv check)")


def test_keys_in_the_wrong_table_are_sent_home(load):
    """A known key in a table where it has no meaning is told where it belongs."""
    assert only(load("name = 'x'\n[fleet]\nname = 'demo'")).hint == "write it below [fleet]"
    assert "[global]" in only(load("[fleet]\nname = 'demo'\nautostart = true")).hint
    assert "restart.stable_after" in only(load("[global]\nstable_after = '3s'")).hint


def test_a_problem_as_json_has_the_promised_keys(load):
    """`psv check --json` prints these six keys."""
    value = only(load("[bots.a]")).to_json()
    assert list(value) == ["file", "line", "column", "code", "message", "hint"]
    assert value["file"].endswith("fleet.toml") and json.dumps(value)


def test_secrets_are_not_shown(load):
    """Values of env and options may be tokens: messages name their kind only."""
    loaded = load('[bots.a]\nscript = "main.py"\nenv = { TOKEN = ["s3cret"], X = "s3cret\\u0000" }\noptions = "s3cret"')
    assert len(loaded.problems) == 3
    assert "s3cret" not in str([p.text() for p in loaded.problems])


def test_a_page_open_to_others_is_a_warning(load):
    """It runs, and the problem is marked as a warning that leaves no bot out."""
    loaded = load("[web]\nlisten = '0.0.0.0:8450'")
    assert only(loaded).severity == "warning" and not loaded.fatal and loaded.applied is not None


def test_two_bots_with_one_session_file_are_a_warning(load):
    """The second one would wait as lock-held: said beforehand, and no reason not to run either."""
    loaded = load("[bots.a]\nscript='main.py'\nlock=[{file='s'}]\n[bots.b]\nscript='main.py'\nlock=[{env='T'},{file='./s'}]")
    problem = only(loaded)
    assert (problem.code, problem.severity, problem.line) == ("lock-shared", "warning", 8)
    assert bot(loaded, "b")["error"] is None


def test_two_proxies_with_one_token_are_a_warning(load, folder):
    """Which of the two bots starts is decided by the order of their proxies; tokens that are written differently are not looked into."""
    (folder / "t.token").write_text("123456:AAsecretpart\n")
    (folder / "t.token").chmod(0o600)
    proxy = "script='main.py'\ntelegram_proxy = {token = 'file:t.token'}\n"
    problem = only(load(f"[bots.a]\n{proxy}[bots.b]\n{proxy}"))
    assert (problem.code, problem.severity, problem.line) == ("token-shared", "warning", 8)
    assert "bots a and b" in problem.message


@pytest.mark.parametrize("inner", ["ä ö", "with space", "x" * 200])
def test_odd_folders_work(folder, inner):
    """Spaces, non-ASCII characters and depth in the path of the fleet change nothing."""
    deep = folder / inner / inner
    deep.mkdir(parents=True)
    (deep / "main.py").write_text("")
    (deep / "fleet.toml").write_text('[fleet]\nname = "demo"\n[bots.a]\nscript = "main.py"\n')
    loaded = load_fleet(deep)
    assert loaded.problems == () and bot(loaded, "a")["script"] == str(deep / "main.py")


def test_a_thousand_bots_of_a_faulty_file_are_still_readable(load):
    """Many problems at many places: all are there, none twice."""
    loaded = load("".join(f"[bots.b{i}]\nscript = 'main.py'\ntimeout{i} = 1\n" for i in range(1000)))
    assert len(loaded.problems) == 1000 and {p.line for p in loaded.problems} == {3 * i + 5 for i in range(1000)}


def test_a_relative_folder_gives_absolute_paths(folder, monkeypatch):
    """Specs hold absolute paths however the folder was named."""
    (folder / "fleet.toml").write_text('[fleet]\nname = "demo"\n[bots.a]\nscript = "main.py"\n')
    monkeypatch.chdir(folder)
    spec = bot(load_fleet(Path(".")), "a")
    assert os.path.isabs(spec["cwd"]) and spec["script"] == str(folder / "main.py")


def test_a_faulty_bot_is_of_the_kind_that_its_scopes_say(load):
    """What it runs and that it is a task is shown also when its own table cannot be read."""
    loaded = load(
        '[fleet]\nname = "f"\n[global]\ncommand = ["echo", "hi"]\n[types.s]\nscript = "a.py"\n'
        '[bots.a]\nnonsense = 1\n[bots.b]\ntype = "s"\nnonsense = 1\nschedule = { every = "1h" }\n[bots.c]\nrun = "m:b"\nnonsense = 1\n'
    )
    found = {name: (spec["kind"], spec["command"], spec["run"], spec["schedule"] is not None) for name in "abc" if (spec := bot(loaded, name))}
    assert found == {
        "a": ("command", ["echo", "hi"], None, False), "b": ("script", None, None, True), "c": ("native", None, "m:b", False),
    }  # fmt: skip
    assert bot(loaded, "b")["script"].endswith("/a.py") and all(bot(loaded, name)["error"] for name in "abc")
