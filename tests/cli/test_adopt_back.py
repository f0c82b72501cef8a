"""There and back for each source, with the real thing on the other side: it runs there, is found, is not doubled, runs here, and there again."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adopt.samples import LOOP
from tests.cli.conftest import PSV, Psv, environment
from tests.cli.test_up import end
from tests.supervisor.live import eventually
from tests.supervisor.test_systemd import Inside, inside

__all__ = ["inside"]
Run = Callable[..., str]


def there_and_back(psv: Run, bot: str, by: str, stop_there: Callable[[str], None], start_there: Callable[[], None]) -> None:
    """Follow the way that the pages describe; the program runs there, and fleet.toml is written."""

    def found() -> dict[str, str]:
        shown = json.loads(psv("adopt", "--check", "--json"))
        return shown[0] if shown else {}

    def state() -> str:
        [one] = json.loads(psv("ls", bot, "--json"))
        return str(one["state"])

    one = eventually(found, f"{bot} is seen under {by}")
    assert (one["bot"], one["by"]) == (bot, by)
    psv("up", "--detach")
    eventually(lambda: state() == "FAILED", "no second copy is started")
    stop_there(one["stop"])
    eventually(lambda: not found(), "it has ended there")
    psv("start", bot)
    assert state() == "RUNNING" and not found()
    psv("down")
    start_there()
    assert eventually(found, "it runs there again")["by"] == by


def in_folder(psv: Psv, folder: Path) -> Run:
    """Return psv in a folder, of which only the output counts."""
    return lambda *words: psv(*words, cwd=folder).stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", ["main.py", "Procfile"])
def test_started_by_hand(psv: Psv, tmp_path: Path, source: str) -> None:
    """python main.py out of the folder above; a line of a Procfile as foreman hands it to its shell."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "main.py").write_text(LOOP)
    line = f"{sys.executable} main.py --fast"
    (folder / "Procfile").write_text(f"shop: {line}\n")
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        argv, cwd = ([sys.executable, "shop/main.py"], tmp_path) if source == "main.py" else (["sh", "-c", f"exec {line}"], folder)
        running.append(subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True))

    def stop(command: str) -> None:
        assert command == f"kill {running[-1].pid}"
        subprocess.run(shlex.split(command), check=True)
        running[-1].wait(10)

    start()
    try:
        assert psv("adopt", source, cwd=folder).returncode == 0
        there_and_back(in_folder(psv, folder), "shop", "hand", stop, start)
    finally:
        end(folder, psv)
        running[-1].kill()
        for process in running:
            process.wait(10)


# pm2 comes from npm alone. Where .ci/run could not get it, it says so, and these are not there.
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["fork", "cluster"] if shutil.which("pm2") and shutil.which("node") else [])
def test_from_pm2(psv: Psv, tmp_path: Path, mode: str) -> None:
    """The real pm2, with a daemon of this test's own; a process of a cluster carries no name."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "bot.js").write_text("console.log('up'); setInterval(() => {}, 1000)\n")
    app = {"name": "shop", "script": "bot.js", "exec_mode": mode, "args": "--fast"}
    (folder / "ecosystem.json").write_text(json.dumps({"apps": [app]}))
    home = {"PM2_HOME": str(tmp_path / "pm2"), "PM2_DISCRETE_MODE": "true"}

    def pm2(*words: str) -> None:
        done = subprocess.run(["pm2", *words], cwd=folder, env=environment(**home), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done

    def stop(command: str) -> None:
        assert command.endswith("pm2 stop shop") and command.startswith("PM2_HOME=")
        subprocess.run(command, shell=True, env=environment(PM2_DISCRETE_MODE="true"), stdout=subprocess.DEVNULL, check=True, timeout=60)

    try:
        pm2("start", "ecosystem.json")
        assert psv("adopt", "ecosystem.json", cwd=folder).returncode == 0
        there_and_back(in_folder(psv, folder), "shop", "pm2", stop, lambda: pm2("start", "shop"))
        pm2("delete", "shop")
        (folder / "bot.js").write_text("process.exit(1)\n")
        (folder / "ecosystem.json").write_text(json.dumps({"apps": [{**app, "restart_delay": 600_000}]}))
        pm2("start", "ecosystem.json")

        def waits() -> list[dict[str, str]]:
            return [one for one in json.loads(psv("adopt", "--check", "--json", cwd=folder).stdout) if one["state"]]

        waiting = eventually(waits, "it waits there")
        assert waiting[0]["state"].startswith("waiting restart") and waiting[0]["stop"].endswith("pm2 stop shop")
        stop(waiting[0]["stop"])
        assert psv("adopt", "--check", cwd=folder).returncode == 0
    finally:
        end(folder, psv)
        pm2("kill")


@pytest.mark.root
@pytest.mark.timeout(180)
def test_from_systemd(inside: Inside, tmp_path: Path) -> None:
    """A real systemd: two instances of one template that only their EnvironmentFile tells apart; the unit stays off after a boot."""
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "main.py").write_text(LOOP)
    for name in ("red", "blue"):
        (folder / f"{name}.conf").write_text(f"ROOM={name}\n")
    (folder / "chat@.service").write_text(
        f"[Unit]\nDefaultDependencies=no\n[Service]\nWorkingDirectory={folder}\nEnvironmentFile={folder}/%i.conf\n"
        f"ExecStart={sys.executable} main.py\nRestart=always\nTimeoutStopSec=5\n[Install]\nWantedBy=psvtest.target\n"
    )
    inside("cp", str(folder / "chat@.service"), "/etc/systemd/system/")
    inside("systemctl", "enable", "--now", "chat@red.service", "chat@blue.service")

    def psv(*words: str) -> str:
        return inside("env", f"PSV_RUNTIME_DIR={tmp_path}/runtime", *PSV, "-C", str(folder), *words, fails=True)

    psv("adopt", "/etc/systemd/system/chat@.service")
    assert {one["bot"] for one in json.loads(psv("adopt", "--check", "--json"))} == {"chat-red", "chat-blue"}
    inside("systemctl", "disable", "--now", "chat@blue.service")

    def stop(command: str) -> None:
        assert command == "systemctl disable --now chat@red.service"
        inside(*shlex.split(command))
        assert inside("systemctl", "is-enabled", "chat@red.service", fails=True).strip() == "disabled"

    def start() -> None:
        inside("systemctl", "enable", "--now", "chat@red.service")

    try:
        there_and_back(psv, "chat-red", "systemd", stop, start)
    finally:
        psv("down")
        inside("systemctl", "stop", "chat@red.service")
