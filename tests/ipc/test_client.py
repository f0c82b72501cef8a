"""The client of the control socket where there is no supervisor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import NoSupervisor
from processsupervisor.kernel.paths import FleetPaths


def test_a_run_folder_that_is_emptied_in_this_moment_is_no_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """psv up makes it anew while another psv looks for bots that run on without a supervisor."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    (paths.run / "bots").mkdir(exist_ok=True)
    look = os.scandir

    def vanish(folder: Path) -> object:
        if (paths.run / "bots").is_dir():
            (paths.run / "bots").rmdir()
        return look(folder)

    monkeypatch.setattr(os, "scandir", vanish)
    with pytest.raises(NoSupervisor, match="no supervisor runs"):
        ControlClient(paths)
