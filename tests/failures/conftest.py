"""The live fleet of tests/supervisor, and tests that mount: each of those runs in a pytest and a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.supervisor.conftest import fleet, unused_port

__all__ = ["fleet", "unused_port"]

_INSIDE = "PSV_TEST_INSIDE"


def _unshare() -> list[str] | None:
    """Return the command that may mount, or None where the machine gives no such right."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        try:
            probe = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if probe.returncode == 0:
            return command
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test marked `mounts` once more, inside; that run's outcome is the outcome."""
    if pyfuncitem.get_closest_marker("mounts") is None or os.environ.get(_INSIDE):
        return None
    command = _unshare()
    if command is None:
        pytest.skip("needs the right to mount: root, or user namespaces")
    base: Path = pyfuncitem.funcargs["tmp_path"] / "inside"
    argv = [*command, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={base}", pyfuncitem.nodeid]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {_INSIDE: "1"}
    done = subprocess.run(argv, cwd=pyfuncitem.config.rootpath, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
    return True
