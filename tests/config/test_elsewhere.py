"""Laws of finding a bot that runs elsewhere: real processes, told apart by folder and command line, and never one of psv's."""

from __future__ import annotations

import json
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


def test_a_program_in_a_folder_that_says_nothing(tmp_path: Path, start: Start) -> None:
    """A supervisor without a folder runs it in `/`, a person from the folder above: by its file it is the same program."""
    (tmp_path / "bots").mkdir()
    (tmp_path / "bots/loop.py").write_text((tmp_path / "loop.py").read_text())
    text = '[bots.a]\nscript = "bots/loop.py"\ncwd = "bots"\n[bots.b]\ncommand = ["sleep", "0"]\n'
    for argv, cwd in ((f"{tmp_path}/bots/loop.py", Path("/")), ("bots/loop.py", tmp_path)):
        pid = start(sys.executable, argv, cwd=cwd)
        assert pid in [one.pid for one in look(tmp_path, text) if one.bot == "a"], cwd


def test_one_program_with_an_environment_for_each_bot(tmp_path: Path, start: Start) -> None:
    """Same command line, same folder: by the token that is locked, by another variable, and all of them when nothing tells."""
    bots = "".join(
        f'[bots.{name}]\nscript = "loop.py"\nenv = {{ ROOM = "{name}" }}\nenv_file = "{name}.env"\nlock = [{{ env = "T" }}]\n' for name in "abc"
    )
    for name in "abc":
        (tmp_path / f"{name}.env").write_text(f"T=token-of-{name}\n")
    start(sys.executable, "loop.py", T="token-of-b")
    assert [one.bot for one in look(tmp_path, bots)] == ["b"]
    start(sys.executable, "loop.py", ROOM="c")
    assert [one.bot for one in look(tmp_path, bots)] == ["b", "c"]
    start(sys.executable, "loop.py")
    assert [one.bot for one in look(tmp_path, bots)] == ["a", "b", "b", "c", "c"]


def test_the_name_that_its_supervisor_gives_it_counts(tmp_path: Path, start: Start) -> None:
    """Under supervisord in some folder, but called as the bot is called."""
    (tmp_path / "there").mkdir()
    pid = start(sys.executable, "../loop.py", "--x", cwd=tmp_path / "there", SUPERVISOR_PROCESS_NAME="A", SUPERVISOR_GROUP_NAME="A")
    text = '[bots.b]\nscript = "loop.py"\nargs = ["--x"]\n[bots.a]\nscript = "loop.py"\nargs = ["--x"]\n'
    assert [(one.bot, one.pid) for one in look(tmp_path, text)] == [("a", pid)]


@pytest.mark.parametrize(
    "line",
    ['exec {python} loop.py "${{OPTS}}" --x', "exec {python} loop.py $OPTS", "cd {here} && exec {python} loop.py more --x >> out.txt 2>&1"],
)
def test_what_a_shell_became(tmp_path: Path, start: Start, line: str) -> None:
    """A shell that replaces itself by the program is found as that program; what it filled in may be anything."""
    pid = start(sys.executable, f"{tmp_path}/loop.py", "more", "--x")
    command = ["sh", "-c", line.format(python=sys.executable, here=tmp_path)]
    assert [one.pid for one in look(tmp_path, f"[bots.a]\ncommand = {json.dumps(command)}\n")] == [pid]


def test_a_process_of_a_pm2_cluster(tmp_path: Path) -> None:
    """It carries no variable of pm2: the daemon above it tells, and the name is the bot's; a kill would only make a new one."""
    (tmp_path / "bot.js").write_text("")
    proc = tmp_path / "proc"
    for pid, parent, line in ((7, 1, "PM2 v7.0.4: God Daemon (/root/.pm2)"), (8, 7, f"node {tmp_path}/bot.js")):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "stat").write_bytes(f"{pid} (node) S {parent} {' 0' * 30}".encode())
        (proc / str(pid) / "cmdline").write_bytes(line.encode() + b"\0" * 20)
        (proc / str(pid) / "environ").write_bytes(b"HOME=/root\0")
        (proc / str(pid) / "cwd").symlink_to(tmp_path)
    found = find_elsewhere(specs(tmp_path, '[bots.shop]\ncommand = ["node", "bot.js"]\n[bots.more]\ncommand = ["node", "bot.js", "-x"]\n'), proc)
    assert [(one.bot, one.pid, one.by, one.stop) for one in found] == [("shop", 8, "pm2", "pm2 stop shop"), ("more", 8, "pm2", "pm2 stop more")]


def test_a_title_that_had_no_room(tmp_path: Path) -> None:
    """node writes its title over the command line that it was started with: a long path is cut off there."""
    (tmp_path / "bot.js").write_text("")
    proc = tmp_path / "proc"
    (proc / "8").mkdir(parents=True)
    (proc / "8/stat").write_bytes(f"8 (node) S 1 {' 0' * 30}".encode())
    (proc / "8/cmdline").write_bytes(f"node {tmp_path}/bot.js".encode()[:-4])
    (proc / "8/cwd").symlink_to(tmp_path)
    assert [one.pid for one in find_elsewhere(specs(tmp_path, '[bots.a]\ncommand = ["node", "bot.js", "--x"]\n'), proc)] == [8]


def test_another_users_process_is_found_by_its_file(tmp_path: Path) -> None:
    """Its folder may not be seen, its command line may."""
    proc = tmp_path / "proc"
    (tmp_path / "loop.py").write_text("")
    (proc / "9").mkdir(parents=True)
    (proc / "9/stat").write_bytes(f"9 (python) S 1 {' 0' * 30}".encode())
    (proc / "9/cmdline").write_bytes(f"/usr/bin/python3\0{tmp_path}/loop.py\0--x\0".encode())
    assert [one.pid for one in find_elsewhere(specs(tmp_path, '[bots.a]\nscript = "loop.py"\nargs = ["--x"]\n'), proc)] == [9]


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
        "10": ("0::/system.slice/shop.service\n", "systemctl disable --now shop.service"),
        "11": ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "systemctl --user disable --now shop.service"),
        "14": ("0::/system.slice/run-r4f.service\n", "systemctl stop run-r4f.service"),
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
