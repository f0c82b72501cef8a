"""config: the health table, its defaults, its merging, and every mistake with place and way out."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only

HEAD = "[bots.a]\nscript = 'main.py'\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tcp = 0", "found 0 for health.tcp in [bots.a], expected at least 1", ""),
        ("tcp = 70000", "expected at most 65535", ""),
        ("http = 'http:///healthz'", "expected an address such as", ""),
        ("http = '127.0.0.1:80'", "expected an address such as", ""),
        ("exec = './check.sh'", "expected a list of texts", 'write exec = ["./check.sh", "first argument"]'),
        ("exec = []", "expected a list of texts", ""),
        ("htpp = 'http://a/'", 'unknown key "htpp" in [bots.a.health]', 'did you mean "http"?'),
        ("every = '200ms'", "expected a duration of 1 second or more", "once a second"),
        ("log_silence = 0", "expected a duration of 1 second or more", ""),
        ("fail_after = 0", "expected at least 1", ""),
        ("action = 'stop'", 'expected one of "restart", "none"', ""),
        ("tcp = 1\nevery = '5s'\ntimeout = '5s'", "found timeout 5.0s for probes that are due every 5.0s, expected less", "raise health.every"),
    ],
)
def test_every_mistake_has_its_place_and_a_way_out(load, text, message, hint):
    """At the line of the key itself; the bot alone is left out."""
    problem = only(load(f"{HEAD}[bots.a.health]\n{text}\n"))
    assert message in problem.message and hint in problem.hint
    assert problem.line == 5 + len(text.splitlines()) and problem.severity == "bot"


def test_a_deadline_longer_than_the_time_between_is_found_across_scopes(load):
    """Neither of the two tables is wrong by itself; the problem stands where the bot says its part."""
    problem = only(load(f"[global.health]\ntimeout = '8s'\n{HEAD}[bots.a.health]\ntcp = 80\nevery = '6s'\n"))
    assert problem.code == "probe-timeout" and problem.line >= 7


def test_a_probe_that_is_not_there_is_told_before_the_bot_is_restarted_for_it(load, folder):
    """It may appear later: the bot is tried again, like one whose script is missing."""
    (folder / "other.py").chmod(0o644)
    assert "does not exist" in only(load(f"{HEAD}health = {{ exec = ['./chekc.sh'] }}")).message
    problem = only(load(f"{HEAD}health = {{ exec = ['./other.py'] }}"))
    assert problem.code == "probe-missing" and "chmod +x" in problem.hint


def test_a_probe_is_looked_for_on_the_path_that_it_will_have(load, folder):
    """The bot's own PATH counts only when `env` names it; a file beside fleet.toml is not on any."""
    problem = only(load(f"{HEAD}health = {{ exec = ['nosuchprogram'] }}"))
    assert (problem.code, problem.severity) == ("probe-missing", "bot") and 'exec of health: "nosuchprogram" is not on PATH' in problem.message
    assert 'write "./run.sh"' in only(load(f"{HEAD}health = {{ exec = ['run.sh'] }}")).hint
    own = f"{HEAD}env = {{ PATH = '{folder}' }}\n"
    assert only(load(f"{own}health = {{ exec = ['run.sh'] }}")).code == "probe-missing"
    assert load(f"{own}health = {{ exec = ['run.sh'], env = ['PATH'] }}").problems == ()
    for there in ("true", "python"):
        assert load(f"{HEAD}health = {{ exec = ['{there}'] }}").problems == ()


def test_without_a_table_there_is_nothing_to_check(load):
    """psvd sees at once that a bot has no checks."""
    assert bot(load(HEAD), "a")["health"] is None


def test_scopes_are_merged_and_paths_made_absolute(load, folder):
    """Key by key, like restart; the default deadline follows the time between two probes."""
    spec = bot(load(f"[global.health]\nevery = '4s'\nfail_after = 5\n{HEAD}health = {{ exec = ['./run.sh', 'x'], fail_after = 2 }}"), "a")
    assert spec["health"] == {
        "http": None, "tcp": None, "exec": [str(folder / "run.sh"), "x"], "env": [], "log_silence_s": None, "every_s": 4.0, "timeout_s": 2.0,
        "fail_after": 2, "pass_after": 1, "grace_s": 0.0, "settle_s": 0.0, "action": "restart", "connected_within_s": 120.0,
    }  # fmt: skip
