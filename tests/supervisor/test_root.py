"""What only root can show: bots of another user, psv as process 1 of a namespace, cgroups."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_hang import WAYS, exit_after_hang, write_script
from tests.supervisor.test_native import ECHO, Visitor

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import install
from processsupervisor.resources.cgroups import Groups

pytestmark = pytest.mark.root
_PR_CAPBSET_DROP, _CAP_SYS_PTRACE = 24, 19


@pytest.fixture
def open_path(tmp_path: Path) -> None:
    """Let another user reach the fleet folder: pytest's own folders are private."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)


@pytest.mark.usefixtures("open_path")
def test_every_kind_of_bot_runs_as_its_user(fleet: LiveFleet) -> None:
    """Native, script and command: nobody's uid and groups, and what they need is within reach."""
    fleet.write("bots.py", ECHO)
    fleet.write("main.py", "import os, time\nimport processsupervisor.cli.table  # not loaded by the zygote\nprint('groups', os.getgroups(), flush=True)\ntime.sleep(1000)\n")
    fleet.folder.chmod(0o755)
    fleet.configure("""
        [global]
        user = "nobody"
        [bots.n]
        run = "bots:bot"
        [bots.s]
        script = "main.py"
        ready = { log = "groups" }
        [bots.c]
        command = ["sleep", "1000"]
        ready = { after = "0.5s" }
    """)
    fleet.up(code=install(fleet.paths))
    nobody = pwd.getpwnam("nobody")
    for name in ("n", "s", "c"):
        status = Path(f"/proc/{fleet.until(name, state='RUNNING')['pid']}/status").read_text()
        assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status, name
        assert f"Gid:\t{nobody.pw_gid}\t{nobody.pw_gid}" in status, name
    visitor = Visitor(fleet, "n")
    assert visitor.post("m1", "hi")["op"] == "accepted"
    eventually(lambda: visitor.replies().get("m1"), "the answer of a bot of another user")
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd")
    eventually(lambda: fleet.call("bot.pause", names=["n"])[0]["ok"], "the bot of another user finds the new psvd")


@pytest.mark.usefixtures("open_path")
def test_a_bot_of_another_user_cannot_make_root_write_for_it(fleet: LiveFleet, tmp_path: Path) -> None:
    """Its run folder is sticky: it may add its socket, not replace what root writes there."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    fleet.write("evil.py", f"""
        import os, time
        here = os.path.join(os.environ["PSV_FLEET"], ".psv/run/bots/u")
        done = []
        for name in ("spec.json", "record", "lock"):
            try:
                os.unlink(os.path.join(here, name))
                done.append(name)
            except PermissionError:
                pass
        for name in ("failure.json", "out-2", "err-2", "exit-note"):
            try:
                os.symlink({str(victim)!r}, os.path.join(here, name))
            except FileExistsError:
                pass
        print("replaced", done, flush=True)
        time.sleep(1000)
    """)
    fleet.folder.chmod(0o755)
    fleet.configure('[bots.u]\nscript = "evil.py"\nuser = "nobody"\nready = { log = "replaced" }\n')
    fleet.up()
    fleet.until("u", state="RUNNING")
    fleet.call("bot.restart", names=["u"], timeout_s=5)
    assert "replaced []" in fleet.output("u")
    assert victim.read_text() == "precious"


@pytest.mark.usefixtures("open_path")
def test_a_command_that_checks_a_bot_has_no_more_rights_than_the_bot(fleet: LiveFleet) -> None:
    """Uid, groups, umask and folder of the bot; nothing of psvd's but its own three descriptors."""
    fleet.write("check.sh", "#!/bin/sh\n(id -u; id -g; id -G; umask; pwd; ls /proc/self/fd | wc -l) >&2\nexit 1\n").chmod(0o755)
    fleet.folder.chmod(0o755)
    fleet.configure('''
        [bots.a]
        command = ["sleep", "1000"]
        user = "nobody"
        umask = "027"
        cwd = "/usr"
        ready = { after = "0s" }
        health = { exec = ["sh", "-c", "FOLDER/check.sh 2>&1 | tr '\\n' ' '; exit 1"], every = 1, fail_after = 1, action = "none" }
    '''.replace("FOLDER", str(fleet.folder)))
    fleet.up()
    message = fleet.until("a", health="unhealthy")["health_message"]
    nobody = pwd.getpwnam("nobody")
    assert message.endswith(f"exit code 1: {nobody.pw_uid} {nobody.pw_gid} {nobody.pw_gid} 0027 /usr 4"), message


def test_an_unknown_user_fails_its_bot_only(fleet: LiveFleet) -> None:
    """The message names the user."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1"]\nuser = "no-such-user-here"\n[bots.y]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    assert fleet.bot("y")["state"] == "RUNNING"
    assert fleet.until("x", state="FAILED")["reason"] == "config"
    assert "no-such-user-here" in fleet.detail("x")["last_exit"]["message"]


def test_psv_as_process_one_reaps_everything_and_ends_with_the_essential_bot(fleet: LiveFleet) -> None:
    """In a pid namespace of its own, as in a container: orphans are reaped, and the exit code is the bot's."""
    fleet.write("orphans.py", """
        import os, sys, time
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(0.1)
                os._exit(0)
            os.wait()
        time.sleep(1)
        zombies = 0
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    zombies += open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0] == "Z"
                except OSError:
                    pass
        print("zombies", zombies, flush=True)
        sys.exit(42 if zombies == 0 else 1)
    """)
    fleet.configure('[bots.main]\nscript = "orphans.py"\nessential = true\nrestart = { policy = "never" }\nready = { after = "0s" }\n')
    argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(fleet.folder), "--foreground"]
    done = subprocess.run(argv, check=False, timeout=60, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 42, (done, fleet.output("main"))
    assert "zombies 0" in fleet.output("main")


def test_a_second_container_on_the_same_folder_starts_its_bots(fleet: LiveFleet) -> None:
    """A killed pid namespace leaves records that nobody can verify; with all locks free they are no obstacle."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(fleet.folder)]
    for generation in (1, 2):
        container = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(fleet.answers, "psvd in the namespace answers")
        fleet.until("x", state="RUNNING", generation=generation)
        container.kill()
        container.wait(10)
        eventually(lambda: not fleet.answers(), "the namespace is gone")


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    """Cgroups as this machine gives them to root."""
    found = Groups(FleetPaths(tmp_path))
    if found.root is None:
        pytest.skip("needs a writable cgroup2 mount")
    return found


def test_a_bot_lives_in_a_cgroup_and_dies_with_it(fleet: LiveFleet, groups: Groups) -> None:
    """Whoever escaped from session, environment and lock is still in the group: one write ends them all."""
    groups.close()
    fleet.write("escape.py", """
        import os, time
        if os.fork() == 0:
            os.setsid()
            os.closerange(3, 4096)
            if os.fork():
                os._exit(0)
            os.execve("/bin/sleep", ["sleep", "4321"], {})
        print("up", flush=True)
        time.sleep(1000)
    """)
    fleet.configure('[bots.x]\nscript = "escape.py"\nready = { log = "up" }\nstop = { timeout = "2s" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    here = Groups(fleet.paths)
    assert here.root is not None
    members = (here.root / "x" / "cgroup.procs")
    eventually(lambda: len(members.read_text().split()) >= 2, "bot and escapee are in the group")
    pids = [int(p) for p in members.read_text().split()]
    assert fleet.call("bot.stop", names=["x"])[0]["ok"]
    for pid in pids:
        eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists() or "(zombie)" in Path(f"/proc/{pid}/status").read_text(), f"{pid} is gone", 5)
    fleet.down()
    assert not here.root.exists(), "the fleet leaves no group behind"


def test_a_second_signal_to_process_one_kills_at_once(fleet: LiveFleet) -> None:
    """docker stop twice, or Ctrl-C twice in the foreground of a container."""
    fleet.configure('[bots.x]\ncommand = ["sh", "-c", "trap \'\' TERM; echo up; while :; do sleep 0.05; done"]\nready = { log = "up" }\nstop = { timeout = "600s" }\n')
    argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-P", "-m", "processsupervisor.process.keeper", str(fleet.folder), "--foreground"]
    outside = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    eventually(fleet.answers, "psvd answers")
    fleet.until("x", state="RUNNING")
    (first,) = [int(p) for p in Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()]
    os.kill(first, signal.SIGTERM)
    fleet.until("x", state="STOPPING")
    os.kill(first, signal.SIGTERM)
    began = time.monotonic()
    outside.wait(10)
    assert time.monotonic() - began < 8


@pytest.mark.usefixtures("open_path")
def test_a_bot_of_another_user_beats_and_gives_a_dump(fleet: LiveFleet) -> None:
    """Its pulse and dump file were opened before it took its user: it writes them, and cannot replace them."""
    fleet.write("bots.py", ECHO)
    fleet.write("main.py", """
        import asyncio, os

        async def main():
            for name in ("pulse", "dump"):
                try:
                    os.unlink(os.path.join(os.environ["PSV_FLEET"], ".psv/run/bots/s", name))
                    print("replaced", name, flush=True)
                except PermissionError:
                    pass
            print("up", flush=True)
            await asyncio.sleep(1000)

        asyncio.run(main())
    """)
    fleet.folder.chmod(0o755)
    fleet.configure("""
        [global]
        user = "nobody"
        [bots.n]
        run = "bots:bot"
        [bots.s]
        script = "main.py"
        ready = { log = "^up$" }
    """)
    fleet.up(code=install(fleet.paths))
    for name in ("n", "s"):
        fleet.until(name, state="RUNNING")
        eventually(lambda n=name: fleet.detail(n)["beat_age_s"] is not None, f"{name} beats")
        dump = fleet.call("bot.dump", names=[name])[0]
        assert dump["ok"] and dump["missing"] == [], dump
    assert "replaced" not in fleet.output("s")


@pytest.mark.usefixtures("open_path")
def test_a_hung_bot_of_another_user_is_found_without_cap_sys_ptrace(fleet: LiveFleet) -> None:
    """As in most containers: root may not look into another user's process there, and needs not to."""
    write_script(fleet, "old", WAYS["sleep"])
    for path in (fleet.folder, fleet.folder / "old.py"):
        path.chmod(0o755)
    fleet.write("work/tell", "").parent.chmod(0o777)
    fleet.configure('[bots.old]\nscript = "old.py"\nuser = "nobody"\ncwd = "work"\nhang_after = "2s"\nready = { after = "0.1s" }\n')
    up = threading.Thread(target=lambda: (_drop_ptrace(), fleet.up(code=install(fleet.paths))))
    up.start()  # capabilities are a thread's
    up.join()
    dump = fleet.call("bot.dump", names=["old"])[0]
    assert dump["ok"] and dump["missing"] == []
    fleet.write("work/hang-old", "")
    last = exit_after_hang(fleet, "old")
    assert last["reason"] == "hang" and "in hang" in "".join(last["dump"]["stacks"])


def _drop_ptrace() -> None:
    bound = ctypes.CDLL(None, use_errno=True)
    assert bound.prctl(_PR_CAPBSET_DROP, _CAP_SYS_PTRACE, 0, 0, 0) == 0
