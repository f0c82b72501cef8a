"""Laws of a real fleet under the real command: init, up, chat, logs, down, and what may go wrong at the start."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, Psv, environment
from tests.supervisor.live import eventually

from processsupervisor.cli.fleet import open_keeper
from processsupervisor.cli.session import keeper_runs
from processsupervisor.kernel.paths import FleetPaths

pytestmark = pytest.mark.slow
SCRIPT = 'import sys, time\nprint("script says hi", flush=True)\nprint("to stderr", file=sys.stderr, flush=True)\ntime.sleep(3600)\n'


@pytest.fixture
def home(tmp_path: Path, psv: Psv) -> Iterator[Path]:
    """A fresh fleet made by `psv init` below a path with spaces and non-ASCII; whatever runs there is ended with the test."""
    target = tmp_path / "my fleet ü"
    assert psv("init", str(target), cwd=tmp_path).returncode == 0
    config = (target / "fleet.toml").read_text()
    (target / "fleet.toml").write_text(config.replace("[fleet]\n", '[fleet]\ndown_timeout = "3s"\n') + "\n[web]\nenabled = false\n")
    yield target
    end(target, psv)


def end(folder: Path, psv: Psv) -> None:
    """End the fleet by every means, and whatever of its own processes is left, so that a failing test leaves nothing behind."""
    paths = FleetPaths(folder)
    if keeper_runs(paths):
        psv("down", cwd=folder)
        keeper = open_keeper(paths)
        if keeper >= 0:
            for _ in range(2):
                signal.pidfd_send_signal(keeper, signal.SIGTERM)
            select.select([keeper], [], [], 10)
            os.close(keeper)
    for pid in left_over(paths):
        os.kill(pid, signal.SIGKILL)


def left_over(paths: FleetPaths) -> list[int]:
    """Return the processes whose standard error is a file of this fleet: its own processes, whoever their parent is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "fd" / "2").startswith(f"{paths.own_logs}/"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def add(home: Path, text: str) -> None:
    with (home / "fleet.toml").open("a") as file:
        file.write(text)


def pid_of(psv: Psv, home: Path, role: str) -> int:
    fleet = json.loads(psv("status", "--json", cwd=home).stdout)
    return next(int(process["pid"]) for process in fleet["processes"] if process["role"] == role)


def test_a_day_of_a_fleet(psv: Psv, home: Path, tmp_path: Path) -> None:
    """init, up --detach --wait, ls, status, chat, an edited bot, restart, logs, fleets, down; each as the issue of a shell."""
    (home / "main.py").write_text(SCRIPT)
    add(home, '\n[bots.old]\nscript = "main.py"\nready = { log = "hi" }\n')
    started = psv("up", "--detach", "--wait", "--timeout", "30s", cwd=home)
    assert (started.returncode, started.stderr) == (0, "")
    assert "2 bots ready" in started.stdout
    rows = {row["name"]: row for row in json.loads(psv("bot", "list", "--json", cwd=home).stdout)}
    assert {name: (row["kind"], row["state"]) for name, row in rows.items()} == {"echo": ("native", "RUNNING"), "old": ("script", "RUNNING")}
    assert psv("chat", "echo", "hello", cwd=home).stdout == "You said: hello\n"
    bots = (home / "bots.py").read_text()
    (home / "bots.py").write_text(bots.replace("You said", "I heard"))
    assert psv("restart", "echo", cwd=home).stdout == "echo RUNNING\n"
    assert psv("chat", "echo", "again", cwd=home).stdout == "I heard: again\n"
    assert psv("bot", "pause", "old", cwd=home).returncode == 5
    logs = [json.loads(line) for line in psv("logs", "old", "--json", cwd=home).stdout.splitlines()]
    assert {(line["stream"], line["text"]) for line in logs} == {("stdout", "script says hi"), ("stderr", "to stderr")}
    assert set(logs[0]) == {"time", "bot", "stream", "pid", "generation", "text"}
    assert str(home) in psv("fleets").stdout
    done = psv("down", cwd=home)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "stopped 2 bots"
    assert not keeper_runs(FleetPaths(home))
    assert left_over(FleetPaths(home)) == []
    assert psv("down", cwd=home).returncode == 3
    assert psv("ls", cwd=home).returncode == 3


def test_up_again(psv: Psv, home: Path) -> None:
    """On a running fleet `up --detach` says so and is 0, with --wait too; in the foreground it is refused."""
    assert psv("up", "--detach", cwd=home).returncode == 0
    keeper = pid_of(psv, home, "keeper")
    for args in (("--detach",), ("--detach", "--wait")):
        again = psv("up", *args, cwd=home)
        assert again.returncode == 0
        assert "already runs" in again.stdout
    refused = psv("up", cwd=home)
    assert refused.returncode == 5
    assert "already runs" in refused.stderr
    assert pid_of(psv, home, "keeper") == keeper


def test_wanted_survives_down(psv: Psv, home: Path) -> None:
    """A bot that was stopped stays stopped over down and up; the others start."""
    (home / "main.py").write_text(SCRIPT)
    add(home, '\n[bots.old]\nscript = "main.py"\n')
    psv("up", "--detach", "--wait", cwd=home)
    assert psv("stop", "old", cwd=home).returncode == 0
    psv("down", cwd=home)
    assert psv("up", "--detach", "--wait", cwd=home).returncode == 0
    states = {row["name"]: row["state"] for row in json.loads(psv("ls", "--json", cwd=home).stdout)}
    assert states == {"echo": "RUNNING", "old": "STOPPED"}


def test_fatal_mistakes_start_nothing(psv: Psv, home: Path) -> None:
    """Several mistakes outside of bots are all named with their places; status 2; no process, no applied configuration."""
    add(home, '\n[global]\nstoop = { timeout = "1s" }\n\n[types.x]\nrestart = { policy = "sometimes" }\n')
    for args in (("up", "--detach"), ("up",), ("check",)):
        done = psv(*args, cwd=home)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) >= 2
        assert all(line.startswith(f"{home}/fleet.toml:") for line in done.stderr.splitlines())
    problems = json.loads(psv("check", "--json", cwd=home).stdout)
    assert all(list(problem) == ["file", "line", "column", "code", "message", "hint"] for problem in problems)
    assert not keeper_runs(FleetPaths(home))
    assert not FleetPaths(home).applied.exists()


def test_mistake_of_one_bot_leaves_the_others(psv: Psv, home: Path) -> None:
    """A mistake inside [bots.x]: status 1, that bot FAILED(config), the other answers."""
    add(home, '\n[bots.broken]\nrun = "bots:bot"\nstart_timeout = "soon"\n')
    assert psv("check", cwd=home).returncode == 1
    done = psv("up", "--detach", "--wait", cwd=home)
    assert done.returncode == 1
    assert "fleet.toml:" in done.stderr
    rows = {row["name"]: row for row in json.loads(psv("ls", "--json", cwd=home).stdout)}
    assert (rows["broken"]["state"], rows["broken"]["reason"], rows["echo"]["state"]) == ("FAILED", "config", "RUNNING")
    assert psv("chat", "echo", "hello", cwd=home).returncode == 0


def test_a_long_wait_says_on_whom_it_waits(psv: Psv, home: Path) -> None:
    """After two seconds, once; what is ready by then is not named."""
    with (home / "fleet.toml").open("a") as config:
        config.write('[bots.slow]\ncommand = ["sleep", "1000"]\nready = { after = "4s" }\n')
    done = psv("up", "--detach", "--wait", "--timeout", "60s", cwd=home)
    assert (done.returncode, "psv: waiting for slow\n" in done.stderr) == (0, True), done.stderr


def test_wait_names_what_is_not_ready(psv: Psv, home: Path) -> None:
    """A bot that cannot start is named by --wait; status 1."""
    (home / "bad.py").write_text("def broken(:\n")
    add(home, '\n[bots.bad]\nrun = "bad:bot"\n')
    done = psv("up", "--detach", "--wait", "--timeout", "20s", cwd=home)
    assert done.returncode == 1
    assert "psv: bad is not ready: " in done.stderr
    assert "1 bot ready" in done.stdout


class Foreground:
    """A `psv up` in the foreground, and the lines that it has printed."""

    def __init__(self, home: Path, tmp_path: Path) -> None:
        self.process = subprocess.Popen([*PSV, "up"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                        env=environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime")))
        self.shown: list[str] = []

    def expect(self, text: str) -> None:
        assert self.process.stdout is not None
        while not self.shown or text not in self.shown[-1]:
            line = self.process.stdout.readline()
            assert line, f"{text!r} was not printed, but {self.shown}"
            self.shown.append(line.rstrip("\n"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground(psv: Psv, home: Path, tmp_path: Path, number: signal.Signals) -> None:
    """In the foreground psv is the keeper in its own pid; Ctrl-C (to the whole group) ends all; the last line counts."""
    up = Foreground(home, tmp_path)
    up.expect("echo  ready after")
    assert pid_of(psv, home, "keeper") == up.process.pid
    os.killpg(up.process.pid, number)
    rest, _ = up.process.communicate(timeout=20)
    assert rest.splitlines()[-1] == "stopped 1 bot"
    assert up.process.returncode == 0
    assert not keeper_runs(FleetPaths(home))


def test_foreground_ended_by_down(psv: Psv, home: Path, tmp_path: Path) -> None:
    """`psv down` elsewhere ends a fleet in the foreground, which counts too."""
    up = Foreground(home, tmp_path)
    up.expect("echo  ready after")
    assert psv("down", cwd=home).stdout.splitlines()[-1] == "stopped 1 bot"
    rest, _ = up.process.communicate(timeout=20)
    assert rest.splitlines()[-1] == "stopped 1 bot"
    assert up.process.returncode == 0


def test_foreground_tells_that_a_bot_restarts(psv: Psv, home: Path, tmp_path: Path) -> None:
    """A bot killed under a foreground fleet is told, and told again when it is back."""
    up = Foreground(home, tmp_path)
    up.expect("echo  ready after")
    os.kill(json.loads(psv("ls", "--json", cwd=home).stdout)[0]["pid"], signal.SIGKILL)
    up.expect("echo  restarts: signal")
    up.expect("echo  ready")
    psv("down", cwd=home)
    up.process.communicate(timeout=20)


def test_chat_and_logs_without_psvd(psv: Psv, home: Path) -> None:
    """While psvd is dead a bot can be talked to and its log read; a stopped psvd does not keep `down` from its end."""
    psv("up", "--detach", "--wait", cwd=home)
    psvd = os.pidfd_open(pid_of(psv, home, "psvd"))
    signal.pidfd_send_signal(psvd, signal.SIGSTOP)
    try:
        assert psv("chat", "echo", "hello", cwd=home).stdout == "You said: hello\n"
        assert psv("logs", cwd=home).returncode == 0
        done = psv("down", cwd=home)
    finally:
        os.close(psvd)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("stopped")
    assert not keeper_runs(FleetPaths(home))


def up_and_kill_the_keeper(psv: Psv, home: Path) -> int:
    psv("up", "--detach", "--wait", cwd=home)
    bot = int(json.loads(psv("ls", "--json", cwd=home).stdout)[0]["pid"])
    keeper = open_keeper(FleetPaths(home))
    signal.pidfd_send_signal(keeper, signal.SIGKILL)
    assert select.select([keeper], [], [], 10)[0]
    os.close(keeper)
    return bot


def test_up_brings_a_new_keeper(psv: Psv, home: Path) -> None:
    """After kill -9 of the keeper the bot lives on; `up` brings a new keeper, and the bot keeps its pid."""
    bot = up_and_kill_the_keeper(psv, home)
    again = psv("up", "--detach", "--wait", "--timeout", "30s", cwd=home)
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(psv("ls", "--json", cwd=home).stdout)[0]["pid"] == bot


def test_down_after_a_new_keeper(psv: Psv, home: Path) -> None:
    """`down` ends everything after a keeper was replaced too: the psvd and zygotes of the old one are not left behind."""
    up_and_kill_the_keeper(psv, home)
    psv("up", "--detach", "--wait", "--timeout", "30s", cwd=home)
    done = psv("down", cwd=home)
    assert done.stdout.splitlines()[-1] == "stopped 1 bot"
    assert left_over(FleetPaths(home)) == []


def test_very_deep_folder(psv: Psv, tmp_path: Path) -> None:
    """A fleet in a path of 400 bytes, four times what fits a socket's address, starts, answers and stops."""
    deep = tmp_path.joinpath(*["a rather deep folder"] * ((400 - len(str(tmp_path))) // 21))
    assert psv("init", str(deep), cwd=tmp_path).returncode == 0
    with (deep / "fleet.toml").open("a") as file:
        file.write("\n[web]\nenabled = false\n")
    try:
        done = psv("up", "--detach", "--wait", cwd=deep)
        assert (done.returncode, done.stderr) == (0, "")
        assert psv("chat", "echo", "hi", cwd=deep).stdout == "You said: hi\n"
    finally:
        end(deep, psv)


def test_folder_too_deep_for_sqlite(psv: Psv, tmp_path: Path) -> None:
    """Deeper than SQLite can open, `up` says so in one line and starts nothing."""
    deep = tmp_path.joinpath(*["a rather deep folder"] * 28)
    assert psv("init", str(deep), cwd=tmp_path).returncode == 0
    done = psv("up", "--detach", cwd=deep)
    assert done.returncode == 1
    assert "SQLite" in done.stderr
    assert not keeper_runs(FleetPaths(deep))


def test_folder_that_cannot_be_used(psv: Psv, home: Path) -> None:
    """Where .psv cannot be made, one line says so and nothing starts."""
    (home / ".psv").write_text("a file")
    done = psv("up", "--detach", cwd=home)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is not a folder" in done.stderr
    (home / ".psv").unlink()


def test_read_only_folder(psv: Psv, home: Path) -> None:
    """A folder that may not be written is one line."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        done = psv("up", "--detach", cwd=home)
    finally:
        home.chmod(0o700)
    assert done.returncode == 1
    assert "may not write in" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_follow(psv: Psv, home: Path) -> None:
    """`logs -f` of two bots prefixes each line and goes on with what comes, until it is interrupted."""
    ticking = 'import time\nwhile True:\n    print("tick", flush=True)\n    time.sleep(0.05)\n'
    for name in ("one", "two"):
        (home / f"{name}.py").write_text(ticking.replace("tick", f"tick {name}"))
        add(home, f'\n[bots.{name}]\nscript = "{name}.py"\n')
    psv("up", "--detach", "--wait", cwd=home)
    follow = subprocess.Popen([*PSV, "logs", "-f", "-n", "0", "one", "two"], cwd=home, stdout=subprocess.PIPE, text=True, env=environment())
    assert follow.stdout is not None
    seen: set[str] = set()
    deadline = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < deadline:
        seen.add(follow.stdout.readline().rstrip("\n").split(" ", 2)[2])
    follow.send_signal(signal.SIGINT)
    assert follow.wait(10) == 130
    follow.stdout.close()
    assert seen == {"one | tick one", "two | tick two"}


def test_second_interrupt_kills_at_once(psv: Psv, home: Path, tmp_path: Path) -> None:
    """A bot that ignores SIGTERM does not keep a second Ctrl-C waiting; the last line still counts."""
    (home / "deaf.py").write_text('import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("deaf", flush=True)\ntime.sleep(3600)\n')
    add(home, '\n[bots.deaf]\nscript = "deaf.py"\nready = { log = "deaf" }\nstop = { timeout = "60s" }\n')
    config = (home / "fleet.toml").read_text()
    (home / "fleet.toml").write_text(config.replace('"3s"', '"60s"'))
    up = Foreground(home, tmp_path)
    up.expect("deaf  ready after")
    deaf = next(row["pid"] for row in json.loads(psv("ls", "--json", cwd=home).stdout) if row["name"] == "deaf")
    process = os.pidfd_open(deaf)
    os.killpg(up.process.pid, signal.SIGINT)
    up.expect("stopping ")
    keeper_log = home / ".psv/logs/psv/keeper.log"  # two signals that the keeper finds at once are one
    eventually(lambda: "going down" in keeper_log.read_text(), "the keeper heard the first")
    os.killpg(up.process.pid, signal.SIGINT)
    rest, _ = up.process.communicate(timeout=30)
    assert rest.splitlines()[-1] == "stopped 2 bots"
    assert select.select([process], [], [], 0)[0]
    os.close(process)


@pytest.mark.root
def test_as_pid_1(home: Path, tmp_path: Path) -> None:
    """In a pid namespace of its own psv is PID 1; SIGTERM ends all and the status is 0."""
    env = environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime"))
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *PSV, "up"]
    up = subprocess.Popen(argv, cwd=home, stdout=subprocess.PIPE, text=True, env=env)
    assert up.stdout is not None
    assert up.stdout.readline().startswith("echo  ready after")
    inner = int(Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text())
    os.kill(inner, signal.SIGTERM)
    rest, _ = up.communicate(timeout=30)
    assert rest.splitlines()[-1] == "stopped 1 bot"
    assert up.returncode == 0
