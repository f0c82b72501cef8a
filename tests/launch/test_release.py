"""Laws of where a bot's own code lies at its start: in its release, and never in the folder when that is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.environment import compose
from processsupervisor.launch.release import code_folder, refuse_missing


def spec_of(folder: Path, release: int | None) -> dict[str, Any]:
    return {"name": "a", "folder": str(folder), "release": release, "kind": "script", "env": {}}


def test_the_bot_is_told_its_release(tmp_path: Path) -> None:
    """By PSV_RELEASE; without a release there is no such variable."""
    assert compose(spec_of(tmp_path, 7))["PSV_RELEASE"] == "7"
    assert "PSV_RELEASE" not in compose(spec_of(tmp_path, None))


def test_a_release_that_is_gone_is_never_replaced_by_the_folder(tmp_path: Path) -> None:
    """The start fails as config, with the release and the way out."""
    assert code_folder(tmp_path, None) == tmp_path
    refuse_missing(spec_of(tmp_path, None))
    with pytest.raises(LaunchFailed, match="release 7 is not there") as failed:
        refuse_missing(spec_of(tmp_path, 7))
    assert failed.value.reason is Reason.CONFIG
    assert "psv release list" in failed.value.hint
    code_folder(tmp_path, 7).mkdir(parents=True)
    refuse_missing(spec_of(tmp_path, 7))
    assert code_folder(tmp_path, 7) == FleetPaths(tmp_path).release(7) / "files"
