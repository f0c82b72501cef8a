"""A bot that forks without end: it meets a limit, the others live on, and it ends with all that it made."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_root import open_path

from processsupervisor.config.applied import read_applied
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.resources.cgroups import Groups, enable_limits

__all__ = ["open_path"]

BOMB = """
    import os, time
    while True:
        try:
            os.fork()
        except OSError as err:
            os.write(1, b"refused: %s\\n" % os.strerror(err.errno).encode())
            time.sleep(0.2)
"""
ROOM = 60


def _tasks_of(uid: int) -> list[int]:
    """Return the pid of every thread of a user: what RLIMIT_NPROC counts."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    found += [int(entry.name)] * len(os.listdir(entry / "task"))
            except OSError:
                continue
    return found


def _explode(fleet: LiveFleet, uid: int, user: str) -> None:
    before = len(_tasks_of(uid))
    fleet.write("bomb.py", BOMB)
    fleet.configure(f"""
        [bots.bomb]
        script = "bomb.py"
        autostart = false
        limits = {{ nproc = {before + ROOM} }}
        ready = {{ log = "refused" }}
        stop = {{ timeout = "0.2s" }}
        {user}
        [bots.other]
        command = ["sleep", "1000"]
        ready = {{ after = "0s" }}
    """)
    fleet.up()
    other = fleet.until("other", state="RUNNING")["pid"]
    assert fleet.call("bot.start", names=["bomb"])[0]["ok"], "it has met its limit"
    session = os.getsid(fleet.bot("bomb")["pid"])
    assert 10 < len(_members(session)) <= before + ROOM
    assert fleet.call("bot.stop", names=["bomb"])[0]["state"] == "STOPPED"
    assert _members(session) == []
    assert fleet.bot("other")["pid"] == other


def _members(session: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _session(p) == session]


def _session(folder: Path) -> int:
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in b"ZX" else int(fields[3])
    except OSError:
        return 0


@pytest.mark.skipif(os.geteuid() == 0, reason="RLIMIT_NPROC does not bind root; see the test below")
def test_a_fork_bomb_meets_its_limit_and_ends_with_its_bot(fleet: LiveFleet) -> None:
    """By RLIMIT_NPROC, which counts all of the user's processes."""
    _explode(fleet, os.geteuid(), "")


@pytest.mark.root
@pytest.mark.usefixtures("open_path")
def test_a_fork_bomb_of_another_user_meets_its_limit_too(fleet: LiveFleet) -> None:
    """psv as root, the bot as nobody."""
    fleet.folder.chmod(0o755)
    _explode(fleet, pwd.getpwnam("nobody").pw_uid, 'user = "nobody"')


def test_every_bot_has_a_limit_of_processes_by_default(fleet: LiveFleet) -> None:
    """Nobody has to think of it: 1,024 where fleet.toml says nothing, and the groups are told to count."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\n[bots.y]\ncommand = ["sleep", "1000"]\nlimits = { pids = 50 }\n')
    assert {b["name"]: b["limits"]["pids"] for b in read_applied(fleet.paths)["bots"]} == {"x": 1024, "y": 50}


def test_a_group_that_was_given_controllers_gives_them_to_the_bots(tmp_path: Path) -> None:
    """Files as the kernel shows them: what counts is enabled, and whoever is in the way moves into a group of its own."""
    for name, content in {"cgroup.controllers": "cpu io memory pids\n", "cgroup.procs": "42\n", "cgroup.subtree_control": ""}.items():
        (tmp_path / name).write_text(content)
    enable_limits(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (tmp_path / "_scope" / "cgroup.procs").read_text() == "42"


@pytest.mark.root
def test_the_pids_controller_binds_root_as_well(fleet: LiveFleet, tmp_path: Path) -> None:
    """Where the kernel counts a group's processes, a bomb of root ends at the default or at its own limit."""
    groups = Groups(FleetPaths(tmp_path))
    if groups.root is None or "pids" not in (groups.root / "cgroup.controllers").read_text():
        pytest.skip("this machine's cgroup2 has no pids controller (RLIMIT_NPROC is tested)")
    groups.close()
    fleet.write("bomb.py", BOMB)
    fleet.configure('[bots.bomb]\ncommand = ["python", "bomb.py"]\nlimits = { pids = 30 }\nready = { log = "refused" }\n')
    fleet.up()
    fleet.until("bomb", state="RUNNING")
    here = Groups(fleet.paths)
    assert here.root is not None
    assert int((here.root / "bomb" / "pids.current").read_text()) <= 30
    assert fleet.call("bot.stop", names=["bomb"])[0]["state"] == "STOPPED"
    eventually(lambda: not Groups.members(str(here.root / "bomb")), "all are gone", 5)
