"""config: schedule and recycle. What is wrong is refused with place, found, expected and way out; what does not go together too."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only

TASK = "[bots.a]\ncommand = ['sh']\nschedule = {{ {} }}"


@pytest.mark.parametrize(
    ("keys", "found", "expected"),
    [
        ("cron = '0 4 * *'", 'found "0 4 * *" for schedule.cron', "of five fields; minute, hour"),
        ("cron = '0 0 4 * * *'", "schedule.cron", "of five fields"),
        ("cron = '61 * * * *'", "schedule.cron", "out of range"),
        ("cron = '0 4 31 2 *'", "schedule.cron", "can never occur"),
        ("cron = 'R 4 * * *'", "schedule.cron", "means the same each time; jitter"),
        ("cron = '@reboot'", "schedule.cron", "expected a cron expression"),
        ("cron = ''", "schedule.cron", "of five fields"),
        ("cron = 5", "found 5 for schedule.cron", "a text"),
        ("cron = '@daily', tz = 'Europe/Berln'", 'found "Europe/Berln" for schedule.tz', 'did you mean "Europe/Berlin"?'),
        ("cron = '@daily', tz = 'Europe'", "schedule.tz", "IANA database"),
        ("cron = '@daily', tz = '../../etc/passwd'", "schedule.tz", "IANA database"),
        ("every = '0.5s'", 'found "0.5s" for schedule.every', "at least 1s"),
        ("at = 'tomorrow'", 'found "tomorrow" for schedule.at', "2026-12-24T18:00:00"),
        ("at = []", "schedule.at", "the list is empty"),
        ("at = ['2026-12-24T18:00:00', 3]", "schedule.at", "or a list of them"),
        ("at = '9999-12-31T23:59:59'", "schedule.at", "out of range"),
        ("every = '1m', cron = '@daily'", "found cron and every in schedule", "exactly one of cron, every, at"),
        ("tz = 'UTC'", "found none in schedule", "exactly one of cron, every, at"),
        ("every = '1m', missed = 'twice'", 'found "twice" for schedule.missed', 'one of "skip", "once", "all"'),
        ("every = '1m', overlap = 'kil'", "schedule.overlap", 'did you mean "kill"?'),
        ("every = '1m', keep = 0", "schedule.keep", "at least 1"),
        ("every = '1m', timeout = '0s'", "schedule.timeout", "longer than 0"),
        ("evry = '1m', every = '1m'", 'unknown key "evry"', 'did you mean "every"?'),
    ],
)
def test_a_wrong_schedule_is_refused(load, keys, found, expected):
    """Each at its line, with what was found, what is expected, and leaving out this bot only."""
    problem = only(load(TASK.format(keys)))
    assert found in problem.text() and expected in problem.text()
    assert problem.line == 5 and problem.severity == "bot"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("[bots.a]\nrun = 'bots:helper'\nschedule = { every = '1m' }", "schedule-native", 5),
        ("[bots.a]\ncommand = ['sh']\nready = { after = '1s' }\nschedule = { every = '1m' }", "schedule-with", 5),
        ("[types.t]\nrestart = { policy = 'never' }\n[bots.a]\ntype = 't'\ncommand = ['sh']\nschedule = { every = '1m' }", "schedule-with", 4),
        ("[bots.a]\ncommand = ['sh']\nessential = true\nschedule = { every = '1m' }", "schedule-with", 5),
        ("[bots.a]\ncommand = ['sh']\nrecycle = { max_age = '1h' }\nschedule = { every = '1m' }", "schedule-with", 5),
        ("[bots.a]\ncommand = ['sh']\nrecycle = { max_messages = 5 }", "recycle-messages", 5),
        ("[bots.a]\ncommand = ['sh']\nrecycle = { max_memory = '9MB', max_memory_hard = '8MB' }", "recycle-order", 5),
        ("[bots.a]\ncommand = ['sh']\nrecycle = { within = '1m' }", "recycle-empty", 5),
    ],
)
def test_what_does_not_go_together_is_refused(load, text, code, line):
    """Where the key stands that is too much."""
    problem = only(load(text))
    assert (problem.code, problem.line) == (code, line) and problem.hint


def test_global_says_it_for_those_that_need_it(load):
    """What [global] says of ready, restart, recycle and messages is passed over where it means nothing."""
    text = """
[global]
ready = { after = "3s" }
restart = { policy = "on-failure" }
recycle = { max_age = "1h", max_messages = 5 }
[bots.task]
command = ["sh"]
schedule = { every = "1m" }
[bots.plain]
command = ["sh"]
recycle = { max_age = "2h" }
[bots.native]
run = "bots:helper"
"""
    loaded = load(text)
    assert loaded.problems == ()
    task, plain, native = (bot(loaded, name) for name in ("task", "plain", "native"))
    assert task["ready"] == {"kind": "after", "value": 0.0} and task["recycle"]["max_age_s"] is None
    assert task["restart"]["policy"] == "always"
    assert (plain["recycle"]["max_age_s"], plain["recycle"]["max_messages"]) == (7200.0, None)
    assert native["recycle"]["max_messages"] == 5 and native["schedule"] is None


def test_a_schedule_is_one_choice_and_comes_out_in_seconds(load):
    """The bot's own takes the place of its type's as a whole; TOML times and texts, one or several, become a list."""
    text = """
[types.nightly]
command = ["sh"]
schedule = { cron = "  0  4 * * MON-FRI ", tz = "Europe/Berlin", missed = "all", timeout = "1h", jitter = "5m", keep = 7 }
[bots.a]
type = "nightly"
[bots.b]
type = "nightly"
schedule = { at = [2026-12-24T18:00:00, "2027-01-01"] }
"""
    loaded = load(text)
    assert loaded.problems == ()
    assert bot(loaded, "a")["schedule"] == {
        "cron": "0 4 * * mon-fri", "every_s": None, "at": None, "tz": "Europe/Berlin", "missed": "all", "overlap": "skip", "timeout_s": 3600.0,
        "jitter_s": 300.0, "keep": 7,
    }  # fmt: skip
    schedule = bot(loaded, "b")["schedule"]
    assert schedule is not None and schedule["at"] == ["2026-12-24T18:00:00", "2027-01-01T00:00:00"]
    assert (schedule["cron"], schedule["tz"], schedule["missed"], schedule["keep"]) == (None, None, "once", 100)


def test_a_machine_without_a_usable_time_zone_is_a_warning_for_who_goes_by_it(load, monkeypatch):
    """The task is not refused: it runs, by UTC."""
    monkeypatch.setenv("TZ", "Nowhere/City")
    problem = only(load("[fleet]\nname = 'f'\n" + TASK.format("cron = '@daily'")))
    assert (problem.code, problem.severity, problem.line) == ("time-zone", "warning", 5) and "Nowhere/City" in problem.message
    assert not load("[fleet]\nname = 'f'\n" + TASK.format("every = '1h'")).problems
