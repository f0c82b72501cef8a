"""The contract of the fake kernel: the same statements hold of real processes, asked in the same words."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.supervisor.fakekernel import FakeKernel, Process

from processsupervisor.kernel.identity import Identity, Liveness, send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.pidfd import exit_status
from processsupervisor.launch.locks import acquire_high
from processsupervisor.process import tree
from processsupervisor.supervisor import adoption

BOT = "x"


@dataclass(frozen=True)
class World:
    """`spawn()` makes a process that holds the bot's lock and has its marks; `reap(pid)` waits for one that has ended."""

    paths: FleetPaths
    spawn: Callable[[], Identity]
    reap: Callable[[int], None]


def _real(paths: FleetPaths, lock: Path, born: list[int]) -> World:
    def spawn() -> Identity:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            acquire_high(lock, {})
            os.write(writing, b"x")
            environment = {"PSV_BOT": BOT, "PSV_FLEET": str(paths.folder)}
            os.execve("/bin/sleep", ["sleep", "100"], environment)
        assert os.read(reading, 1) == b"x"
        os.close(reading)
        os.close(writing)
        born.append(pid)
        while b"PSV_BOT=x" not in tree.marks_of(pid):
            os.sched_yield()
        identity = Identity.of(pid)
        assert identity is not None
        return identity

    def reap(pid: int) -> None:
        os.waitpid(pid, 0)
        born.remove(pid)

    return World(paths, spawn, reap)


def _fake(paths: FleetPaths, lock: Path, kernel: FakeKernel) -> World:
    def spawn() -> Identity:
        process: Process = kernel.spawn()
        process.locks.add(lock)
        process.marks |= {b"PSV_BOT=x", b"PSV_FLEET=" + os.fsencode(paths.folder)}
        return process.identity

    return World(paths, spawn, lambda pid: kernel.end(kernel.processes[pid], 9, is_reaped=True))


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fleet folder with one bot's lock in it, and a kernel."""
    paths = FleetPaths(tmp_path)
    lock = paths.bot_run(BOT) / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    if request.param == "fake":
        kernel = FakeKernel()
        kernel.install(monkeypatch)
        yield _fake(paths, lock, kernel)
        kernel.close()
        return
    born: list[int] = []
    yield _real(paths, lock, born)
    for pid in born:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _other(identity: Identity) -> Identity:
    return Identity(identity.pid, identity.start_ticks + 1, identity.boot_id, identity.pid_namespace)


def test_who_lives_is_told_by_pid_and_start_time(world: World) -> None:
    """A number alone is nobody."""
    identity = world.spawn()
    assert identity.liveness() is Liveness.ALIVE
    assert _other(identity).liveness() is Liveness.GONE
    assert Identity(identity.pid, identity.start_ticks, "another boot", identity.pid_namespace).liveness() is Liveness.GONE
    assert Identity(identity.pid, identity.start_ticks, identity.boot_id, 1).liveness() is Liveness.UNVERIFIABLE


def test_a_signal_reaches_this_very_process_only(world: World) -> None:
    """Another start time gets none; a killed process is a zombie, then nobody, and says how it ended while it is one."""
    identity = world.spawn()
    assert not send_signal(_other(identity), signal.SIGKILL)
    assert identity.liveness() is Liveness.ALIVE
    descriptor = identity.open_pidfd()
    assert descriptor is not None
    try:
        assert not select.select([descriptor], [], [], 0)[0]
        assert send_signal(identity, signal.SIGKILL)
        assert select.select([descriptor], [], [], 10)[0]
        assert identity.liveness() is Liveness.GONE
        assert exit_status(descriptor, identity) == signal.SIGKILL
        assert identity.open_pidfd() is None
        world.reap(identity.pid)
        assert Identity.of(identity.pid) != identity
        assert not send_signal(identity, signal.SIGKILL)
    finally:
        os.close(descriptor)


def test_a_lock_is_held_as_long_as_its_holder_lives(world: World) -> None:
    """Dead is free, reaped or not."""
    lock = world.paths.bot_run(BOT) / "lock"
    assert not adoption.is_flocked(lock)
    identity = world.spawn()
    assert adoption.is_flocked(lock)
    descriptor = identity.open_pidfd()
    assert descriptor is not None
    send_signal(identity, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    assert not adoption.is_flocked(lock)


def test_an_owner_is_found_by_lock_or_marks_and_only_while_it_lives(world: World) -> None:
    """Nobody else is, and nobody who is known to be somebody else's."""
    identity = world.spawn()
    assert identity.pid in tree.all_pids()
    assert tree.owners(world.paths, [BOT, "other"], ()) == {BOT: [identity]}
    assert tree.owners(world.paths, ["other"], ()) == {}
    assert tree.owners(world.paths, [BOT], [identity.pid]) == {}
    assert tree.Attribution(world.paths, {BOT: None, "other": None}).bots_of(identity.pid) == {BOT}
    send_signal(identity, signal.SIGKILL)
    world.reap(identity.pid)
    assert tree.owners(world.paths, [BOT], ()) == {}
