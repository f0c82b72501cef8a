"""Laws of `psv config` on a real fleet: only what changed is touched, what fails is taken back, and what was rejected stays away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Psv
from tests.cli.test_up import end, pid_of
from tests.supervisor.live import eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.paths import FleetPaths

pytestmark = pytest.mark.slow
RUNS = "import sys, time\nprint('here', *sys.argv[1:], flush=True)\ntime.sleep(3600)\n"
FAILS = "import sys\nprint('bad', flush=True)\nsys.exit(3)\n"
FLEET = """# Two of a kind, and another.
[fleet]
name = "demo"
down_timeout = "3s"

[types.twin]
script = "main.py"      # both run it
args = ["one"]
ready = { log = "here" }

[bots."twin-{n}"]
type = "twin"
count = 2

[bots.other]
command = ["sleep", "600"]
ready = { after = "0s" }
"""


@pytest.fixture
def home(folder: Path, psv: Psv) -> Iterator[Path]:
    """A running fleet."""
    (folder / "main.py").write_text(RUNS)
    (folder / "bad.py").write_text(FAILS)
    (folder / "fleet.toml").write_text(FLEET)
    started = psv("up", "--detach", "--wait")
    assert started.returncode == 0, started.stderr
    yield folder
    end(folder, psv)


def pids(psv: Psv) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in json.loads(psv("ls", "--json").stdout)}


def spec_of(folder: Path, bot: str) -> dict[str, Any]:
    applied = json.loads(FleetPaths(folder).applied.read_bytes())
    return next(spec for spec in applied["bots"] if spec["name"] == bot)


def write(folder: Path, old: str, new: str) -> None:
    text = (folder / "fleet.toml").read_text()
    assert old in text
    (folder / "fleet.toml").write_text(text.replace(old, new))


def test_a_day_of_a_configuration(psv: Psv, home: Path) -> None:
    """Changed, taken back, set and saved: each is a version, only what changed is restarted, and the files are the user's."""
    before = pids(psv)
    write(home, '"one"', '"two"')
    assert "twin-1, twin-2: restart: args" in psv("config", "plan").stdout
    assert pids(psv) == before
    applied = psv("reload", "--reason", "for two")
    assert (applied.returncode, applied.stderr) == (0, "")
    after = pids(psv)
    assert {name for name in before if after[name] != before[name]} == {"twin-1", "twin-2"}
    assert "differs" not in psv("status").stdout

    edited = (home / "fleet.toml").read_text()
    back = psv("config", "rollback", "1", "--reason", "too many")
    assert back.returncode == 0, back.stderr
    assert spec_of(home, "twin-1")["args"] == ["one"]
    assert (home / "fleet.toml").read_text() == edited
    assert "rejected because rolled back to version 1: too many" in psv("status").stdout
    assert psv("reload").returncode == 5
    assert psv("config", "apply", "--again").returncode == 0
    assert "differs" not in psv("status").stdout

    kept = pids(psv)
    assert psv("config", "set", "--type", "twin", "restart.max", "90s", "--save").returncode == 0
    assert spec_of(home, "twin-2")["restart"]["max_s"] == 90.0
    assert "# both run it" in (home / "fleet.toml").read_text() and "90s" in (home / "fleet.toml").read_text()
    assert pids(psv) == kept
    assert psv("reload").stdout == "nothing differs from running version 5\n"
    explained = psv("config", "explain", "twin-1", "restart.max").stdout.splitlines()
    assert explained[0] == 'restart.max = "90s"  from [types.twin] in fleet.toml:10'
    assert explained[-1].strip().startswith("since version 5: ")
    rows = json.loads(psv("config", "versions", "--json").stdout)
    assert [(row["number"], row["result"], row["is_running"]) for row in rows] == [(n, "applied", n == 5) for n in range(1, 6)]
    assert [row["reason"] for row in rows][:3] == ["psv up", "for two", "too many"]


def test_a_bad_change_leaves_the_last_good(psv: Psv, home: Path) -> None:
    """What does not become ready is taken back on all that it touched, and stays away over down and up, until it is mended.

    That holds of a file that it includes for the first time, too.
    """
    before = pids(psv)
    write(home, '"main.py"', '"bad.py"')
    write(home, "# Two", 'include = "more.toml"\n# Two')
    (home / "more.toml").write_text('[types.more]\nargs = ["more"]\n')
    failed = psv("config", "apply")
    assert failed.returncode == 1
    assert "version 2 was taken back: version 1 runs again: twin-1" in failed.stderr
    assert pids(psv)["other"] == before["other"]
    assert {row["state"] for row in json.loads(psv("ls", "--json").stdout)} == {"RUNNING"}
    assert spec_of(home, "twin-1")["script"] == str(home / "main.py")
    assert "rejected because twin-1" in psv("status").stdout

    assert psv("down").returncode == 0
    assert "last version 1: rejected because" in psv("config", "diff").stdout
    up = psv("up", "--detach", "--wait")
    assert up.returncode == 0
    assert "fleet.toml differs from version 1, which runs: rejected because twin-1" in up.stderr
    assert spec_of(home, "twin-1")["script"] == str(home / "main.py")
    assert "rejected because twin-1" in psv("status").stdout

    assert psv("down").returncode == 0
    write(home, '"bad.py"', '"main.py"')
    write(home, '"one"', '"three"')
    assert psv("up", "--detach", "--wait").returncode == 0
    assert spec_of(home, "twin-1")["args"] == ["three"]
    newest = json.loads(psv("config", "versions", "--json").stdout)[-1]
    assert (newest["is_running"], newest["reason"], newest["result"]) == (True, "psv up", "applied")


def test_a_value_ends_by_itself(psv: Psv, home: Path) -> None:
    """A value for a time holds, is shown with its end, and is gone when that has come: with a version that says so."""
    assert psv("config", "set", "other", "restart.max", "5m", "--for", "7s", "--reason", "busy").returncode == 0
    assert "set by command, stronger than the files: bots.other.restart.max" in psv("status").stdout
    assert spec_of(home, "other")["restart"]["max_s"] == 300.0
    shown = psv("config", "explain", "other", "restart.max").stdout.splitlines()[0]
    assert shown.startswith('restart.max = "5m"  from psv config set on bots.other by ') and "for another " in shown and "(busy)" in shown
    eventually(lambda: spec_of(home, "other")["restart"]["max_s"] == 60.0, 30)
    newest = json.loads(psv("config", "versions", "--json").stdout)[-1]
    assert newest["is_running"] and "has ended" in newest["reason"]


def test_the_client_says_how_a_change_ends_that_outlives_its_psvd(psv: Psv, home: Path) -> None:
    """psvd dies in mid-change: the command waits for the next one, which finishes or undoes it, and says which."""
    write(home, '"one"', '"four"')
    (home / "main.py").write_text(RUNS.replace("print(", "time.sleep(1.5)\nprint("))
    psvd = pid_of(psv, home, "psvd")
    done: list[subprocess.CompletedProcess[str]] = []
    command = threading.Thread(target=lambda: done.append(psv("reload")))
    command.start()

    def is_under_way() -> bool:
        with ControlClient(FleetPaths(home)) as client:
            return bool(client.call("config.running")["rollout"])

    eventually(is_under_way, 20)


    os.kill(psvd, signal.SIGKILL)
    command.join(60)
    (ended,) = done
    assert "psvd ended in mid-change" in ended.stderr
    here = json.loads(psv("config", "versions", "--json").stdout)
    running = next(row["number"] for row in here if row["is_running"])
    assert (ended.returncode, running) in ((0, 2), (1, 1)), ended
    assert ("version 2 runs" in ended.stdout) if running == 2 else ("version 2 was taken back" in ended.stderr), ended
    assert spec_of(home, "twin-1")["args"] == (["four"] if running == 2 else ["one"])
