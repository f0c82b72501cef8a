"""Laws of where a bot's own code lies at its start: in its release, and never in the folder when that is gone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.environment import compose
from processsupervisor.launch.release import code_folder, refuse_missing, runs_module
from processsupervisor.process.launcher import command_line


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


@pytest.mark.parametrize(
    ("words", "is_module"),
    [
        (["python", "-m", "shop"], True),
        (["python3.12", "-u", "-W", "ignore", "-m", "shop"], True),
        (["/srv/venv/bin/python", "-m", "shop"], True),
        (["python", "./main.py", "-m", "shop"], False),
        (["sh", "-m", "shop"], False),
    ],
)
def test_what_runs_a_module(words: list[str], is_module: bool) -> None:
    """`python -m`, with options before it; not a script that has such an option itself."""
    assert runs_module(words[0], words[1:]) is is_module


def test_a_module_is_imported_from_the_release(tmp_path: Path) -> None:
    """`python -m` looks in the working folder first: there lies the code that is being edited."""
    for folder, said in ((tmp_path, "folder"), (code_folder(tmp_path, 7), "release")):
        (folder / "shop").mkdir(parents=True)
        (folder / "shop" / "__init__.py").write_text(f"said = '{said}'\n")
        (folder / "shop" / "main.py").write_text("from . import said\nprint(said)\n")
    for release, said in ((7, "release"), (None, "folder")):
        spec = {"kind": "command", "command": ["python", "-m"], "args": ["shop.main"], "python": None, "release": release}
        environment = {"PATH": "/usr/bin:/bin"} | compose(spec_of(tmp_path, release) | {"kind": "command"})
        ended = subprocess.run(command_line(cast(BotSpec, spec)), cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert ended.stdout == f"{said}\n"
