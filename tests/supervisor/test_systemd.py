"""Under a real systemd, booted in namespaces of its own: READY, a scope for the bots, and a restart that leaves them alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.package import Package

from processsupervisor.resources.cgroups import own_group

pytestmark = pytest.mark.root

Inside = Callable[..., str]

# A target of our own without any dependency: nothing of the machine's boot (tmpfiles, sysctl, udev) may run here.
BOOT = """
echo $$ > {group}/cgroup.procs
exec unshare --mount --pid --fork --kill-child --cgroup --mount-proc --uts --ipc sh -ec '
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t tmpfs tmpfs /etc/systemd/system
printf "[Unit]\\nDefaultDependencies=no\\n" > /run/systemd/system/psvtest.target
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
container=psv exec {systemd} --system --unit=psvtest.target --log-target=null --show-status=0'
"""


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A booted systemd; call it with a command line to run that there and get its output."""
    systemd, own = Path("/lib/systemd/systemd"), own_group()
    if not systemd.exists() or own is None or shutil.which("nsenter") is None or shutil.which("systemd-run") is None:
        pytest.skip("needs systemd and a cgroup2 mount")
    group = own / f"psvtest-{tmp_path.name[-20:]}"
    group.mkdir()
    outside = subprocess.Popen(["sh", "-ec", BOOT.format(group=group, systemd=systemd)], stdin=subprocess.DEVNULL, start_new_session=True)
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")

    def run(*command: str, fails: bool = False) -> str:
        first = children.read_text().split()
        if not first:
            return ""
        enter = ["nsenter", "-t", first[0], "-m", "-p", "-C", "-u", "-i", *command]
        done = subprocess.run(enter, capture_output=True, text=True, timeout=60, check=False)
        assert fails or done.returncode == 0, (command, done)
        return done.stdout

    try:
        eventually(lambda: run("systemctl", "is-system-running", fails=True).strip() in ("running", "degraded"), "systemd has booted")
        yield run
    finally:
        outside.kill()
        outside.wait(10)
        for folder in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
            eventually(lambda folder=folder: _is_removed(folder), f"{folder} is empty", 10)
        group.rmdir()


def _is_removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True


def test_bots_live_in_a_scope_and_outlive_a_killed_keeper_and_an_upgrade(fleet: LiveFleet, inside: Inside, tmp_path: Path) -> None:
    """Under the unit of `psv service install`: systemd sees READY=1; after kill -9 of the main process its Restart= brings a keeper that adopts
    every bot; psv upgrade keeps the main pid; stop ends all; what psv down ended stays down; remove leaves nothing."""
    fleet.write("main.py", "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    fleet.configure("""
        [bots.forked]
        script = "main.py"
        ready = { log = "up" }
        [bots.executed]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
    """)
    # Without the machine's own boot; a drop-in is how anybody changes the unit.
    (tmp_path / "test.conf").write_text("[Unit]\nDefaultDependencies=no\n")
    inside("mkdir", "/run/systemd/system/psv-test.service.d")
    inside("cp", str(tmp_path / "test.conf"), "/run/systemd/system/psv-test.service.d/test.conf")

    def psv(*words: str, fails: bool = False) -> str:
        return inside(sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), *words, fails=fails)

    assert "psv-test.service started" in psv("service", "install", "--now")
    assert "is there already" in psv("service", "install", "--now")
    assert inside("systemctl", "is-enabled", "psv-test.service").strip() == "enabled"
    assert inside("systemctl", "show", "-P", "StatusText", "psv-test.service").strip() == "2 bots ready, 0 not"

    def pids() -> dict[str, int]:
        shown = psv("ls", "--json", fails=True)
        return {b["name"]: b["pid"] for b in json.loads(shown or "[]") if b["state"] == "RUNNING"}

    before = pids()
    assert set(before) == {"forked", "executed"}
    for pid in before.values():
        assert ".scope/" in inside("cat", f"/proc/{pid}/cgroup")
    keeper = inside("systemctl", "show", "-P", "MainPID", "psv-test.service").strip()
    assert "psv-test.service" in inside("cat", f"/proc/{keeper}/cgroup")

    inside("kill", "-9", keeper)
    eventually(lambda: inside("systemctl", "show", "-P", "MainPID", "psv-test.service").strip() not in ("0", keeper), "systemd starts a keeper")
    eventually(lambda: inside("systemctl", "is-active", "psv-test.service", fails=True).strip() == "active", "it says READY")
    assert pids() == before, "no bot was restarted or doubled"

    keeper = inside("systemctl", "show", "-P", "MainPID", "psv-test.service").strip()
    newer = Package(tmp_path / "newer", "9.1")
    inside("env", f"PYTHONPATH={newer.folder}", sys.executable, "-P", "-m", "processsupervisor", "-C", str(fleet.folder), "upgrade")
    assert inside("systemctl", "show", "-P", "MainPID", "psv-test.service").strip() == keeper, "the same process, of another version"
    assert Path(fleet.paths.upgrade).read_text().count('"to":"9.1+') == 1
    assert inside("systemctl", "is-active", "psv-test.service").strip() == "active"
    assert pids() == before

    inside("systemctl", "stop", "psv-test.service")
    eventually(lambda: not inside("sh", "-c", "systemctl list-units --no-legend 'psv-*.scope'", fails=True).strip(), "the scope is gone")
    assert fleet.processes() == []

    inside("systemctl", "start", "psv-test.service")
    psv("down")
    eventually(lambda: inside("systemctl", "show", "-P", "MainPID", "psv-test.service").strip() == "0", "the keeper has ended")
    assert inside("systemctl", "show", "-P", "Result", "-P", "SubState", "psv-test.service").split() == ["success", "dead"], "no restart is due"
    psv("service", "remove")
    assert inside("ls", "/etc/systemd/system") == "", "nothing is left"


def test_a_users_own_manager_keeps_the_bots_as_well(fleet: LiveFleet, inside: Inside, tmp_path: Path) -> None:
    """psv service install --user under a manager of a user's own: a scope there, and kill -9 of the main process restarts no bot."""
    fleet.configure('[bots.one]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    runtime, config = "/run/user/0", tmp_path / "config"
    (tmp_path / "manager.service").write_text(f"""
[Unit]
DefaultDependencies=no
[Service]
Type=notify
Environment=XDG_RUNTIME_DIR={runtime} XDG_CONFIG_HOME={config} HOME={tmp_path} SYSTEMD_UNIT_PATH={config}/systemd/user:
ExecStart=/lib/systemd/systemd --user --unit=psvtest.target --log-target=null
Delegate=yes
KillMode=mixed
""")
    (config / "systemd/user").mkdir(parents=True)
    (config / "systemd/user/psvtest.target").write_text("[Unit]\nDefaultDependencies=no\n")
    inside("mkdir", "-p", "-m", "700", runtime)
    inside("cp", str(tmp_path / "manager.service"), "/run/systemd/system/user@0.service")
    inside("systemctl", "daemon-reload")
    inside("systemctl", "start", "user@0.service")

    def user(*words: str, fails: bool = False) -> str:
        return inside("env", f"XDG_RUNTIME_DIR={runtime}", f"XDG_CONFIG_HOME={config}", *words, fails=fails)

    def main_pid() -> str:
        return user("systemctl", "--user", "show", "-P", "MainPID", "psv-test.service").strip()

    def pids() -> list[int]:
        shown = user(sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), "ls", "--json", fails=True)
        return [bot["pid"] for bot in json.loads(shown or "[]") if bot["state"] == "RUNNING"]

    user(sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), "service", "install", "--user", "--now")
    before = pids()
    assert len(before) == 1
    assert ".scope/" in inside("cat", f"/proc/{before[0]}/cgroup")
    keeper = main_pid()
    inside("kill", "-9", keeper)
    eventually(lambda: main_pid() not in ("0", keeper), "the user's manager starts a keeper")
    eventually(lambda: user("systemctl", "--user", "is-active", "psv-test.service", fails=True).strip() == "active", "it says READY")
    assert pids() == before
    user(sys.executable, "-m", "processsupervisor", "-C", str(fleet.folder), "service", "remove", "--user", "--now")
    assert [path.name for path in (config / "systemd/user").iterdir()] == ["psvtest.target"]
    assert fleet.processes() == []
