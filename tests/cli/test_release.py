"""Laws of releases under the real command: old code goes on whatever is edited, and a bad release is taken back by itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Psv
from tests.cli.test_up import end, pid_of
from tests.supervisor.live import eventually

CONFIG = """\
[fleet]
name = "shop"
[global]
source = "releases"
restart = { window = [{ count = 2, within = "10m" }], max = "0s", base = "0s" }
[bots.native]
run = "bots:bot"
[bots.script]
script = "main.py"
ready = { log = "script" }
[bots.command]
command = ["sh", "./run.sh"]
ready = { log = "command" }
"""
NATIVE = 'from processsupervisor import Bot\n\nprint("native {0}", flush=True)\nbot = Bot()\n'
SCRIPT = 'import os, time\n\nprint("script {0}", os.getcwd(), os.environ["PSV_RELEASE"], flush=True)\ntime.sleep(3600)\n'
COMMAND = "echo command {0}\nexec sleep 3600\n"
LOOPING = 'import time\n\nprint("script bad", flush=True)\ntime.sleep(0.4)\nraise KeyError("S3CRET")\n'


def write(folder: Path, version: str) -> None:
    for name, text in (("bots.py", NATIVE), ("main.py", SCRIPT), ("run.sh", COMMAND)):
        (folder / name).write_text(text.format(version))


@pytest.fixture
def home(tmp_path: Path, psv: Psv) -> Iterator[Path]:
    """A folder with version "one" of three bots that come from releases; what runs there is ended with the test."""
    target = tmp_path / "shop"
    target.mkdir()
    (target / "fleet.toml").write_text(CONFIG)
    (target / ".env").write_text("TOKEN=S3CRET\n")
    write(target, "one")
    yield target
    end(target, psv)


def last_words(psv: Psv, home: Path) -> list[str]:
    """Return what each bot said last."""
    said = {}
    for line in psv("logs", "-n", "50", "--json", cwd=home).stdout.splitlines():
        value = json.loads(line)
        said[str(value["bot"])] = str(value["text"]).strip()
    return [said.get(name, "") for name in ("native", "script", "command")]


def states(psv: Psv, home: Path) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(psv("ls", "--json", cwd=home).stdout)}


def releases(psv: Psv, home: Path) -> list[tuple[int, bool, bool]]:
    rows = json.loads(psv("release", "list", "--json", cwd=home).stdout)
    return [(row["number"], row["is_running"], row["rejected"] is not None) for row in rows]


@pytest.mark.slow
def test_releases_of_a_fleet(psv: Psv, home: Path) -> None:
    """create, deploy, edit, restart, deploy, rollback; then a release that crash-loops, with psvd killed over it, and one that is gone."""
    early = psv("release", "deploy", "1", cwd=home)
    assert (early.returncode, "psv release create" in early.stderr) == (5, True)
    assert psv("check", cwd=home).returncode == 1
    made = psv("release", "create", "--note", "the first", cwd=home)
    assert (made.returncode, made.stderr) == (0, "")
    assert sorted(path.name for path in (home / ".psv/releases/1/files").iterdir()) == ["__pycache__", "bots.py", "main.py", "run.sh"]
    down = psv("release", "deploy", "1", cwd=home)
    assert (down.returncode, "psv up" in down.stderr) == (3, True)
    assert psv("up", "--detach", cwd=home).returncode == 1  # without a release the three are FAILED (config)
    first = psv("release", "deploy", "1", cwd=home)
    assert first.returncode == 0, first.stderr
    assert releases(psv, home) == [(1, True, False)]
    old = ["native one", f"script one {home} 1", "command one"]
    eventually(lambda: last_words(psv, home) == old, "all bots run the first release")

    write(home, "two")
    assert psv("restart", "native", "script", "command", "--wait", cwd=home).returncode == 0
    eventually(lambda: psv("logs", "-n", "50", cwd=home).stdout.count("command one") == 2, "the command was restarted")
    assert last_words(psv, home) == old
    assert psv("release", "create", cwd=home).returncode == 0
    assert psv("release", "deploy", "2", cwd=home).returncode == 0
    eventually(lambda: last_words(psv, home) == ["native two", f"script two {home} 2", "command two"], "all bots run the second release")
    assert psv("release", "rollback", cwd=home).returncode == 0
    assert releases(psv, home) == [(1, True, False), (2, False, False)]
    eventually(lambda: last_words(psv, home) == old, "all bots run the first release again")

    (home / "main.py").write_text(LOOPING)
    assert psv("release", "create", cwd=home).returncode == 0
    assert psv("release", "deploy", "3", cwd=home).returncode == 0
    os.kill(pid_of(psv, home, "psvd"), signal.SIGKILL)
    eventually(lambda: releases(psv, home) == [(1, True, False), (2, False, False), (3, False, True)], "the third release is taken back")
    eventually(lambda: last_words(psv, home) == old and set(states(psv, home).values()) == {"RUNNING"}, "all bots run as before")
    assert "script is crash-looping: KeyError at main.py:5" in psv("status", cwd=home).stdout
    assert "S3CRET" not in psv("config", "versions", cwd=home).stdout + psv("events", cwd=home).stdout
    again = psv("release", "deploy", "3", cwd=home)
    assert (again.returncode, "--again" in again.stderr) == (5, True)

    versions = json.loads(psv("config", "versions", "--json", cwd=home).stdout)
    second = next(version["number"] for version in versions if version["reason"] == "deploy release 2")
    (home / ".psv/releases/2").rename(home / ".psv/releases/.away")
    pids = [row["pid"] for row in json.loads(psv("ls", "--json", cwd=home).stdout)]
    gone = psv("config", "rollback", str(second), cwd=home)
    assert (gone.returncode, "release 2 is not there" in gone.stderr) == (5, True)
    assert [row["pid"] for row in json.loads(psv("ls", "--json", cwd=home).stdout)] == pids  # none was tried

    for folder in ("1", "1/files"):  # both must be writable for a move
        (home / ".psv/releases" / folder).chmod(0o700)
    (home / ".psv/releases/1/files").rename(home / ".psv/releases/1/away")
    changed = psv("release", "deploy", "1", cwd=home)
    assert (changed.returncode, "is missing" in changed.stderr) == (5, True)
    psv("restart", "script", cwd=home)
    eventually(lambda: states(psv, home)["script"] == "FAILED", "a bot whose release is gone has failed")
    row = json.loads(psv("bot", "status", "script", "--json", cwd=home).stdout)
    assert "release 1 is not there" in json.dumps(row)
    assert states(psv, home)["native"] == "RUNNING"


def test_nothing_is_told_twice_and_nothing_made_of_a_file_with_mistakes(psv: Psv, home: Path) -> None:
    """Without its settings psv would not know which file holds tokens."""
    (home / "tokens").mkdir()
    for name in ("tokens/a", "tokens/b", "words.txt"):
        (home / name).write_text("S3CRET")
    with (home / "fleet.toml").open("a") as config:
        config.write('env_file = "tokens/a"\nenv = { TOKEN = "file:tokens/b" }\n')
    (home / "tokens" / "a").write_text("A=S3CRET\n")
    assert "no release" in psv("release", "list", cwd=home).stderr
    assert psv("release", "create", cwd=home).returncode == 0
    files = home / ".psv/releases/1/files"
    assert [str(path.relative_to(files)) for path in (files / "tokens").rglob("*")] == []  # no token lies in a copy
    assert (files / "words.txt").is_file()
    again = psv("release", "create", cwd=home)
    assert (again.returncode, again.stdout.startswith("nothing differs from release 1")) == (0, True)
    assert psv("release", "create", "--limit", "much", cwd=home).returncode == 2
    (home / "fleet.toml").write_text("[fleet\n")
    wrong = psv("release", "create", "--again", cwd=home)
    assert (wrong.returncode, "psv check" in wrong.stderr) == (2, True)
    assert releases(psv, home) == [(1, False, False)]
    assert psv("release", "rm", "1", cwd=home).returncode == 0
    assert releases(psv, home) == []
