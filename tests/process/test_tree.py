"""Whose a process is, where numbers are given to somebody else in the middle of a look (I3)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.supervisor.fakekernel import FakeKernel

from processsupervisor.kernel.identity import send_signal
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process import tree
from processsupervisor.process.exits import record_of
from processsupervisor.process.search import Search
from processsupervisor.process.stopping import Tree

KEEPER = 4_000_000


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    """A fleet folder with bot a, whose lock nobody holds."""
    found = FleetPaths(tmp_path)
    found.ensure()
    found.bot_run("a").mkdir(parents=True)
    (found.bot_run("a") / "lock").touch()
    return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    """A kernel in which numbers change hands whenever a test says so."""
    found = FakeKernel()
    found.install(monkeypatch)
    yield found
    found.close()


def _marks(paths: FleetPaths) -> set[bytes]:
    return {b"PSV_BOT=a", b"PSV_FLEET=" + os.fsencode(paths.folder)}


@pytest.mark.parametrize("look", [
    lambda paths: tree.owners(paths, ["a"], ()).get("a", []),
    lambda paths: tree.leftovers("a", paths, None, KEEPER, ()),
])  # fmt: skip
def test_who_took_the_number_of_a_leftover_is_not_signalled(
    paths: FleetPaths, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, look: object
) -> None:
    """A leftover ends just after its marks were read, and a stranger gets its number before anybody is signalled."""
    left = kernel.spawn(parent=KEEPER)
    left.marks |= _marks(paths)

    def read_last(pid: int) -> set[bytes]:
        found = kernel.marks_of(pid)
        if pid == left.pid and left.is_alive:
            kernel.end(left, 0, is_reaped=True)
            kernel.spawn(pid=pid, parent=KEEPER)
        return found

    monkeypatch.setattr(tree, "marks_of", read_last)
    assert callable(look)
    for identity in look(paths):
        send_signal(identity, signal.SIGKILL)
    assert kernel.signals == []


def test_who_took_the_number_of_a_child_is_not_signalled(paths: FleetPaths, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for what is below a leftover and shows nothing itself."""
    left = kernel.spawn(parent=KEEPER)
    left.marks |= _marks(paths)
    child, grandchild = kernel.spawn(parent=left.pid), kernel.spawn(parent=left.pid)

    def list_last(pid: int) -> list[int]:
        found = kernel.children_of(pid)
        if pid == left.pid and child.is_alive:
            kernel.end(child, 0, is_reaped=True)
            kernel.spawn(pid=child.pid)
        return found

    monkeypatch.setattr(tree, "children_of", list_last)
    for identity in tree.leftovers("a", paths, None, KEEPER, ()):
        send_signal(identity, signal.SIGKILL)
    assert [process for process, _ in kernel.signals] == [left, grandchild]


async def test_a_session_whose_number_was_given_away_is_nobodys(paths: FleetPaths) -> None:
    """A stranger leads a session of the dead bot's number: the kernel gave it away because nobody was left in the bot's."""
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        record = record_of(paths, "a", 1, 0, 0.0)
        looked = Tree(paths, "a", stranger.pid, None, None, Search())
        await looked.clear(record, (), is_asked=False)
        assert stranger.poll() is None
        assert record.message == ""
    finally:
        stranger.kill()
        stranger.wait()
