"""Laws of `psv fleets`: what is listed is told apart by whether its keeper lives."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import Psv

from processsupervisor.kernel.identity import Identity


def enter(tmp_path: Path, name: str, identity: dict[str, object]) -> None:
    folder = tmp_path / "runtime" / "fleets"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "runtime").chmod(0o700)
    (folder / f"{name}.json").write_text(json.dumps({"folder": f"/fleets/{name}", "name": name, "since": 1.0, **identity}))


def test_running_and_gone(psv: Psv, tmp_path: Path) -> None:
    """A keeper with another start time than the listed one is gone; broken entries are passed over."""
    own = Identity.of(os.getpid())
    assert own is not None
    enter(tmp_path, "alive", own.to_json())
    enter(tmp_path, "dead", own.to_json() | {"start_ticks": 1})
    (tmp_path / "runtime" / "fleets" / "torn.json").write_text("{")
    rows = {row["name"]: row for row in json.loads(psv("fleets", "--json").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {"alive": "running", "dead": "gone"}
    shown = psv("fleets").stdout
    assert "/fleets/alive" in shown


def test_none(psv: Psv, tmp_path: Path) -> None:
    """No fleet is said so, outside of any fleet folder too."""
    done = psv("fleets", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "psv: no fleet of this user runs\n")
    assert json.loads(psv("fleets", "--json", cwd=tmp_path).stdout) == []
