"""The wait status of a process that is not waited for: from the zombie, from the pidfd after the reaping, or not at all."""

from __future__ import annotations

import fcntl
import os
import select
import signal

import pytest
from tests.supervisor.live import keeps_exit_status

from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.pidfd import exit_status


def _child(*, code: int = 0, signal_number: int = 0) -> tuple[int, Identity, int]:
    """Fork a process that waits for a byte and then ends as told; returns (writing end, identity, pidfd)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        if signal_number:
            os.kill(os.getpid(), signal_number)
        os._exit(code)
    os.close(reading)
    identity = Identity.of(pid)
    assert identity is not None
    return writing, identity, os.pidfd_open(pid)


def _let_end(writing: int, pidfd: int) -> None:
    os.write(writing, b"x")
    os.close(writing)
    assert select.select([pidfd], [], [], 10)[0]


@pytest.mark.parametrize(("code", "signal_number"), [(0, 0), (3, 0), (255, 0), (0, signal.SIGUSR1), (0, signal.SIGKILL)])
def test_a_zombie_and_a_reaped_process_tell_the_status_that_wait_tells(code: int, signal_number: int) -> None:
    """Codes, zero among them, and signals; the same number before and after somebody else has waited."""
    writing, identity, pidfd = _child(code=code, signal_number=signal_number)
    try:
        _let_end(writing, pidfd)
        as_zombie = exit_status(pidfd, identity)
        status = os.waitpid(identity.pid, 0)[1]
        assert as_zombie == status
        assert exit_status(pidfd, identity) == (status if keeps_exit_status() else None)
    finally:
        os.close(pidfd)


def test_a_living_process_has_no_status() -> None:
    """Nothing is said before the end."""
    writing, identity, pidfd = _child()
    try:
        assert exit_status(pidfd, identity) is None
    finally:
        os.close(writing)
        os.close(pidfd)
        os.waitpid(identity.pid, 0)


def test_a_zombie_with_another_start_time_is_somebody_else() -> None:
    """The number was given to another process since: its status is not the one that was asked for."""
    writing, identity, pidfd = _child(code=3)
    try:
        _let_end(writing, pidfd)
        other = Identity(identity.pid, identity.start_ticks + 1, identity.boot_id, identity.pid_namespace)
        assert exit_status(-1, other) is None
        assert exit_status(-1, identity) is not None
    finally:
        os.close(pidfd)
        os.waitpid(identity.pid, 0)


def test_a_kernel_without_the_question_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOTTY from an older kernel is "not to be had", not an error and not a zero."""
    writing, identity, pidfd = _child(code=3)

    def refuse(*_: object) -> int:
        raise OSError(25, "Inappropriate ioctl for device")

    try:
        _let_end(writing, pidfd)
        os.waitpid(identity.pid, 0)
        monkeypatch.setattr(fcntl, "ioctl", refuse)
        assert exit_status(pidfd, identity) is None
    finally:
        os.close(pidfd)
