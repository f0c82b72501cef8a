"""An identity names one process for ever; a reused pid is not taken for it."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import subprocess

from processsupervisor.kernel.identity import Identity, Liveness, boot_id, pid_namespace


def test_a_living_process_is_alive_and_a_zombie_is_gone() -> None:
    """A zombie runs no code any more; only its status is left."""
    child = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(child.pid)
    assert identity is not None
    assert identity.liveness() is Liveness.ALIVE
    descriptor = identity.open_pidfd()
    assert descriptor is not None
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity.liveness() is Liveness.GONE
    assert identity.open_pidfd() is None
    os.close(descriptor)
    child.wait()


def test_the_same_pid_with_another_start_is_another_process() -> None:
    """No signal can go to a process that merely has the number (I3)."""
    mine = Identity.of(os.getpid())
    assert mine is not None
    assert dataclasses.replace(mine, start_ticks=mine.start_ticks + 1).open_pidfd() is None
    assert dataclasses.replace(mine, boot_id="another").liveness() is Liveness.GONE


def test_another_pid_namespace_cannot_be_verified() -> None:
    """What lives elsewhere is neither alive nor gone for us."""
    mine = Identity.of(os.getpid())
    assert mine is not None
    assert dataclasses.replace(mine, pid_namespace=1).liveness() is Liveness.UNVERIFIABLE


def test_json_gives_the_identity_back() -> None:
    """What is written to disk is what is read."""
    mine = Identity.of(os.getpid())
    assert mine is not None
    assert Identity.from_json(mine.to_json()) == mine
    assert Identity.from_json({"pid": "x"}) is None
    assert Identity.from_json(None) is None


def test_who_cannot_be_looked_at_is_not_called_gone() -> None:
    """Out of descriptors nothing can be read of a process: that is no proof of its end."""
    pid = os.fork()
    if pid == 0:
        own = Identity.of(os.getpid())
        boot_id(), pid_namespace()
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        os._exit(0 if own is not None and own.liveness() is Liveness.UNVERIFIABLE else 1)
    assert os.waitpid(pid, 0)[1] == 0
