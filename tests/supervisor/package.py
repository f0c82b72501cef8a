"""The package as another version of itself, or a broken one: what an operator would have installed before `psv upgrade`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.supervisor.live import LiveFleet

import processsupervisor

Edit = tuple[str, str, str]


class Package:
    """A copy of the package as another version of it, that `psv` can be run from."""

    def __init__(self, folder: Path, version: str, *edits: Edit) -> None:
        self.folder = folder
        source = Path(processsupervisor.__file__).parent
        shutil.copytree(source, folder / "processsupervisor", ignore=shutil.ignore_patterns("__pycache__"))
        for name, before, after in (("version.py", '__version__ = "', f'__version__ = "{version}+'), *edits):
            path = folder / "processsupervisor" / name
            text = path.read_text()
            assert before in text, f"{name} has no {before!r}"
            path.write_text(text.replace(before, after, 1))

    def psv(self, fleet: LiveFleet, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command of this version."""
        argv = [sys.executable, "-P", "-m", "processsupervisor", "-C", str(fleet.folder), *words]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, check=False)
