"""Laws of the probes of folder and machine, and of a keeper that ends at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from processsupervisor.cli import machine
from processsupervisor.cli.detach import start_detached
from processsupervisor.kernel.errors import ConfigError, PsvError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths


def test_good_folder_leaves_nothing(tmp_path: Path) -> None:
    """A usable folder passes, and the probes leave nothing in it."""
    paths = FleetPaths(tmp_path)
    machine.require_folder(paths)
    assert [entry.name for entry in paths.run.iterdir()] == ["bots"]


def test_folder_without_fifos_or_locks() -> None:
    """A file system without what a fleet needs is named: /proc takes no file at all."""
    assert "cannot write in" in machine.probe_folder(Path("/proc/self"))


@pytest.mark.root
def test_foreign_owner(tmp_path: Path) -> None:
    """A .psv of another user is not touched."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    os.chown(paths.psv, 4711, 4711)
    with pytest.raises(PsvError, match="belongs to uid 4711"):
        machine.require_folder(paths)


def test_other_systems_are_pointed_to_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux one line names the container, with status 2."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError) as caught:
        machine.require_linux()
    assert str(caught.value) == "fleets need Linux; run the container: docker compose up (see compose.yaml)"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(("code", "said"), [
    ("import sys; sys.exit('psv: cannot start: no room')", "the keeper ended at once: cannot start: no room"),
    ("pass", "the keeper ended at once: it said nothing"),
])
def test_keeper_that_ends_at_once(tmp_path: Path, code: str, said: str) -> None:
    """Its last words are the error, without waiting for the timeout."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    with pytest.raises(PsvError, match=said):
        start_detached(paths, [sys.executable, "-c", code], 60)


def test_interpreter_that_is_not_there(tmp_path: Path) -> None:
    """A keeper that cannot be executed is told too."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    with pytest.raises(PsvError, match="cannot run /nowhere/python"):
        start_detached(paths, ["/nowhere/python"], 60)


def test_too_long_a_path(tmp_path: Path) -> None:
    """A path that SQLite cannot open is refused before anything starts."""
    deep = tmp_path.joinpath(*["x" * 100] * 5)
    deep.mkdir(parents=True)
    with pytest.raises(SystemRefused, match="bytes"):
        machine.require_folder(FleetPaths(deep))
