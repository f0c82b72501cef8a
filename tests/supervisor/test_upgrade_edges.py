"""psv upgrade in bad moments: a signal, a fault or a loss in the very step in which it does the most harm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.package import Package
from tests.supervisor.test_upgrade import settled_codes

from processsupervisor.launch.code import install

_EXEC = "            arguments = [str(held.paths.folder), "
_PACKING = "        descriptor = -1\n"
_GOES_DOWN = "        fleet.is_going_down = True\n"
SLEEPER = '[bots.sleeper]\ncommand = ["sleep", "1000"]\nready = { after = "0s" }\n'


def up_from(fleet: LiveFleet, package: Package, text: str = SLEEPER) -> None:
    """Start the fleet with a keeper of this package."""
    fleet.configure(text)
    boot = package.folder / "processsupervisor" / "boot.py"
    argv = [sys.executable, "-P", str(boot), "processsupervisor.process.keeper", str(fleet.folder), "--foreground"]
    fleet.keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    eventually(fleet.answers, "psvd answers")
    fleet.call("fleet.wait", timeout_s=30)


@pytest.mark.parametrize("place", ["        held = self._held\n        signal.pthread_sigmask(signal.SIG_BLOCK", _EXEC], ids=["before", "after"])
def test_a_sigterm_just_before_the_exec_ends_the_fleet(fleet: LiveFleet, tmp_path: Path, place: str) -> None:
    """Before or after signals are blocked: one that came is served, by the keeper that was or by the one that is."""
    indent = place[: len(place) - len(place.lstrip())]
    old = Package(tmp_path / "old", "9.0", ("process/keeper.py", place, f"{indent}os.kill(os.getpid(), signal.SIGTERM)\n{place}"))
    up_from(fleet, old)
    result = Package(tmp_path / "new", "9.1").psv(fleet, "upgrade")
    assert "self-check" not in result.stderr, result.stderr
    assert "fails its check" not in result.stderr
    assert fleet.keeper is not None
    fleet.keeper.wait(15)
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_a_keeper_that_is_going_down_goes_on_with_it_after_the_exec(fleet: LiveFleet, tmp_path: Path) -> None:
    """The deadline after which everything is killed crosses the exec: here no psvd ever says that the bots are down."""
    silent = ("supervisor/descent.py", _GOES_DOWN, f"        await asyncio.sleep(1000)\n{_GOES_DOWN}")
    begins = ("process/keeper.py", "            self._become(upgrade)\n", '            self._held.down_timeout_s = 0.5\n            self._go_down("test")\n            self._become(upgrade)\n')
    up_from(fleet, Package(tmp_path / "old", "9.0", silent, begins))
    Package(tmp_path / "new", "9.1", silent).psv(fleet, "upgrade")
    assert fleet.keeper is not None
    fleet.keeper.wait(10)
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_a_new_keeper_that_fails_at_the_very_last_leaves_the_former_one(fleet: LiveFleet, tmp_path: Path) -> None:
    """Until it has taken up everything, every descriptor is still there for the former copy."""
    fleet.configure(SLEEPER)
    fleet.up()
    pid = fleet.bot("sleeper")["pid"]
    result = Package(tmp_path / "new", "9.1", ("process/keeper.py", "            upgrade.finish()\n", "            raise ValueError\n")).psv(fleet, "upgrade")
    assert "the fleet goes on with installed" in result.stderr
    settled_codes(fleet, "installed")
    assert fleet.until("sleeper", state="RUNNING")["pid"] == pid


def test_a_copy_that_was_removed_by_hand_is_replaced(fleet: LiveFleet, tmp_path: Path) -> None:
    """What runs has lost its files: the upgrade is the way out, and must not cost the keeper."""
    fleet.configure(SLEEPER)
    fleet.up(code=install(fleet.paths))
    shutil.rmtree(fleet.paths.code)
    assert Package(tmp_path / "new", "9.1").psv(fleet, "upgrade").returncode == 0
    settled_codes(fleet, "9.1+")
    assert fleet.keeper is not None
    assert fleet.keeper.poll() is None


def test_a_new_logd_that_ends_after_its_first_answer_is_not_kept(fleet: LiveFleet, tmp_path: Path) -> None:
    """It ends while psvd is being replaced: all go back."""
    fleet.write("main.py", 'import time\nwhile True:\n    print("tick", flush=True)\n    time.sleep(0.01)\n')
    fleet.configure('[bots.ticking]\nscript = "main.py"\nready = { log = "tick" }\n')
    fleet.up()
    pump = "        stream = source.streams[which]\n        segments = stream.number\n"
    result = Package(tmp_path / "new", "9.1", ("process/logd.py", pump, f"        os._exit(9)\n{pump}")).psv(fleet, "upgrade")
    assert "the new logd ended" in result.stderr
    settled_codes(fleet, "installed")


def test_a_request_whose_asker_has_gone_is_not_served(fleet: LiveFleet, tmp_path: Path) -> None:
    """The keeper was stopped, the command said so and ended: nothing happens behind the operator's back."""
    fleet.configure(SLEEPER)
    fleet.up()
    keeper = fleet.role_pid("keeper")
    os.kill(keeper, signal.SIGSTOP)
    try:
        result = Package(tmp_path / "new", "9.1").psv(fleet, "upgrade")
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert "gives no answer" in result.stderr
    psvd = fleet.role_pid("psvd")
    eventually(lambda: "whoever asked has gone" in (fleet.paths.own_logs / "keeper.log").read_text(), "the keeper says so")
    assert fleet.role_pid("psvd") == psvd


def test_a_bot_of_an_earlier_keeper_may_not_upgrade(fleet: LiveFleet) -> None:
    """It is not below the present keeper, but it is a bot all the same."""
    fleet.write("bad.py", f"""
        import json, os, socket, time
        print("up", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.05)
        s = socket.socket(socket.AF_UNIX)
        os.chdir({str(fleet.paths.run)!r})
        s.connect("keeper.sock")
        s.sendall(json.dumps({{"op": "upgrade", "package": "/x", "python": "/bin/sh"}}).encode() + b"\\n")
        print("answer", s.recv(4096).decode(), flush=True)
        time.sleep(1000)
    """)
    fleet.configure('[bots.bad]\nscript = "bad.py"\nready = { log = "up" }\n')
    fleet.up()
    pid = fleet.bot("bad")["pid"]
    fleet.kill_role("keeper")
    assert fleet.keeper is not None
    fleet.keeper.wait(10)
    fleet.up()
    assert fleet.until("bad", state="RUNNING")["pid"] == pid
    fleet.write("go", "")
    eventually(lambda: "answer" in fleet.output("bad"), "it is answered")
    assert "a bot may not upgrade" in fleet.output("bad")
