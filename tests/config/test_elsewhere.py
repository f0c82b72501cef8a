"""Laws of finding a bot that runs elsewhere: real processes, told apart by folder and command line, and never one of psv's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.supervisor.live import eventually

from processsupervisor.config.elsewhere import Running, find_elsewhere
from processsupervisor.config.load import load_text
from processsupervisor.config.spec import BotSpec

Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program in a folder and wait until its line is to be seen; it is ended with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, cwd: Path = tmp_path, title: str = "", **env: str) -> int:
        process = subprocess.Popen(argv, cwd=cwd, env={**os.environ, **env}, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        if title:
            eventually(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(title.encode()), "its title")
        return process.pid

    (tmp_path / "loop.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    yield run
    for process in running:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def specs(folder: Path, text: str) -> list[BotSpec]:
    """Return the bots of a fleet.toml."""
    loaded = load_text(folder, b'[fleet]\nname = "x"\n' + text.encode())
    assert loaded.applied is not None and loaded.problems == ()
    return loaded.applied["bots"]


def look(folder: Path, text: str = '[bots.a]\nscript = "loop.py"\nargs = ["--x"]\n') -> list[Running]:
    """Return what runs elsewhere of one bot."""
    return find_elsewhere(specs(folder, text))


def test_a_program_started_by_hand(tmp_path: Path, start: Start) -> None:
    """Whatever interpreter it has and however its path is written; the command is a kill of that very pid."""
    pid = start(sys.executable, "-u", f"{tmp_path}/loop.py", "--x")
    assert look(tmp_path) == [Running("a", pid, "hand", f"kill {pid}")]
    assert look(tmp_path, '[bots.a]\ncommand = ["python", "loop.py", "--x"]\n')[0].pid == pid


def test_other_arguments_or_folder_are_another_program(tmp_path: Path, start: Start) -> None:
    """The same file with other arguments, or in another folder, is somebody else."""
    (tmp_path / "sub").mkdir()
    start(sys.executable, "loop.py", "--y")
    start(sys.executable, "../loop.py", "--x", cwd=tmp_path / "sub")
    assert look(tmp_path) == []


def test_a_bot_of_psv_does_not_count(tmp_path: Path, start: Start) -> None:
    """A process that carries PSV_BOT is a fleet's own."""
    start(sys.executable, "loop.py", "--x", PSV_BOT="a")
    assert look(tmp_path) == []


def test_two_bots_of_one_program_are_told_apart(tmp_path: Path, start: Start) -> None:
    """One process counts for one bot."""
    start(sys.executable, "loop.py", "--x")
    text = '[bots.a]\nscript = "loop.py"\nargs = ["--x"]\n[bots.b]\nscript = "loop.py"\nargs = ["--x"]\n'
    assert [one.bot for one in look(tmp_path, text)] == ["a"]


def test_supervisord_is_known_by_its_variables(tmp_path: Path, start: Start) -> None:
    """The command has the group and the socket."""
    start(sys.executable, "loop.py", "--x", SUPERVISOR_PROCESS_NAME="w_01", SUPERVISOR_GROUP_NAME="w", SUPERVISOR_SERVER_URL="unix:///run/s s.sock")
    [found] = look(tmp_path)
    assert (found.by, found.stop) == ("supervisord", "supervisorctl -s 'unix:///run/s s.sock' stop w:w_01")


def test_pm2_is_known_by_its_variables_and_title(tmp_path: Path, start: Start) -> None:
    """Under pm2 a node program shows only its path, in one word; its name stands in the environment."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    (tmp_path / "bot.js").write_text("")
    title = f"node {tmp_path}/bot.js"
    code = f"process.title = {title!r}; console.log('up'); setTimeout(() => {{}}, 600000)"
    room = "x" * len(title)  # as much of its command line as a program has may be written over
    start("node", "-e", code, room, title=title, pm_id="0", name="my bot")
    [found] = look(tmp_path, '[bots.a]\ncommand = ["node", "bot.js", "--flag"]\n')
    assert (found.by, found.stop) == ("pm2", "pm2 stop 'my bot'")


def test_systemd_is_known_by_the_cgroup(tmp_path: Path) -> None:
    """The unit is the last of its cgroup's path; a login session's scope is nobody's."""
    proc = tmp_path / "proc"
    cases = {
        "10": ("0::/system.slice/shop.service\n", "systemctl stop shop.service"),
        "11": ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "systemctl --user stop shop.service"),
        "12": ("0::/user.slice/user-1000.slice/session-3.scope\n", "kill 12"),
        "13": ("0::/system.slice/ssh.service\n", "kill 13"),
    }
    (tmp_path / "loop.py").write_text("")
    for pid, (cgroup, expected) in cases.items():
        folder = proc / pid
        folder.mkdir(parents=True)
        (folder / "stat").write_bytes(f"{pid} (python) S 1 {' 0' * 30}".encode())
        (folder / "cmdline").write_bytes(b"/usr/bin/python3\0loop.py\0--x\0")
        (folder / "environ").write_bytes(b"HOME=/root\0")
        (folder / "cgroup").write_text(cgroup)
        (folder / "cwd").symlink_to(tmp_path)
        found = find_elsewhere(specs(tmp_path, '[bots.a]\nscript = "loop.py"\nargs = ["--x"]\n'), proc)
        assert [one.stop for one in found] == [expected]
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
