"""Laws of how `psv logs` chooses bots and times; what it prints of a real fleet is in test_up."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from tests.cli.conftest import Psv

from processsupervisor.cli.logs import choose, parse_since, read_specs
from processsupervisor.kernel.errors import NoSuchBot, UsageError
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths

NOW = datetime(2026, 1, 31, 15, 0).timestamp()


@pytest.mark.parametrize(("text", "seconds"), [
    ("10m", 600), ("1h30m", 5400), ("90", 90), ("14:30", 1800), ("2026-01-31T14:00", 3600), ("2026-01-30", 39 * 3600), ("16:00", 0),
])
def test_since(text: str, seconds: float) -> None:
    """A duration, a bare number of seconds, a time of today, a date and time; what lies ahead is now."""
    assert parse_since(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "soon", "25:00", "-5m", "2026-13-01"])
def test_since_refused(text: str) -> None:
    """Anything else is a usage error that says what is expected."""
    with pytest.raises(UsageError, match="expected a duration"):
        parse_since(text, NOW)


def applied(folder: Path) -> FleetPaths:
    paths = FleetPaths(folder)
    bots = [{"name": "zoe", "type": "x"}, {"name": "ann", "type": None}, {"name": "../../etc", "type": None}]
    write_json(paths.applied, {"bots": bots})
    paths.bot_logs("gone").mkdir()
    return paths


def test_choose(folder: Path) -> None:
    """The order is fleet.toml's; a bot that was taken out is found by its log; a name that is no name is never used."""
    paths = applied(folder)
    specs = read_specs(paths)
    assert choose(paths, specs, [], None) == ["zoe", "ann"]
    assert choose(paths, specs, ["gone", "z*"], None) == ["zoe", "gone"]
    assert choose(paths, specs, [], "x") == ["zoe"]
    for names, type_name in ((["nobody"], None), (["../../etc"], None), ([], "y")):
        with pytest.raises(NoSuchBot):
            choose(paths, specs, names, type_name)


def test_failures(psv: Psv, folder: Path) -> None:
    """No fleet: 3; no such bot: 4; a bad pattern or time: 2."""
    assert psv("logs").returncode == 3
    applied(folder)
    assert psv("logs", "an").returncode == 4
    assert psv("logs", "--grep", "(").returncode == 2
    assert psv("logs", "--since", "never").returncode == 2
    assert psv("logs").stdout == ""
