"""A fleet folder with a little of everything that a release takes, and of what it leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from processsupervisor.kernel.paths import FleetPaths


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    """A fleet folder with code, data, secrets and editor leftovers."""
    folder = tmp_path / "fleet"
    for name, text in {
        "fleet.toml": '[fleet]\nname = "x"\n',
        "main.py": "print('one')\n",
        "pkg/__init__.py": "",
        "pkg/deep/mod.py": "x = 1\n",
        "pkg/__pycache__/mod.pyc": "old",
        ".env": "TOKEN=secret\n",
        "main.py~": "old",
        ".git/HEAD": "ref",
        "venv/pyvenv.cfg": "home = /usr",
        "venv/lib/x.py": "",
        "data/big.bin": "0" * 1000,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "empty").mkdir()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o750)
    return FleetPaths(folder)
