"""Laws of `psv status` and `psv down`."""

from __future__ import annotations

import json

import pytest
from tests.cli.conftest import Psv
from tests.commands.fakefleet import FakeFleet

from processsupervisor.cli.fleet import differing


def test_status(psv: Psv, fleet: FakeFleet) -> None:
    """Processes, bots per state, notes, the page, and that fleet.toml has changed."""
    shown = psv("status").stdout
    assert "bots 3 RUNNING" in shown
    assert "web http://127.0.0.1:8450/" in shown
    assert "note: legacy: runs as a command" in shown
    assert "fleet.toml differs from what runs; psv config diff" in shown
    assert "psvd" in shown


def test_status_json_is_the_contract(psv: Psv, fleet: FakeFleet) -> None:
    """`status --json` has processes with role, pid, generation, memory_bytes, and a count of bots per state."""
    fleet_object = json.loads(psv("status", "--json").stdout)
    assert set(fleet_object["processes"][0]) == {"role", "pid", "generation", "memory_bytes"}
    assert fleet_object["bots"] == {"RUNNING": 3}


def test_down_counts_in_its_last_line(psv: Psv, fleet: FakeFleet) -> None:
    """`down` prints progress; its last line is the count."""
    done = psv("down")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["alice STOPPED", "bob STOPPED", "legacy STOPPED", "stopped 3 bots"]


def test_down_lists_the_bots_that_it_counts(psv: Psv, fleet: FakeFleet) -> None:
    """What had failed or waited had no process to stop."""
    fleet.state.update(bob="FAILED", legacy="RECOVERING")
    assert psv("down").stdout.splitlines() == ["alice STOPPED", "stopped 1 bot"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"number": 12, "differs": False, "rejected": None}, ""),
        ({"number": 12, "differs": True, "rejected": None}, "note: fleet.toml differs from running version 12; psv config diff shows how"),
        ({"number": 12, "differs": True, "rejected": "a fell over"}, "note: fleet.toml differs from running version 12: rejected because a fell over"),
    ],
)
def test_files_that_differ(config: dict[str, object], said: str) -> None:
    """What differs, from which version, and why it does not run."""
    line = differing({"config_differs": config["differs"], "config": config})
    assert line.startswith(said) and bool(line) == bool(said)
