"""README's way to install: run as it is written, in a copy of the checkout and a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.page import PROJECT, blocks, pages


@pytest.mark.slow
def test_psv_is_installed_as_the_readme_says(tmp_path: Path) -> None:
    """From nothing to a psv that answers. Libraries are lent from the environment of this test: what CI fetches anew is in .ci/wheel."""
    readme = next(page for page in pages() if page.name == "README.md")
    (block,) = [block for block in blocks(readme) if "pip install ." in block.text]
    checkout = tmp_path / "checkout"
    leave = shutil.ignore_patterns(".git", ".venv", ".bench-venv", ".psv", "__pycache__", "tests", "benchmarks", "docs")
    shutil.copytree(PROJECT, checkout, ignore=leave)
    lent = os.pathsep.join(path for path in sys.path if path.endswith("-packages"))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "PYTHONPATH": lent, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0 = without: pip reads it so
    for command in block.commands:
        done = subprocess.run(["bash", "-c", command], cwd=checkout, env=env, capture_output=True, timeout=100, text=True, check=False)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    (made,) = (tmp_path / "psv-env").glob("lib/python3*/site-packages/processsupervisor/__init__.py")
    said = subprocess.run([tmp_path / "psv-env/bin/psv", "--version"], cwd=tmp_path, env=env, capture_output=True, timeout=60, text=True, check=True)
    assert "psv" in said.stdout and made.is_file()
