"""What a new psvd makes of what it finds: nothing is done twice, nothing is believed without proof, nobody else is signalled."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.test_native import ECHO, Visitor

from processsupervisor.ipc.client import connect_unix
from processsupervisor.launch.locks import acquire_high


def _new_psvd(fleet: LiveFleet) -> None:
    fleet.kill_role("psvd")
    eventually(fleet.answers, "a new psvd answers")


def test_a_finished_job_is_not_run_again_by_a_new_psvd(fleet: LiveFleet) -> None:
    """Completed is a state like any other: it survives psvd."""
    fleet.write("job.py", "open('runs', 'a').write('x')\n")
    fleet.configure('[bots.job]\nscript = "job.py"\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    fleet.up()
    fleet.until("job", state="TERMINATED")
    _new_psvd(fleet)
    assert fleet.until("job", state="TERMINATED")["generation"] == 1
    assert (fleet.folder / "runs").read_text() == "x"


def test_a_wait_that_was_asked_for_outlives_psvd(fleet: LiveFleet) -> None:
    """A rate limit of two minutes is not forgotten with the process that noted it."""
    fleet.write("limited.py", """
        import os, sys, time
        open(os.environ["PSV_EXIT_NOTE"], "w").write(str(time.time() + 120))
        sys.exit(80)
    """)
    fleet.configure('[bots.x]\ncommand = ["python", "limited.py"]\nready = { after = "60s" }\n')
    fleet.up(wait=False)
    fleet.until("x", state="RECOVERING", reason="rate-limited")
    _new_psvd(fleet)
    bot = fleet.bot("x")
    assert (bot["generation"], bot["reason"]) == (1, "rate-limited")
    assert 60 < bot["next_start_in_s"] <= 120


def test_an_unseen_permanent_end_is_not_tried_again(fleet: LiveFleet) -> None:
    """Exit code 77 while psvd was stopped: the journal tells it, and the policy is the same."""
    fleet.write("auth.py", "import pathlib, sys, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\nsys.exit(77)\n")
    fleet.configure('[bots.x]\ncommand = ["python", "auth.py"]\nready = { after = "0s" }\n')
    fleet.up()
    pid = fleet.until("x", state="RUNNING")["pid"]
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    fleet.write("go", "")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the keeper reaped it")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("x", state="FAILED", reason="auth")["generation"] == 1


def test_a_paused_bot_is_paused_for_the_next_psvd_too_and_can_be_resumed(fleet: LiveFleet) -> None:
    """State and bot agree, whoever asks."""
    fleet.write("bots.py", ECHO)
    fleet.configure('[bots.a]\nrun = "bots:bot"\n')
    fleet.up()
    assert fleet.call("bot.pause", names=["a"])[0]["ok"]
    _new_psvd(fleet)
    fleet.until("a", state="PAUSED")
    assert Visitor(fleet, "a").post("m1", "hi")["code"] == "paused"
    eventually(lambda: fleet.call("bot.resume", names=["a"])[0]["state"] == "RUNNING", "it goes on")
    assert Visitor(fleet, "a").post("m2", "hi")["op"] == "accepted"


def test_a_ready_line_that_psvd_missed_still_counts(fleet: LiveFleet) -> None:
    """logd saw it, the keeper kept it, the next psvd hears of it."""
    fleet.write("late.py", "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\nprint('ready', flush=True)\ntime.sleep(1000)\n")
    fleet.configure('[bots.x]\ncommand = ["python", "late.py"]\nready = { log = "^ready" }\nstart_timeout = "20s"\n')
    fleet.up(wait=False)
    pid = eventually(lambda: fleet.bot("x")["pid"], "it was born")
    psvd = fleet.role_pid("psvd")
    os.kill(psvd, signal.SIGSTOP)
    fleet.write("go", "")
    eventually(lambda: "ready" in fleet.output("x"), "the line is in the log")
    os.kill(psvd, signal.SIGKILL)
    eventually(fleet.answers, "a new psvd answers")
    assert fleet.until("x", state="RUNNING")["pid"] == pid


def test_a_stopped_zygote_is_replaced(fleet: LiveFleet) -> None:
    """It gives no answer and holds its lock: the next one ends it by its identity and takes the place."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure('[bots.a]\nscript = "main.py"\nready = { after = "0s" }\n')
    fleet.up()
    zygote = fleet.kill_role("zygote", signal.SIGSTOP)
    assert fleet.call("bot.restart", names=["a"], timeout_s=30)[0]["ok"]
    assert fleet.role_pid("zygote") != zygote


def test_keeper_and_psvd_killed_together_leave_a_fleet_that_starts_again(fleet: LiveFleet) -> None:
    """The old zygote is not in the new keeper's list, but it still holds its name."""
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure('[bots.a]\nscript = "main.py"\nready = { after = "0s" }\n')
    fleet.up()
    pid = fleet.bot("a")["pid"]
    assert fleet.keeper is not None
    psvd = fleet.role_pid("psvd")
    fleet.keeper.send_signal(signal.SIGKILL)
    os.kill(psvd, signal.SIGKILL)
    fleet.keeper.wait(5)
    fleet.up()
    assert fleet.until("a", state="RUNNING")["pid"] == pid
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    assert fleet.down() == {"stopped": 1}
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def _hold_lock(lock: Path, note: dict[str, object]) -> int:
    """Fork a process that holds the lock under a note about somebody else; returns its pid."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        acquire_high(lock, note)
        os.write(writing, b"x")
        signal.pause()
        os._exit(0)
    assert os.read(reading, 1) == b"x"
    return pid


def test_a_stranger_with_the_number_of_a_dead_bot_is_not_signalled(fleet: LiveFleet) -> None:
    """A reused session number is no evidence (I3)."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    stranger = subprocess.Popen(["sleep", "100"], start_new_session=True)
    folder = fleet.paths.bot_run("x")
    fleet.paths.ensure()
    folder.mkdir(parents=True)
    note = {"bot": "x", "generation": 1, "pid": stranger.pid, "start_ticks": 1, "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "pid_namespace": os.stat("/proc/self/ns/pid").st_ino}
    try:
        fleet.up(wait=False)  # makes the epoch, so that run/ is not void
        fleet.until("x", state="RUNNING")
        fleet.down()
        holder = _hold_lock(folder / "lock", note)
        fleet.up()
        assert fleet.until("x", state="RUNNING")["generation"] == 2
        assert os.waitpid(holder, 0)[1] == signal.SIGKILL, "who holds the lock is what the bot left behind"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_damaged_database_does_not_keep_the_fleet_down(fleet: LiveFleet) -> None:
    """psvd goes on from memory and says so."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    fleet.call("bot.restart", names=["x"])
    fleet.down()
    database = fleet.paths.database
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(database.read_bytes())
    raw[200:] = b"\xff" * (len(raw) - 200)
    database.write_bytes(bytes(raw))
    fleet.up()
    assert fleet.until("x", state="RUNNING")["pid"]
    assert any(n["subject"] == "psv.db" for n in fleet.call("fleet.status")["notes"])


def test_nobody_else_can_say_that_he_is_psvd(fleet: LiveFleet) -> None:
    """Any process of this user can reach the keeper's socket; only the holder of the role's lock is believed."""
    fleet.configure('[bots.x]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n')
    fleet.up()
    for line in (b'{"op":"hello","role":"psvd"}\n', b'{"op":"hello","role":"psvd","pid":%d}\n' % os.getpid(), b'{"op":"down","exit_status":9}\n', b"[]\n"):
        with connect_unix(fleet.paths.socket("keeper"), 1.0) as peer:
            peer.sendall(line)
            peer.shutdown(socket.SHUT_WR)
            assert peer.recv(4096) == b""
    assert fleet.keeper is not None and fleet.keeper.poll() is None
    assert fleet.call("bot.restart", names=["x"])[0]["ok"]


def test_a_preload_that_takes_long_holds_up_nobody_else(fleet: LiveFleet, tmp_path: Path) -> None:
    """Bots that wait for their zygote hold no launch slot."""
    library = fleet.write("../library/slowlib.py", f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)\n")
    fleet.write("main.py", "import slowlib, time\ntime.sleep(1000)\n")
    slow = "".join(f'[bots.s{n}]\nscript = "main.py"\nready = {{ after = "0s" }}\n' for n in range(20))
    fleet.configure(f'{slow}[bots.quick]\ncommand = ["sleep", "1000"]\nautostart = false\nready = {{ after = "0s" }}\n')
    os.environ["PYTHONPATH"] = str(library.parent)
    try:
        fleet.up(wait=False)
        assert fleet.call("bot.start", names=["quick"], timeout_s=20)[0]["ok"]
        assert fleet.bot("s0")["state"] == "STARTING"
        (tmp_path / "go").touch()
        fleet.until("s0", state="RUNNING")
    finally:
        del os.environ["PYTHONPATH"]


def test_a_script_ends_with_its_files_written(fleet: LiveFleet) -> None:
    """An open file that nobody closed holds what was written, as after a plain run; siblings are found through a link."""
    fleet.write("real/sibling.py", "TEXT = 'from the sibling'\n")
    fleet.write("real/main.py", "import sibling\nf = open('data.txt', 'w')\nf.write(sibling.TEXT)\nb = open('data.bin', 'wb')\nb.write(b'bytes')\n")
    (fleet.folder / "link.py").symlink_to("real/main.py")
    fleet.configure('[bots.x]\nscript = "link.py"\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    fleet.up()
    fleet.until("x", state="TERMINATED")
    assert (fleet.folder / "data.txt").read_text() == "from the sibling"
    assert (fleet.folder / "data.bin").read_bytes() == b"bytes"
