"""Laws of `psv doctor`: it names what it looked at, finds what is missing, changes nothing."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

from tests.cli.conftest import PSV, Psv, environment
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.doctor import FILES_PER_BOT, OWN_FILES


def test_names_everything(psv: Psv, folder: Path) -> None:
    """Each finding has check, level, found, instead; the folder is as before."""
    before = sorted(folder.rglob("*"))
    done = psv("doctor", "--json")
    findings = json.loads(done.stdout)
    assert all(list(finding) == ["check", "level", "found", "instead"] for finding in findings)
    checks = {finding["check"] for finding in findings}
    assert checks >= {"python", "kernel", "cgroups", "open files", "pipes", "inotify", "file system", "disk", "runtime folder"}
    assert all(finding["instead"] for finding in findings if finding["level"] != "ok")
    assert sorted(folder.rglob("*")) == before
    assert psv("doctor").stdout.splitlines()[0].split()[0] == "CHECK"


def test_too_few_open_files(folder: Path, tmp_path: Path) -> None:
    """A hard limit that the fleet's bots exceed is bad: status 1 and how many can start."""
    bots = "".join(f'[bots.b{number}]\nrun = "bots:bot"\n' for number in range(200))
    (folder / "fleet.toml").write_text('[fleet]\nname = "many"\n' + bots)
    limit = OWN_FILES + 100 * FILES_PER_BOT

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    done = subprocess.run([*PSV, "doctor", "--json"], cwd=folder, env=environment(PSV_RUNTIME_DIR=str(tmp_path / "r")), preexec_fn=lower,
                          capture_output=True, text=True, timeout=60, check=False)
    finding = next(row for row in json.loads(done.stdout) if row["check"] == "open files")
    assert done.returncode == 1
    assert finding["level"] == "bad"
    assert "only some 100 of 200 bots" in finding["instead"]


def test_tells_what_the_running_fleet_notes(psv: Psv, fleet: FakeFleet) -> None:
    """Notes of the running fleet, such as a preload module left out, are findings too."""
    findings = json.loads(psv("doctor", "--json").stdout)
    assert {"check": "legacy", "level": "note", "found": "runs as a command", "instead": ""} in findings


def test_outside_of_a_fleet(psv: Psv, tmp_path: Path) -> None:
    """Without a fleet the machine alone is looked at."""
    assert "none here" in psv("doctor", cwd=tmp_path).stdout


def test_a_time_zone_that_does_not_exist_is_noted(psv: Psv) -> None:
    """Whoever starts a fleet here gets tasks by UTC."""
    (found,) = [f for f in json.loads(psv("doctor", "--json", env={"TZ": "CEST"}).stdout) if f["check"] == "time zone"]
    assert (found["level"], found["found"]) == ("note", "CEST") and "UTC" in found["instead"]
