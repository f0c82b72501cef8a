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
        ("cron = '61 * * * *'", "schedule.cron", 'whose minute is of 0 to 59, not "61"; minute, hour'),
        ("cron = '0 22-25 * * *'", "schedule.cron", 'whose hour is of 0 to 23, not "22-25"'),
        ("cron = '0 0 * * 1-8'", "schedule.cron", 'whose day of the week is of 0 to 7 or sun to sat, not "1-8"'),
        ("cron = '0 0 * foo *'", "schedule.cron", 'whose month is of 1 to 12 or jan to dec, not "foo"'),
        ("cron = '0 4 31 2 *'", "schedule.cron", "with a day that comes in its month"),
        ("cron = 'R 4 * * *'", "schedule.cron", "means the same each time; jitter"),
        ("cron = '@reboot'", "schedule.cron", "or a word for one; known words: @annually, @daily"),
        ("cron = '@dayly'", "schedule.cron", 'did you mean "@daily"?'),
        ("cron = ''", "schedule.cron", "of five fields"),
        ("cron = 5", "found 5 for schedule.cron", "a text"),
        ("cron = '@daily', tz = 'Europe/Berln'", 'found "Europe/Berln" for schedule.tz', 'did you mean "Europe/Berlin"?'),
        ("cron = '@daily', tz = 'CEST'", 'found "CEST" for schedule.tz', "do not say when the clocks change: name a place"),
        ("cron = '@daily', tz = 'GMT+2'", "schedule.tz", "name a place"),
        ("cron = '@daily', tz = 'utc'", "schedule.tz", 'did you mean "UTC"?'),
        ("cron = '@daily', tz = 'Europe'", "schedule.tz", "IANA database"),
        ("cron = '@daily', tz = '../../etc/passwd'", "schedule.tz", "IANA database"),
        ("every = '0.5s'", 'found "0.5s" for schedule.every', "at least 1s"),
        ("at = 'tomorrow'", 'found "tomorrow" for schedule.at', "2026-12-24T18:00:00"),
        ("at = []", "schedule.at", "the list is empty"),
        ("at = ['2026-12-24T18:00:00', 3]", "schedule.at", "or a list of them; look at entry 2, 3"),
        ("at = ['tomorrow', '2026-12-24']", "schedule.at", 'look at entry 1, "tomorrow"'),
        ("at = ['2026-12-24', '9999-12-31']", "schedule.at", 'the year is out of range: look at entry 2, "9999-12-31"'),
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


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ("at = ['2021-01-01T00:00:00', '2020-01-01T00:00:00']", "schedule-past", "the last was 2021-01-01T00:00:00; a new task never runs"),
        ("at = '2021-06-01T00:00:00', tz = 'Asia/Tokyo'", "schedule-past", "the last was 2021-06-01T00:00:00+09:00"),
        ("every = '1m', jitter = '61s'", "schedule-jitter", "found jitter 1m01s for runs that are due every 1m00s"),
    ],
)
def test_a_schedule_that_is_hardly_meant_gets_a_warning(load, keys, code, words):
    """It is allowed, and the bot is not left out."""
    loaded = load(TASK.format(keys))
    problem = only(loaded)
    assert (problem.code, problem.severity, problem.line) == (code, "warning", 5) and words in problem.text()
    assert bot(loaded, "a")["error"] is None


@pytest.mark.parametrize("keys", ["at = ['2021-01-01', '8999-01-01']", "every = '1m', jitter = '1m'", "cron = '@daily', jitter = '2h'"])
def test_a_schedule_that_has_runs_to_come_gets_none(load, keys):
    """One time to come is enough, and jitter up to the interval keeps the order."""
    assert load(TASK.format(keys)).problems == ()


def test_a_machine_without_a_usable_time_zone_is_a_warning_for_who_goes_by_it(load, monkeypatch):
    """The task is not refused: it runs, by UTC."""
    monkeypatch.setenv("TZ", "Nowhere/City")
    problem = only(load("[fleet]\nname = 'f'\n" + TASK.format("cron = '@daily'")))
    assert (problem.code, problem.severity, problem.line) == ("time-zone", "warning", 5) and "Nowhere/City" in problem.message
    assert not load("[fleet]\nname = 'f'\n" + TASK.format("every = '1h'")).problems
