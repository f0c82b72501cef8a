"""process.roles: who is killed because the lock of an own process is held, and nobody says hello."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.files import hold_role_lock
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.roles import WEDGED_AFTER_S, Role, Roles


@pytest.mark.parametrize(("has_it_open", "waited_s"), [(True, WEDGED_AFTER_S + 1.0), (True, WEDGED_AFTER_S - 5.0), (False, WEDGED_AFTER_S + 60.0)])
def test_only_who_has_the_lock_open_is_killed_and_only_after_the_patience(tmp_path: Path, has_it_open: bool, waited_s: float) -> None:
    """A crash leaves a note behind, and the pid in it is somebody else's one day; or it is one of another container."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    lock = hold_role_lock(paths.role_lock("psvd"), "psvd pid 0")
    process = subprocess.Popen(["sleep", "1000"], pass_fds=[lock] if has_it_open else [])
    try:
        os.pwrite(lock, f"psvd pid {process.pid}".encode(), 0)
        role = Role("psvd", [], is_kept=True, held_since=mono() - waited_s)
        killed = Roles(paths, (1024, 1024), {"psvd": role}).kill_wedged(mono())
        if has_it_open and waited_s > WEDGED_AFTER_S:
            assert killed == ["psvd"] and process.wait(10) == -signal.SIGKILL
        else:
            assert killed == [] and process.poll() is None
    finally:
        os.close(lock)
        process.kill()
        process.wait()
