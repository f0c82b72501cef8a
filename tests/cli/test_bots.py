"""Laws of the verbs on bots: what psvd answers is what is printed, and the status follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Psv, keeper_socket
from tests.commands.fakefleet import FakeFleet

KEYS = (
    "name type kind state wanted health health_message connected connected_age_s pid generation ready_at exited_at uptime_s restarts memory_bytes memory_age_s "
    "cpu_percent reason exit_code next_start_in_s next_run_at waits_on messages"
).split()


def test_list_json_is_the_contract(psv: Psv, fleet: FakeFleet) -> None:
    """`bot list --json` is one array of objects with every key of the contract, in its order."""
    rows = json.loads(psv("bot", "list", "--json").stdout)
    assert [row["name"] for row in rows] == ["alice", "bob", "legacy"]
    assert list(rows[0]) == KEYS
    assert rows[0]["ready_at"] == 1700000000.5


def test_list_plain(psv: Psv, fleet: FakeFleet) -> None:
    """In a pipe the table is aligned text, a header and a line a bot."""
    fleet.state["bob"] = "FAILED"
    shown = psv("ls").stdout.splitlines()
    assert shown[0].split()[:4] == ["NAME", "TYPE", "KIND", "STATE"]
    assert [line.split()[0] for line in shown[1:]] == ["alice", "bob", "legacy"]
    assert "code 3" in shown[2]
    assert all(line == line.rstrip() for line in shown)


def test_list_says_for_whom_a_bot_waits_and_which_check_it_fails(psv: Psv, fleet: FakeFleet) -> None:
    """The word alone would send the reader to psv bot status; a long message is cut."""
    fleet.state["alice"] = "INITIALIZING"
    fleet.facts = {
        "alice": {"reason": "dependency", "exit_code": None, "waits_on": ["db", "slow"]},
        "bob": {"health": "unhealthy", "health_message": "exec ./check.sh: exit code 1: " + 60 * "x", "reason": None, "exit_code": None},
    }
    shown = psv("ls").stdout.splitlines()
    assert shown[1].endswith("dependency: db, slow")
    assert shown[2].endswith("xxx…") and "exec ./check.sh: exit code 1" in shown[2]


@pytest.mark.parametrize(("reason", "code"), [("code", 1), ("lock-held", 126), ("config", None), ("memory-policy", None), ("crash-loop", 1)])
def test_what_ended_the_life_before_is_no_reason_of_a_bot_that_runs(psv: Psv, fleet: FakeFleet, reason: str, code: int | None) -> None:
    """In a table it reads as a fault for as long as the bot runs; as JSON, and of a bot on its way, it stays."""
    fleet.facts = {"alice": {"reason": reason, "exit_code": code}}
    assert reason not in psv("ls", "alice").stdout and "126" not in psv("ls", "alice").stdout
    assert "  reason" not in psv("bot", "status", "alice").stdout
    assert json.loads(psv("ls", "alice", "--json").stdout)[0]["reason"] == reason
    fleet.state["alice"] = "STARTING"
    assert reason in psv("ls", "alice").stdout


def test_status_of_a_stopped_process_says_so(psv: Psv, fleet: FakeFleet) -> None:
    """No check has failed yet, and it does nothing all the same: neither healthy nor in time."""
    fleet.facts = {"alice": {"stopped": "stopped by a signal (SIGSTOP or the like)", "beat_age_s": 10.1, "lag_s": 0.002}}
    shown = psv("bot", "status", "alice").stdout
    assert "stopped, up" in shown and "stopped by a signal" in shown and "turned 10.1 s ago\n" in shown and "healthy" not in shown


def test_list_says_that_the_keeper_is_gone(psv: Psv, fleet: FakeFleet, folder: Path) -> None:
    """The bots of such a fleet run, but nothing would be started again."""
    assert "the keeper is gone" in psv("ls").stderr
    assert psv("ls", "--json").stderr == ""
    with keeper_socket(folder):
        assert psv("ls").stderr == ""


def test_globs_and_type(psv: Psv, fleet: FakeFleet) -> None:
    """Names may be globs; --type takes the bots of a type."""
    assert [row["name"] for row in json.loads(psv("ls", "*b*", "--json").stdout)] == ["bob"]
    assert len(json.loads(psv("ls", "--type", "helper", "--json").stdout)) == 2


def test_unknown_bot(psv: Psv, fleet: FakeFleet) -> None:
    """A name that matches nothing: status 4 and the nearest name."""
    done = psv("restart", "alcie")
    assert done.returncode == 4
    assert done.stderr == 'psv: there is no bot "alcie"; did you mean "alice"?\n'


@pytest.mark.parametrize(("verb", "state"), [("start", "RUNNING"), ("stop", "STOPPED"), ("restart", "RUNNING"), ("bot pause", "PAUSED"),
                                             ("bot resume", "RUNNING")])
def test_operate(psv: Psv, fleet: FakeFleet, verb: str, state: str) -> None:
    """Each verb acts and prints a line a bot."""
    done = psv(*verb.split(), "alice", "bob")
    assert (done.returncode, done.stdout) == (0, f"alice {state}\nbob {state}\n")


def test_refused_verb(psv: Psv, fleet: FakeFleet) -> None:
    """Pausing a program: status 5, the reason on stderr, nothing done; also as JSON."""
    done = psv("bot", "pause", "legacy")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "psv: legacy: legacy is a script and cannot pause; stop it instead (RUNNING)\n"
    shown = psv("bot", "pause", "legacy", "--json")
    assert shown.returncode == 5
    assert json.loads(shown.stdout)[0]["code"] == "refused"


def test_nothing_named(psv: Psv, fleet: FakeFleet) -> None:
    """Acting on no bot is a usage error."""
    assert psv("stop").returncode == 2
    assert set(fleet.state.values()) == {"RUNNING"}


def test_signal(psv: Psv, fleet: FakeFleet) -> None:
    """A signal is sent; a bot without a process refuses it."""
    assert psv("bot", "signal", "alice", "-s", "hup").stdout == "alice RUNNING: sent SIGHUP\n"
    fleet.state["bob"] = "STOPPED"
    assert psv("bot", "signal", "bob", "-s", "HUP").returncode == 5


def test_status_shows_the_last_exit_safely(psv: Psv, fleet: FakeFleet) -> None:
    """`bot status` names exception, place, what to do, and the last lines without terminal escapes."""
    fleet.state["alice"] = "FAILED"
    shown = psv("bot", "status", "alice").stdout
    assert "  code 3; ValueError: no token" in shown and "code code" not in shown
    assert "ValueError: no token (bots.py:7)" in shown
    assert "read the log" in shown
    assert "  | boom\\x1b[31m" in shown
    assert json.loads(psv("bot", "status", "alice", "--json").stdout)[0]["last_exit"]["exit_code"] == 3


def test_status_of_a_bot_that_runs_again_shows_the_traceback_that_ended_it(psv: Psv, fleet: FakeFleet) -> None:
    """From its first line; what the life before had printed otherwise is of no interest any more."""
    raised = {"type": "ValueError", "message": "no token", "file": "bots.py", "line": 7}
    tail = ["working", "Traceback (most recent call last):", '  File "bots.py", line 7, in f', "ValueError: no token"]
    last = {"reason": "code", "exit_code": 1, "at": 1.0, "log_tail": tail, "exception": raised}
    fleet.facts["alice"] = {"last_exit": last}
    shown = psv("bot", "status", "alice").stdout
    assert "  | Traceback (most recent call last):\n  |   File " in shown and "working" not in shown
    fleet.facts["alice"] = {"last_exit": last | {"exception": None}}
    assert "  | " not in psv("bot", "status", "alice").stdout


def test_an_unhealthy_bot_says_why_and_since_when_its_network_is_away(psv: Psv, fleet: FakeFleet) -> None:
    """In the list one word, in the status the reason and the age of the last proof; a bot without a network has no such line."""
    why = "not connected: the last proof from its network is 130 s old, the limit is 120 s"
    fleet.facts["alice"] = {"health": "unhealthy", "health_message": why, "connected": False, "connected_age_s": 130.0}
    assert "unhealthy, offline" in psv("ls", "alice").stdout
    shown = psv("bot", "status", "alice").stdout
    assert why in shown and "not connected, last proof 2m10s ago" in shown
    assert "network" not in psv("bot", "status", "bob").stdout


def test_history(psv: Psv, fleet: FakeFleet) -> None:
    """`bot history` lists transitions, oldest first."""
    rows = json.loads(psv("bot", "history", "--json").stdout)
    assert [row["bot"] for row in rows if row["kind"] != "uptime"] == ["alice", "bob", "alice"]
    assert [row["bot"] for row in rows if row["kind"] == "uptime"] == ["alice", "bob", "legacy"]
    assert "99.99%" in psv("bot", "history", "alice").stdout.splitlines()[1], "only all of the time is 100"
    assert psv("bot", "history", "-n", "1").stdout.splitlines()[-1].split()[2:5] == ["alice", "STARTING", "RUNNING"]


def test_dump(psv: Psv, fleet: FakeFleet) -> None:
    """`bot dump` prints threads and tasks of each bot, safe for a terminal, and a refusal on stderr."""
    done = psv("bot", "dump", "alice")
    assert done.returncode == 0 and done.stdout.startswith("alice  pid 7, generation 1, ")
    assert "    stack of alice\\x1b[31m\n" in done.stdout and "    Task a: main\n" in done.stdout and "not to be had: x: why" in done.stdout
    assert json.loads(psv("bot", "dump", "alice", "--json").stdout)[0]["tasks"] == "Task a: main"
    fleet.bots["legacy"] = "command"
    refused = psv("bot", "dump", "legacy")
    assert (refused.returncode, refused.stdout, refused.stderr) == (5, "", "psv: legacy: legacy gives no dump\n")
