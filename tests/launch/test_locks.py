"""Locks of tokens and files: one holder per machine user, named to whoever comes second, free when the tree is gone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchContext, LaunchFailed
from processsupervisor.launch.locks import lock_bot, lock_resources
from processsupervisor.launch.steps import close_descriptors


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime folder of the test's own."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))


def _context(folder: Path, bot: str, lock: list[dict[str, Any]]) -> LaunchContext:
    paths = FleetPaths(folder)
    paths.bot_run(bot).mkdir(parents=True, exist_ok=True)
    return LaunchContext(spec={"name": bot, "lock": lock}, generation=1, secret_fd=-1, paths=paths)


def _holder(context: LaunchContext, environment: dict[str, str]) -> int:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock_bot(context)
        lock_resources(context, environment)
        os.write(writing, b"x")
        signal.pause()
        os._exit(0)
    assert os.read(reading, 1) == b"x"
    return pid


def test_the_same_token_under_another_name_is_the_same_lock(tmp_path: Path) -> None:
    """The lock is the value's, not the variable's; the message names bot, folder and pid, never the token."""
    pid = _holder(_context(tmp_path / "one", "alice", [{"env": "BOT_TOKEN"}]), {"BOT_TOKEN": "12:secret"})
    try:
        with pytest.raises(LaunchFailed) as refused:
            lock_resources(_context(tmp_path / "two", "bob", [{"env": "TELEGRAM"}]), {"TELEGRAM": "12:secret"})
        assert refused.value.reason is Reason.LOCK_HELD
        assert "alice" in str(refused.value) and str(tmp_path / "one") in str(refused.value) and str(pid) in str(refused.value)
        assert "secret" not in str(refused.value)
        lock_resources(_context(tmp_path / "two", "bob", [{"env": "TELEGRAM"}]), {"TELEGRAM": "another"})
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    lock_resources(_context(tmp_path / "two", "bob", [{"env": "TELEGRAM"}]), {"TELEGRAM": "12:secret"})


def test_a_session_file_is_the_same_through_any_link(tmp_path: Path) -> None:
    """Symbolic links and relative spellings lead to one lock."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "my.session").touch()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    pid = _holder(_context(tmp_path / "one", "alice", [{"file": str(tmp_path / "one" / "my.session")}]), {})
    try:
        with pytest.raises(LaunchFailed, match="alice"):
            lock_resources(_context(tmp_path / "two", "bob", [{"file": str(tmp_path / "link" / "my.session")}]), {})
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_lock_without_a_value_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    """An empty token must not become a lock that every bot shares."""
    with pytest.raises(LaunchFailed, match="BOT_TOKEN") as refused:
        lock_resources(_context(tmp_path, "a", [{"env": "BOT_TOKEN"}]), {"BOT_TOKEN": ""})
    assert refused.value.reason is Reason.CONFIG


def test_locks_outlive_exec_and_die_with_the_last_descriptor(tmp_path: Path) -> None:
    """A program that was executed holds its lock at a high descriptor without knowing."""
    context = _context(tmp_path, "a", [])
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock_bot(context)
        close_descriptors(context.kept_fds | {writing})
        os.set_inheritable(writing, True)
        code = f"import os, time; os.write({writing}, ' '.join(os.listdir('/proc/self/fd')).encode()); time.sleep(100)"
        os.execv(sys.executable, [sys.executable, "-c", code])
    os.close(writing)
    assert any(int(fd) >= 100 for fd in os.read(reading, 4096).split())
    with pytest.raises(LaunchFailed, match=str(pid)):
        lock_bot(_context(tmp_path, "a", []))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    lock_bot(_context(tmp_path, "a", []))
