"""README's way to install: run as it is written, in a copy of the checkout and a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.page import PROJECT, blocks, pages

_OF_PIP = ("PIP_", "UV_", "SSL_", "REQUESTS_", "CURL_")
_NO_INDEX = ("No matching distribution found", "Could not find a version", "Max retries exceeded", "Temporary failure in name resolution")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_psv_is_installed_as_the_readme_says(tmp_path: Path) -> None:
    """From nothing to a psv that answers; what pip needs on this machine is left to it."""
    readme = next(page for page in pages() if page.name == "README.md")
    (block,) = [block for block in blocks(readme) if "pip install ." in block.text]
    checkout = tmp_path / "checkout"
    leave = shutil.ignore_patterns(".git", ".venv", ".bench-venv", ".psv", "__pycache__", "tests", "benchmarks", "docs")
    shutil.copytree(PROJECT, checkout, ignore=leave)
    kept = {key: value for key, value in os.environ.items() if key.startswith(_OF_PIP) or key.lower().endswith("_proxy")}
    env = kept | {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    for command in block.commands:
        done = subprocess.run(["bash", "-c", command], cwd=checkout, env=env, capture_output=True, timeout=350, text=True, check=False)
        if done.returncode and any(words in done.stdout + done.stderr for words in _NO_INDEX):
            pytest.skip("needs a package index")
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    said = subprocess.run([tmp_path / "psv-env/bin/psv", "--version"], cwd=tmp_path, env=env, capture_output=True, timeout=60, text=True, check=True)
    assert "psv" in said.stdout
