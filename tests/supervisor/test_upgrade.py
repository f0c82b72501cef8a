"""psv upgrade: psv's own processes run another copy of the package; bots keep their pids, nothing is lost, what fails changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.supervisor.live import LiveFleet, eventually
from tests.supervisor.package import Edit, Package

from processsupervisor.kernel.files import read_json

THREE = """
    [bots.echo]
    run = "bots:bot"
    [bots.ticking]
    script = "main.py"
    ready = { log = "tick 1$" }
    [bots.command]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
ECHO = """
    from processsupervisor import Bot, Message
    bot = Bot()

    @bot.on_message
    async def answer(message: Message) -> str:
        return message.text
"""
TICKING = """
    import time
    for n in range(1000000):
        print("tick", n, flush=True)
        time.sleep(0.002)
"""
OWN = ("keeper", "psvd", "logd")


def up(fleet: LiveFleet, *, web: bool = False) -> dict[str, int]:
    """Start three bots, one of each kind, and return their pids."""
    fleet.write("bots.py", ECHO)
    fleet.write("main.py", TICKING)
    fleet.configure(THREE, web=web)
    fleet.up()
    return pids_of(fleet)


def pids_of(fleet: LiveFleet) -> dict[str, int]:
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("echo", "ticking", "command")}


def codes(fleet: LiveFleet) -> set[str]:
    """Return the copies that keeper, psvd and logd say they run."""
    return {str(p["code"]) for p in fleet.call("fleet.status")["processes"] if p["role"] in OWN}


def settled_codes(fleet: LiveFleet, expected: str) -> None:
    """Wait until all three run copies whose name begins with `expected`."""

    def all_there() -> bool:
        if not fleet.answers():
            return False
        found = [p for p in fleet.call("fleet.status")["processes"] if p["role"] in OWN]
        return len(found) == 3 and all(str(p["code"]).startswith(expected) for p in found)

    eventually(all_there, f"all run {expected}")


def ticks(fleet: LiveFleet) -> list[int]:
    return [int(line.split()[1]) for line in fleet.output("ticking").splitlines() if line.startswith("tick ") and line[5:].strip().isdigit()]


def test_every_own_process_is_replaced_and_no_bot_is_touched(fleet: LiveFleet, tmp_path: Path) -> None:
    """Keeper, psvd, logd and web run the new copy; the keeper keeps its pid; no line is lost; what is pressed next works."""
    pids = up(fleet, web=True)
    before = {role: fleet.role_pid(role) for role in (*OWN, "web")}
    result = Package(tmp_path / "new", "9.1").psv(fleet, "upgrade")
    assert result.returncode == 0, result.stderr
    assert "psv 9.1+" in result.stdout
    settled_codes(fleet, "9.1+")
    after = {role: fleet.role_pid(role) for role in OWN}
    assert after["keeper"] == before["keeper"]
    assert after["psvd"] != before["psvd"]
    assert after["logd"] != before["logd"]
    assert pids_of(fleet) == pids
    for name, pid in pids.items():
        bot = fleet.bot(name)
        assert (bot["generation"], bot["restarts"]) == (1, 0)
        assert fleet.copies(name) == [pid]
    url = eventually(lambda: fleet.role_pid("web") not in (0, before["web"]) and fleet.call("fleet.status")["web"], "the page of the new copy")
    with urlopen(url, timeout=10) as page:
        assert page.status == 200
    os.kill(pids["command"], signal.SIGKILL)
    assert fleet.until("command", state="RUNNING", generation=2)["reason"] == "signal"
    fleet.call("bot.stop", names=["ticking"])
    assert ticks(fleet) == list(range(len(ticks(fleet)))), "no line lost or repeated"
    assert fleet.down() == {"stopped": 2}
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_upgrading_again_and_back(fleet: LiveFleet, tmp_path: Path) -> None:
    """A second upgrade, and one to the version before it, are upgrades like any other; the one that runs is not replaced by itself."""
    pids = up(fleet)
    first, second = Package(tmp_path / "a", "9.1"), Package(tmp_path / "b", "9.2")
    for package, name in ((first, "9.1+"), (second, "9.2+"), (first, "9.1+")):
        assert package.psv(fleet, "upgrade").returncode == 0
        settled_codes(fleet, name)
    psvd = fleet.role_pid("psvd")
    again = first.psv(fleet, "upgrade")
    assert again.returncode == 0
    assert "runs already" in again.stdout
    assert fleet.role_pid("psvd") == psvd
    assert pids_of(fleet) == pids


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("kernel/clock.py", "def ", "def def "), "SyntaxError"),
        (("supervisor/fleet.py", "import asyncio", "import asyncio, no_such_module"), "psvd of psv 9.1+"),
        (("process/logd.py", "import contextlib", "import contextlib, no_such_module"), "logd of psv 9.1+"),
        (("process/keeper.py", "import selectors", "import selectors, no_such_module"), "keeper of psv 9.1+"),
        (("web/page.py", "from __future__", "1 / 0\nfrom __future__"), "web of psv 9.1+"),
        (("bot/runner.py", "from __future__", "import no_such_module\nfrom __future__"), "zygote of psv 9.1+"),
        (("supervisor/store.py", "SCHEMA_VERSION = 1", "SCHEMA_VERSION = 0"), "schema"),
    ],
)
def test_a_package_that_does_not_work_changes_nothing(fleet: LiveFleet, tmp_path: Path, edit: Edit, says: str) -> None:
    """It is tried on a copy of the live records first; the fleet does not notice, and nothing of the trial is left."""
    pids = up(fleet)
    own = {role: fleet.role_pid(role) for role in OWN}
    result = Package(tmp_path / "new", "9.1", edit).psv(fleet, "upgrade")
    assert result.returncode != 0
    assert says in result.stderr
    assert {role: fleet.role_pid(role) for role in OWN} == own
    assert codes(fleet) == {"installed"}
    assert pids_of(fleet) == pids
    assert [p.name for p in fleet.paths.code.glob(".check-*")] == []


_FAILING = {
    "logd ends at once": ("process/logd.py", "        logd = Logd(FleetPaths(argv[0]))\n", "        return 3\n        logd = Logd(FleetPaths(argv[0]))\n"),
    "psvd ends at once": ("app/psvd.py", "    paths = FleetPaths(argv[0])\n", "    return 3\n    paths = FleetPaths(argv[0])\n"),
    "psvd hangs": ("app/psvd.py", "    paths = FleetPaths(argv[0])\n", "    import time; time.sleep(1000)\n    paths = FleetPaths(argv[0])\n"),
    "the keeper raises": ("process/keeper.py", "    keeper.take_up(facts, is_refused=", "    1 / 0\n    keeper.take_up(facts, is_refused="),
    "the keeper hangs": ("process/keeper.py", "    keeper.take_up(facts, is_refused=", "    time.sleep(1000)\n    keeper.take_up(facts, is_refused="),
}


@pytest.mark.parametrize("edit", _FAILING.values(), ids=_FAILING.keys())
def test_what_does_not_answer_is_replaced_by_the_former_copy(fleet: LiveFleet, tmp_path: Path, edit: Edit) -> None:
    """The check passed, the real thing fails: all of psv runs what ran before, the command says so, bots go on."""
    pids = up(fleet)
    keeper = fleet.role_pid("keeper")
    result = Package(tmp_path / "new", "9.1", edit).psv(fleet, "upgrade")
    assert result.returncode == 1, (result.stdout, result.stderr)
    assert "the fleet goes on with installed" in result.stderr
    settled_codes(fleet, "installed")
    assert fleet.role_pid("keeper") == keeper
    assert pids_of(fleet) == pids
    os.kill(pids["ticking"], signal.SIGKILL)
    assert fleet.until("ticking", state="RUNNING", generation=2)["reason"] == "signal", "and it still supervises"
    assert Package(tmp_path / "good", "9.2").psv(fleet, "upgrade").returncode == 0
    settled_codes(fleet, "9.2+")


def test_bots_that_end_during_an_upgrade_are_known_and_started_again(fleet: LiveFleet, tmp_path: Path) -> None:
    """Whichever part is being replaced: the exit has its true reason and the bot comes back once."""
    up(fleet)
    package = Package(tmp_path / "new", "9.1")
    argv = [sys.executable, "-P", "-m", "processsupervisor", "-C", str(fleet.folder), "upgrade"]
    running = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(package.folder)}, stdout=subprocess.DEVNULL)
    kills = 0
    while running.poll() is None or kills < 3:
        for pid in fleet.copies("command"):
            os.kill(pid, signal.SIGKILL)
            kills += 1
        eventually(lambda: fleet.copies("command"), "the bot is back")
        time.sleep(0.05)
    assert running.returncode == 0
    settled_codes(fleet, "9.1+")
    bot = fleet.until("command", state="RUNNING")
    assert bot["generation"] >= 2
    reasons = [t["reason"] for t in fleet.call("bot.history", names=["command"], limit=500) if t.get("to") in ("RECOVERING", "FAILED")]
    assert set(reasons) <= {"signal", "crash-loop"}, reasons
    assert len(fleet.copies("command")) == 1


@pytest.mark.parametrize("role", ["psvd", "logd", "keeper"])
def test_an_upgrade_in_which_something_is_killed(fleet: LiveFleet, tmp_path: Path, role: str) -> None:
    """It comes to an end, good or bad, and afterwards the fleet is whole: a dead keeper is brought back by up."""
    pids = up(fleet)
    package = Package(tmp_path / "new", "9.1")
    argv = [sys.executable, "-P", "-m", "processsupervisor", "-C", str(fleet.folder), "upgrade"]
    running = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(package.folder)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    eventually(lambda: running.poll() is not None or isinstance(read_json(fleet.paths.upgrade), dict), "the upgrade has begun")
    lock = fleet.paths.role_lock(role)
    words = lock.read_text().split()
    if words:
        try:
            os.kill(int(words[-1]), signal.SIGKILL)
        except ProcessLookupError:
            pass
    running.communicate(timeout=60)
    if role == "keeper":
        assert fleet.keeper is not None
        fleet.keeper.wait(10)
        fleet.up(wait=False)
    eventually(lambda: fleet.answers() and not any(n["subject"] == "keeper" for n in fleet.call("fleet.status")["notes"]), "psvd has its keeper")
    assert pids_of(fleet) == pids
    assert fleet.call("bot.restart", names=["command"])[0]["ok"]
    eventually(lambda: {name: len(fleet.copies(name)) for name in pids} == dict.fromkeys(pids, 1), "one process each")


def test_a_psvd_that_is_stopped_can_be_upgraded_all_the_same(fleet: LiveFleet, tmp_path: Path) -> None:
    """The keeper is asked, not psvd: a broken psvd is a reason to upgrade."""
    pids = up(fleet)
    os.kill(fleet.role_pid("psvd"), signal.SIGSTOP)
    result = Package(tmp_path / "new", "9.1").psv(fleet, "upgrade")
    assert result.returncode == 0, result.stderr
    settled_codes(fleet, "9.1+")
    assert pids_of(fleet) == pids


def test_only_a_copy_in_the_fleet_s_own_folder_is_run(fleet: LiveFleet, tmp_path: Path) -> None:
    """Whoever reaches the socket cannot make the keeper run something else, nor can a bot make it do anything."""
    fleet.write("bad.py", f"""
        import json, os, socket, time
        s = socket.socket(socket.AF_UNIX)
        os.chdir({str(fleet.paths.run)!r})
        s.connect("keeper.sock")
        s.sendall(json.dumps({{"op": "upgrade", "package": "/x", "python": "/bin/sh"}}).encode() + b"\\n")
        print("answer", s.recv(4096).decode(), flush=True)
        time.sleep(1000)
    """)
    fleet.configure('[bots.bad]\nscript = "bad.py"\nready = { log = "answer" }\n')
    fleet.up()
    assert "a bot may not upgrade" in fleet.output("bad")
    from processsupervisor.ipc.client import connect_unix
    from processsupervisor.ipc.lines import LineSocket

    link = LineSocket(connect_unix(fleet.paths.socket("keeper"), 5.0))
    link.send({"op": "upgrade", "package": str(tmp_path), "python": sys.executable})
    link.socket.settimeout(5.0)
    answers = link.receive()
    assert answers
    assert "is no copy of the package" in answers[0]["message"]
    assert codes(fleet) == {"installed"}


@pytest.mark.parametrize("is_newer_at_the_keyboard", [True, False])
def test_versions_that_differ_still_ping_stop_and_upgrade(fleet: LiveFleet, tmp_path: Path, is_newer_at_the_keyboard: bool) -> None:
    """An older command against a newer psvd, and the reverse."""
    newer = Package(tmp_path / "new", "9.1", ("version.py", "PROTOCOL = 1", "PROTOCOL = 2"))
    older = Package(tmp_path / "old", "0.0.9")
    runs, types = (older, newer) if is_newer_at_the_keyboard else (newer, older)
    up(fleet)
    assert runs.psv(fleet, "upgrade").returncode == 0
    status = types.psv(fleet, "status")
    assert status.returncode == 0, status.stderr
    assert types.psv(fleet, "stop", "command").returncode == 0
    assert fleet.bot("command")["state"] == "STOPPED"
    upgraded = types.psv(fleet, "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    settled_codes(fleet, "9.1+" if is_newer_at_the_keyboard else "0.0.9+")
    assert runs.psv(fleet, "down").returncode == 0
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)
