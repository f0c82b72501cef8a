"""examples/plugin: installed from its source, found by its entry points, kept to the law of connectors by its own tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.page import PROJECT

FLEET = """
[fleet]
name = "plugin"

[bots.anna]
run = "bots:bot"

[bots.anna.networks.linechat]
host = "127.0.0.1"
port = 7000
token = "x"
"""

_MEMORY = "/dev/shm"


def run(folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path, **env}, capture_output=True, text=True, timeout=160, check=False
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the example, with the package installed into `site` beside it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PROJECT / "examples" / "plugin", folder / "plugin", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    if shutil.which("uv"):
        install = ["uv", "pip", "install", "--quiet", "--python", sys.executable]
    elif importlib.util.find_spec("pip"):
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-cache-dir"]
    else:
        pytest.skip("needs pip or uv")
    done = run(folder, *install, "--no-deps", "--no-build-isolation", "--target", "site", "./plugin")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_its_own_tests_pass_where_it_is_installed(package):
    """The law, the responder and the store, as its author runs them."""
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests")
    memory = {"TMPDIR": _MEMORY} if os.access(_MEMORY, os.W_OK) else {}  # a disk that others use would count a hundred times
    done = run(package / "plugin", *command, PYTHONPATH=str(package / "site"), **memory)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(done.stdout.rsplit(" passed", 1)[0].rsplit(None, 1)[-1])
    assert passed >= 40, done.stdout


def test_psv_knows_the_network_where_it_is_installed(package, tmp_path):
    """A fleet may name it, and may not where the package is missing."""
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "bots.py").write_text("from processsupervisor import Bot\nbot = Bot()\n")
    found = run(tmp_path, "psv", "check", PYTHONPATH=str(package / "site"))
    assert found.returncode == 0, found.stdout + found.stderr
    missing = run(tmp_path, "psv", "check")
    assert "linechat" in missing.stdout + missing.stderr
