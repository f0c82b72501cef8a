"""Laws of `psv adopt` as a command: what it prints and writes, its statuses, and the way from supervisord to psv and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adopt.samples import LOOP, TELEGRAM_TOKEN
from tests.cli.conftest import Psv, environment
from tests.cli.test_up import end
from tests.supervisor.live import eventually

SUPERVISORD = f"""\
[unix_http_server]
file=%(here)s/s.sock
[supervisord]
logfile=%(here)s/s.log
pidfile=%(here)s/s.pid
[supervisorctl]
serverurl=unix://%(here)s/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:echo]
command={sys.executable} echo.py --fast
directory=%(here)s
autorestart=true
startsecs=0

[program:other]
command=sleep 3600
directory=%(here)s
startsecs=0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a program, a supervisord.conf and a secret in it."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "echo.py").write_text(LOOP)
    secret = f'environment=BOT_TOKEN="{TELEGRAM_TOKEN}"\n'
    (folder / "supervisord.conf").write_text(f"[program:echo]\ncommand={sys.executable} echo.py\ndirectory=%(here)s\n{secret}stdout_logfile=/x.log\n")
    return folder


def test_dry_run_writes_nothing_and_shows_no_secret(psv: Psv, project: Path) -> None:
    """The text, what is not carried over with file:line, and nothing on the disk."""
    done = psv("adopt", "supervisord.conf", "--dry-run", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "[bots.echo]" in done.stdout and "would write fleet.toml and echo.env" in done.stdout
    assert "supervisord.conf:5: stdout_logfile=/x.log: " in done.stdout
    assert TELEGRAM_TOKEN not in done.stdout + done.stderr
    assert sorted(path.name for path in project.iterdir()) == ["echo.py", "supervisord.conf"]


def test_writes_once(psv: Psv, project: Path) -> None:
    """The first run writes a fleet that check accepts, the second changes nothing; no secret is printed."""
    done = psv("adopt", "supervisord.conf", cwd=project)
    assert done.returncode == 0 and TELEGRAM_TOKEN not in done.stdout + done.stderr
    assert "next: psv check" in done.stdout and "wrote fleet.toml and echo.env" in done.stdout
    done = psv("check", cwd=project)
    assert (done.returncode, done.stdout.endswith(": ok, 1 bot\n")) == (0, True), done
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.iterdir() if path.is_file()}

    again = psv("adopt", "supervisord.conf", cwd=project)
    assert again.returncode == 0
    assert again.stdout == "there already, left as they are: echo\nfleet.toml: nothing to add\n"
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.iterdir() if path.is_file()} == before


def test_what_was_changed_by_hand_stays(psv: Psv, project: Path) -> None:
    """A bot that the owner has edited since, and comments and order of the file, are left alone; a new program is added behind."""
    psv("adopt", "supervisord.conf", cwd=project)
    config = project / "fleet.toml"
    config.write_text(config.read_text().replace('script = "echo.py"', 'script = "echo.py"  # mine\nargs = ["--more"]'))
    mine = config.read_text()
    (project / "Procfile").write_text("new: sleep 60\n")
    done = psv("adopt", "supervisord.conf", "Procfile", "--json", cwd=project)
    value = json.loads(done.stdout)
    assert value["kept"] == ["echo"]
    assert [(bot["name"], bot["kind"], bot["line"]) for bot in value["added"]] == [("new", "command", 1)]
    assert config.read_text().startswith(mine.rstrip("\n"))


def test_json_of_a_dry_run(psv: Psv, project: Path) -> None:
    """All of it for a script, without a secret."""
    done = psv("adopt", "supervisord.conf", "--dry-run", "--json", cwd=project)
    value = json.loads(done.stdout)
    assert value["written"] is False and value["problems"] == []
    assert value["left_out"][0]["file"].endswith("supervisord.conf") and value["left_out"][0]["line"] > 0
    assert TELEGRAM_TOKEN not in done.stdout


def test_into_another_folder(psv: Psv, project: Path, tmp_path: Path) -> None:
    """-C names the folder of fleet.toml, which need not have one."""
    target = tmp_path / "fleet two"
    target.mkdir()
    done = psv("-C", str(target), "adopt", str(project / "supervisord.conf"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"psv -C '{target}' check" in done.stdout
    assert f'script = "{project}/echo.py"' in (target / "fleet.toml").read_text()


def test_below_another_fleet(psv: Psv, project: Path) -> None:
    """It becomes a bot of the fleet above, and that is said, with the way to a fleet here, which then is one."""
    psv("adopt", "supervisord.conf", cwd=project)
    below = project / "sub"
    below.mkdir()
    (below / "Procfile").write_text("new: sleep 60\n")
    told = f"the fleet in the folder above, {project}; for a fleet of their own here: psv -C . adopt Procfile"
    dry = psv("adopt", "Procfile", "--dry-run", cwd=below)
    assert f"would belong to {told}" in dry.stderr
    own = psv("-C", ".", "adopt", "Procfile", cwd=below)
    assert own.returncode == 0 and "above" not in own.stderr and "[bots.new]" in (below / "fleet.toml").read_text()
    assert "above" not in psv("adopt", "Procfile", cwd=below).stderr
    (below / "fleet.toml").unlink()
    assert f"belong now to {told}" in psv("adopt", "Procfile", "--json", cwd=below).stderr
    assert "[bots.new]" in (project / "fleet.toml").read_text()


@pytest.mark.parametrize(
    ("args", "status", "word"),
    [
        ([], 2, "nothing to adopt is named"),
        (["nowhere.conf"], 2, "does not exist"),
        (["echo.py", "--check"], 2, "--check looks at the fleet.toml"),
        (["bad.service"], 2, "bad.service:1:"),
    ],
)
def test_refusals(psv: Psv, project: Path, args: list[str], status: int, word: str) -> None:
    """One line on stderr, and nothing written."""
    (project / "bad.service").write_text("nonsense\n")
    done = psv("adopt", *args, cwd=project)
    assert done.returncode == status
    assert word in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (project / "fleet.toml").exists()


def test_a_bot_that_cannot_start_is_told(psv: Psv, project: Path) -> None:
    """A missing venv: written, with the word of psv check, status 1."""
    (project / "Procfile").write_text("bot: ./venv/bin/python echo.py\n")
    done = psv("adopt", "Procfile", cwd=project)
    assert done.returncode == 1
    assert "python-missing" in done.stderr and (project / "fleet.toml").exists()


@pytest.mark.slow
def test_from_supervisord_and_back(psv: Psv, tmp_path: Path) -> None:
    """It runs there; adopt --check says how to stop it; up starts no second copy; stopped there, it runs here; and back again."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "echo.py").write_text(LOOP)
    (folder / "supervisord.conf").write_text(SUPERVISORD)

    def supervisor(*words: str, module: str = "supervisorctl") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", f"supervisor.{module}", "-c", str(folder / "supervisord.conf"), *words]
        return subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True, timeout=30, check=False)

    def told(bot: str) -> str:
        found = [one for one in json.loads(psv("adopt", "--check", "--json", cwd=folder).stdout) if one["bot"] == bot]
        return found[0]["stop"] if found else ""

    assert supervisor(module="supervisord").returncode == 0
    try:
        assert psv("adopt", "supervisord.conf", cwd=folder).returncode == 0
        eventually(lambda: told("echo"), "supervisord has started it")
        up = psv("up", "--detach", "--wait", cwd=folder)
        assert "echo is not started: it runs elsewhere (under supervisord" in up.stderr and "other is not started" in up.stderr
        assert "is not ready" not in up.stderr and up.returncode == 1, "once each"
        states = {bot["name"]: (bot["state"], bot["reason"]) for bot in json.loads(psv("ls", "--json", cwd=folder).stdout)}
        assert states == {"echo": ("FAILED", "config"), "other": ("FAILED", "config")}
        assert psv("start", "echo", cwd=folder).returncode == 1, "it still runs there"

        stop = told("echo").removeprefix("supervisorctl ").split()
        assert supervisor(*stop).returncode == 0
        assert psv("start", "echo", cwd=folder).returncode == 0
        assert [bot["state"] for bot in json.loads(psv("ls", "echo", "--json", cwd=folder).stdout)] == ["RUNNING"]
        assert told("other"), "that one is there still"

        assert psv("stop", "echo", cwd=folder).returncode == 0
        assert supervisor("start", "echo").returncode == 0
        assert "RUNNING" in supervisor("status", "echo").stdout
    finally:
        end(folder, psv)
        supervisor("shutdown")
        eventually(lambda: not (folder / "s.pid").exists(), "supervisord is gone")


@pytest.mark.slow
def test_what_waits_for_its_next_try_there(psv: Psv, tmp_path: Path) -> None:
    """In BACKOFF no process of it is there, yet supervisord starts it again: it counts, until it is stopped there or nobody can be asked."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "echo.py").write_text("raise SystemExit(1)\n")
    conf = SUPERVISORD.partition("[program:other]")[0].replace("startsecs=0", "startsecs=1\nstartretries=1000")
    line = f"command=sh -c 'exec {sys.executable} echo.py --fast'"
    conf = conf.replace(f"command={sys.executable} echo.py --fast\ndirectory=%(here)s", line).replace("s.sock\n[sup", "s.sock\nusername=me\npassword=a%%b\n[sup")
    (folder / "supervisord.conf").write_text(conf)

    def supervisor(*words: str, module: str = "supervisorctl") -> str:
        user = ["-u", "me", "-p", "a%b"] if module == "supervisorctl" else []
        argv = [sys.executable, "-m", f"supervisor.{module}", "-c", str(folder / "supervisord.conf"), *user, *words]
        return subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True, timeout=30, check=False).stdout

    def waiting() -> list[dict[str, object]]:
        return [one for one in json.loads(psv("adopt", "--check", "--json", cwd=folder).stdout) if one["pid"] is None]

    supervisor(module="supervisord")
    try:
        assert psv("adopt", "supervisord.conf", cwd=folder).returncode == 0
        [one] = eventually(waiting, "it waits for its next try", 15)
        stop = f"supervisorctl -s unix://{folder}/s.sock stop echo"
        assert (one["bot"], one["by"], one["stop"]) == ("echo", "supervisord", stop) and str(one["state"]).startswith(("BACKOFF", "STARTING"))
        up = psv("up", "--detach", cwd=folder)
        assert "echo is not started: it runs elsewhere (under supervisord" in up.stderr and stop in up.stderr
        assert psv("start", "echo", cwd=folder).returncode == 1, "it would come back there"

        (folder / "s.sock").rename(folder / "gone.sock")
        told = psv("adopt", "--check", cwd=folder).stderr
        assert "cannot be asked" in told and "s.sock: No such file" in told
        (folder / "gone.sock").rename(folder / "s.sock")
        supervisor("stop", "echo")
        assert psv("adopt", "--check", cwd=folder).returncode == 0
    finally:
        end(folder, psv)
        supervisor("shutdown")
        eventually(lambda: not (folder / "s.pid").exists(), "supervisord is gone")


@pytest.mark.slow
def test_five_kinds_run_in_one_fleet(psv: Psv, tmp_path: Path) -> None:
    """Programs of five foreign files are adopted into one fleet, become ready, and say what they said."""
    files = {
        "sup/supervisord.conf": f"[program:sup]\ncommand={sys.executable} loop.py\ndirectory=%(here)s\nnumprocs=2\nprocess_name=sup%(process_num)d\n",
        "proc/Procfile": f"proc: MODE=x exec {sys.executable} loop.py | cat\n",
        "unit/unit.service": f"[Service]\nWorkingDirectory={tmp_path}/unit\nExecStart={sys.executable} loop.py\nRestart=always\n",
        "pm2/eco.json": json.dumps({"apps": [{"name": "pm", "script": "loop.py", "interpreter": sys.executable}]}),
        "comp/compose.yaml": "services:\n  comp:\n    build: .\n    command: python /app/loop.py\n",
        "comp/Dockerfile": "FROM python:3.12\nWORKDIR /app\nCOPY . .\n",
        "main/main.py": LOOP,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        (path.parent / "loop.py").write_text(LOOP)
    folder = tmp_path / "fleet"
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").unlink(missing_ok=True)
    given = ["sup/supervisord.conf", "proc", "unit/unit.service", "pm2/eco.json", "comp", "main"]
    done = psv("-C", str(folder), "adopt", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    try:
        up = psv("up", "--detach", "--wait", cwd=folder)
        assert up.returncode == 0, up.stderr
        bots = {bot["name"]: bot["state"] for bot in json.loads(psv("ls", "--json", cwd=folder).stdout)}
        assert bots == dict.fromkeys(["sup0", "sup1", "proc", "unit", "pm", "comp", "main"], "RUNNING")
        eventually(lambda: psv("logs", cwd=folder).stdout.count("up") >= len(bots), "every one has said that it is up")
    finally:
        end(folder, psv)
