"""The list of crash points is closed and alive: every name is placed, every placement is a name, every name has a case."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.crash import test_changes, test_keeper, test_psvd, test_tasks

from processsupervisor.kernel.crashing import STRUCK, VARIABLE
from processsupervisor.kernel.crashpoints import CrashPoint

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "processsupervisor"
REACH = f"from processsupervisor.kernel.crashpoints import CrashPoint, reach; reach(CrashPoint.{CrashPoint.PSVD_LOCKED.name}); print('passed')"


def _placed() -> list[str]:
    texts = [p.read_text() for p in PACKAGE.rglob("*.py") if p.name != "crashpoints.py"]
    return [name for text in texts for name in re.findall(r"(?<![.\w])reach\(([^)]*)\)", text) if not name.startswith("self")]


def test_every_point_is_placed_and_every_placement_is_a_point() -> None:
    """No dead names, and no place without one."""
    assert set(_placed()) == {f"CrashPoint.{point.name}" for point in CrashPoint}


def test_every_point_is_walked() -> None:
    """A case fails unless a process really died at its point, so a point with a case is one that is reached."""
    assert {case.point for case in (*test_psvd.CASES, *test_keeper.CASES, *test_tasks.CASES, *test_changes.CASES)} == set(CrashPoint)


def _run(folder: Path | None, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | extra
    if folder is not None:
        environment[VARIABLE] = str(folder)
    return subprocess.run([sys.executable, "-c", REACH], env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_only_the_armed_point_kills_and_only_once(tmp_path: Path) -> None:
    """The file is claimed by whoever dies: the successor passes."""
    (tmp_path / CrashPoint.PSVD_LISTENS).touch()
    assert _run(tmp_path).stdout == "passed\n"
    (tmp_path / CrashPoint.PSVD_LOCKED).write_bytes(b".")
    assert _run(tmp_path).stdout == "passed\n", "one byte is one pass"
    assert _run(tmp_path).returncode == -signal.SIGKILL
    assert int((tmp_path / f"{STRUCK}{CrashPoint.PSVD_LOCKED}").read_text()) > 0
    assert _run(tmp_path).stdout == "passed\n"


@pytest.mark.parametrize("is_named", [False, True])
def test_neither_the_variable_nor_the_file_is_enough_alone(tmp_path: Path, is_named: bool) -> None:
    """A folder without the file, and a file nobody names."""
    if not is_named:
        (tmp_path / CrashPoint.PSVD_LOCKED).touch()
    assert _run(tmp_path if is_named else None).stdout == "passed\n"


def test_the_wheel_has_no_way_to_die(tmp_path: Path) -> None:
    """The module that kills is left out of the wheel; without it everything passes, whatever is armed."""
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    assert "src/processsupervisor/kernel/crashing.py" in left_out
    kernel = tmp_path / "processsupervisor" / "kernel"
    kernel.mkdir(parents=True)
    for folder in (kernel, kernel.parent):
        (folder / "__init__.py").touch()
    (kernel / "crashpoints.py").write_text((PACKAGE / "kernel" / "crashpoints.py").read_text())
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / CrashPoint.PSVD_LOCKED).touch()
    assert _run(tmp_path / "points", PYTHONPATH=str(tmp_path)).stdout == "passed\n"
