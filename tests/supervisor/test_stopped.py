"""Own processes that are stopped or wedged instead of killed: they are replaced, or reported, and nobody is blamed for a silence of the asker."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from urllib.request import urlopen

from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.process.roles import PING_EVERY_S, WEDGED_AFTER_S

TWO = """
    [bots.forked]
    script = "main.py"
    ready = { after = "0s" }
    [bots.executed]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""
UNNOTICED_S = WEDGED_AFTER_S + PING_EVERY_S + 2.0


def _up(fleet: LiveFleet, *, web: bool = False) -> dict[str, int]:
    fleet.write("main.py", "import time\ntime.sleep(1000)\n")
    fleet.configure(TWO, web=web)
    fleet.up()
    return _pids(fleet)


def _pids(fleet: LiveFleet) -> dict[str, int]:
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("forked", "executed")}


def _role_pids(fleet: LiveFleet) -> dict[str, int]:
    return {str(p["role"]).partition("-")[0]: int(p["pid"]) for p in fleet.call("fleet.status")["processes"]}


def test_the_stopped_processes_of_a_dead_keeper_are_replaced_by_the_next_one(fleet: LiveFleet) -> None:
    """They are no children of its own and never say hello; what a bot writes meanwhile waits, and not a line of it is lost."""
    fleet.write("main.py", "import time\nfor n in range(10**9):\n    print(n, '.' * 90, flush=True)\n    time.sleep(0.01)\n")
    fleet.configure('[bots.writer]\nscript = "main.py"\nready = { after = "0s" }\n')
    fleet.up()
    pid = fleet.until("writer", state="RUNNING")["pid"]
    before = _role_pids(fleet)
    for role in ("logd", "psvd"):
        os.kill(before[role], signal.SIGSTOP)
    fleet.kill_role("keeper")
    fleet.up()
    for role in ("logd", "psvd"):
        eventually(lambda pid=before[role]: not Path(f"/proc/{pid}").exists(), f"{role} is killed")
    eventually(lambda: fleet.output("writer").count("\n") > 1200, "all that waited, and what came after it")
    numbers = [int(line.split()[0]) for line in fleet.output("writer").splitlines()]
    assert numbers == list(range(len(numbers)))
    assert fleet.bot("writer")["pid"] == pid


def test_every_own_process_that_is_stopped_is_replaced(fleet: LiveFleet) -> None:
    """psvd, logd, web and the zygote at once: killed after the patience, made again; bots keep their pids, and can be started."""
    pids = _up(fleet, web=True)
    eventually(lambda: fleet.call("fleet.status")["web"], "the page")
    before = _role_pids(fleet)
    for role in ("logd", "web", "zygote", "psvd"):
        os.kill(before[role], signal.SIGSTOP)
    for role in ("logd", "web", "zygote", "psvd"):
        eventually(lambda pid=before[role]: not Path(f"/proc/{pid}").exists(), f"{role} is killed")
    url = eventually(lambda: fleet.answers() and fleet.call("fleet.status")["web"], "the page of a new web process")
    with urlopen(url, timeout=10) as page:
        assert page.status == 200
    after = _role_pids(fleet)
    assert after["keeper"] == before["keeper"]
    assert all(after[role] != before[role] for role in ("logd", "web", "psvd"))
    assert _pids(fleet) == pids
    assert fleet.call("bot.restart", names=["forked"])[0]["ok"]
    eventually(lambda: len(fleet.copies("forked")) == 1, "one process")


def test_a_keeper_that_was_stopped_blames_nobody_for_the_silence(fleet: LiveFleet) -> None:
    """psvd says so meanwhile, starts nothing and burns nothing; when the keeper goes on, psvd and logd are the same processes."""
    pids = _up(fleet)
    before = _role_pids(fleet)
    os.kill(before["keeper"], signal.SIGSTOP)
    try:
        eventually(lambda: any("gives no answer" in n["message"] for n in fleet.call("fleet.status")["notes"]), "psvd reports it", UNNOTICED_S)
        refused = fleet.call("bot.restart", names=["executed"])[0]
        assert not refused["ok"]
        assert fleet.bot("executed")["pid"] == pids["executed"]
        os.kill(pids["executed"], signal.SIGKILL)
        fleet.until("executed", state="RECOVERING", pid=None)
    finally:
        os.kill(before["keeper"], signal.SIGCONT)
    assert fleet.until("executed", state="RUNNING")["generation"] == 2
    assert fleet.call("fleet.status")["notes"] == []
    after = _role_pids(fleet)
    assert {r: after[r] for r in ("keeper", "psvd", "logd", "zygote")} == {r: before[r] for r in ("keeper", "psvd", "logd", "zygote")}
    assert _pids(fleet)["forked"] == pids["forked"]


def test_a_fleet_goes_down_while_its_keeper_is_stopped(fleet: LiveFleet) -> None:
    """The bots stop at once; the keeper leaves when it goes on, and starts nothing again."""
    _up(fleet)
    keeper = fleet.role_pid("keeper")
    os.kill(keeper, signal.SIGSTOP)
    try:
        fleet.call("fleet.down")
        eventually(lambda: fleet.copies("forked") + fleet.copies("executed") == [], "the bots are down")
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert fleet.keeper is not None
    fleet.keeper.wait(15)
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_a_fleet_that_went_down_stays_down_when_its_keeper_goes_on_much_later(fleet: LiveFleet) -> None:
    """psvd has left by then: what it said before is read all the same, although the keeper first finds that it is gone."""
    _up(fleet)
    keeper = fleet.role_pid("keeper")
    psvd = os.pidfd_open(fleet.role_pid("psvd"))
    os.kill(keeper, signal.SIGSTOP)
    try:
        eventually(lambda: any("gives no answer" in n["message"] for n in fleet.call("fleet.status")["notes"]), "psvd knows", UNNOTICED_S)
        fleet.call("fleet.down")
        eventually(lambda: select.select([psvd], [], [], 0)[0], "psvd has left")
    finally:
        os.close(psvd)
        os.kill(keeper, signal.SIGCONT)
    assert fleet.keeper is not None
    assert fleet.keeper.wait(15) == 0
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_a_short_stop_changes_nothing(fleet: LiveFleet) -> None:
    """Every own process is stopped for two seconds and goes on as the same process."""
    pids = _up(fleet, web=True)
    eventually(lambda: "web" in _role_pids(fleet), "the web process")
    before = _role_pids(fleet)
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2)  # the law is about this very time
    for pid in before.values():
        os.kill(pid, signal.SIGCONT)
    eventually(fleet.answers, "psvd answers")
    time.sleep(PING_EVERY_S + 0.5)  # and about what the next round of pings does
    assert _role_pids(fleet) == before
    assert _pids(fleet) == pids
