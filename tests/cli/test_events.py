"""Laws of `psv events` and the first lines of `psv bot history`, against a fleet in memory."""

from __future__ import annotations

import json

import pytest
from tests.cli.conftest import Psv
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.session import json_text

TOLD: list[dict[str, object]] = [
    {"seq": 1, "kind": "transition", "at": 1700000000.0, "bot": "alice", "from": "RUNNING", "to": "STOPPING", "reason": "admin", "by": "eve"},
    {"seq": 2, "kind": "exit", "at": 1700000001.0, "bot": "alice", "reason": "signal", "uptime_s": 3.0, "message": "killed\x1b[31m"},
    {"seq": 3, "kind": "restart", "at": 1700000001.5, "bot": "alice", "reason": "signal", "by": "policy", "delay_s": 2.0},
    {"seq": 4, "kind": "command", "at": 1700000002.0, "op": "bot.stop", "by": "eve", "args": {"names": ["alice"]}},
    {"kind": "lost", "at": 1700000002.0, "count": 7},
    {"seq": 12, "kind": "something-new", "at": 1700000003.0, "detail": {"a": 1}, "empty": ""},
    {"seq": 13, "kind": "down", "at": 1700000004.0, "stopped": 3},
]


def test_json_is_one_event_a_line_as_it_was_told(psv: Psv, fleet: FakeFleet) -> None:
    """Nothing is added, nothing left out; what only the stream needs is not shown."""
    fleet.told = TOLD
    assert [json.loads(line) for line in psv("events", "--json").stdout.splitlines()] == TOLD


def test_json_stays_json_whatever_a_bot_has_said(psv: Psv, fleet: FakeFleet) -> None:
    """No-break spaces, controls and lone surrogates come back as they were, and none goes to a terminal as it is."""
    said = "1\u00a0000\u00ad \x85\x9b31m \x7f \udcff \U000e0001 \u202e caf\u00e9"
    fleet.told = [{"seq": 1, "kind": "exit", "at": 1700000001.0, "bot": "alice", "message": said}]
    done = psv("events", "--json", env={"PYTHONIOENCODING": "utf-8:strict"})
    assert [json.loads(line) for line in done.stdout.splitlines()] == fleet.told
    assert done.stdout.strip().isprintable() and "caf\u00e9" in done.stdout
    whole = json_text(fleet.told, indent=2)
    assert json.loads(whole) == fleet.told and whole.replace("\n", "").isprintable()


def test_people_see_a_line_an_event(psv: Psv, fleet: FakeFleet) -> None:
    """Time, kind, bot and words; a kind of a newer psvd is shown all the same, and nothing a terminal would obey."""
    fleet.told = TOLD
    lines = psv("events").stdout.splitlines()
    assert [line.split()[2] for line in lines] == [event["kind"] for event in TOLD]
    assert lines[0].endswith("alice         RUNNING -> STOPPING; admin; by eve")
    assert lines[1].endswith("signal; ready for 3.0s; killed\\x1b[31m")
    assert lines[2].endswith("signal; in 2.0s; by policy")
    assert lines[3].endswith("-             bot.stop alice; by eve")
    assert lines[4].endswith("7 events are missing here")
    assert lines[5].endswith('detail {"a": 1}')


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"state": "running", "message": "command"}, "running; by command; due 2023-11-14 22:13:20"),
        ({"state": "running", "message": "schedule"}, "running; its time has come; due 2023-11-14 22:13:20"),
        ({"state": "ended", "reason": "code", "message": "exited with 7"}, "ended; code; exited with 7; due 2023-11-14 22:13:20"),
        ({"state": "skipped", "message": "the run before went on"}, "skipped; the run before went on; due 2023-11-14 22:13:20"),
    ],
)
def test_a_run_of_a_task_is_told_in_words(psv: Psv, fleet: FakeFleet, facts: dict[str, object], words: str) -> None:
    """What it was begun for and when it was due, as a person reads it."""
    fleet.told = [{"seq": 1, "kind": "task", "at": 1700000001.0, "bot": "job", "due_at": 1700000000.5, **facts}]
    assert psv("events", env={"TZ": "UTC"}).stdout.rstrip("\n").endswith(f"job           {words}")


def test_following_ends_with_the_fleet(psv: Psv, fleet: FakeFleet) -> None:
    """Status 0, without another try."""
    fleet.told = [event for event in TOLD if "seq" in event]
    done = psv("events", "-f", "--after", "4")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


def test_without_a_fleet_it_says_so(psv: Psv) -> None:
    """Nothing to begin with: status 3, with and without --follow."""
    assert psv("events").returncode == 3
    assert psv("events", "-f").returncode == 3
