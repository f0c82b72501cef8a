"""The keeper is killed with -9: bots, psvd and logd go on, nothing is started without it, and a new one takes all over."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import NoSupervisor

TWO = """
    [bots.a]
    script = "main.py"
    ready = { log = "tick 1$" }
    [bots.b]
    command = ["sleep", "1000"]
    ready = { after = "0s" }
"""


def _kill_keeper(fleet: LiveFleet) -> None:
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGKILL)
    fleet.keeper.wait(5)
    eventually(lambda: any(n["subject"] == "keeper" for n in fleet.call("fleet.status")["notes"]), "psvd notices")


def _bring_keeper(fleet: LiveFleet) -> None:
    fleet.up(wait=False)
    eventually(lambda: fleet.answers() and not any(n["subject"] == "keeper" for n in fleet.call("fleet.status")["notes"]), "psvd meets the new keeper")


def _up(fleet: LiveFleet, *, web: bool = False) -> dict[str, int]:
    fleet.write("main.py", "import time\nfor n in range(100000):\n    print('tick', n, flush=True)\n    time.sleep(0.01)\n")
    fleet.configure(TWO, web=web)
    fleet.up()
    return {name: fleet.until(name, state="RUNNING")["pid"] for name in ("a", "b")}


def test_a_new_keeper_takes_over_and_can_end_everything(fleet: LiveFleet) -> None:
    """Same pids before and after, psvd and logd stay, and down leaves nothing behind."""
    pids = _up(fleet)
    own = fleet.role_pid("psvd"), fleet.role_pid("logd")
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    eventually(lambda: (fleet.role_pid("psvd"), fleet.role_pid("logd")) == own, "psvd and logd are taken over")
    assert {n: fleet.bot(n)["pid"] for n in pids} == pids
    assert fleet.call("bot.restart", names=["a"])[0]["ok"], "the new keeper forks through a zygote of its own"
    assert fleet.copies("a") == [fleet.bot("a")["pid"]]
    assert fleet.down() == {"stopped": 2}
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_output_goes_on_through_the_change_of_keepers(fleet: LiveFleet) -> None:
    """logd and the bot hold the FIFO while no keeper does; the new one opens it again."""
    _up(fleet)
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    fleet.call("bot.stop", names=["a"])
    ticks = [int(line.split()[1]) for line in fleet.output("a").splitlines() if line.startswith("tick ")]
    assert ticks == list(range(len(ticks)))
    assert len(ticks) > 10


def test_without_a_keeper_nothing_is_started_and_nothing_is_stopped_for_it(fleet: LiveFleet) -> None:
    """A restart is refused before the bot is touched; a bot that dies waits for the new keeper without burning restarts."""
    pids = _up(fleet)
    _kill_keeper(fleet)
    refused = fleet.call("bot.restart", names=["a"])[0]
    assert not refused["ok"]
    assert "no keeper" in refused["message"]
    assert fleet.bot("a")["pid"] == pids["a"]
    os.kill(pids["b"], signal.SIGKILL)
    fleet.until("b", state="RECOVERING", pid=None, generation=1)
    _bring_keeper(fleet)
    assert fleet.until("b", state="RUNNING")["generation"] == 2


def test_without_keeper_and_psvd_the_command_line_says_who_runs_on(fleet: LiveFleet) -> None:
    """Nobody can be stopped then, so the way out is named; after an orderly end no file names a process that is gone."""
    pids = _up(fleet)
    _kill_keeper(fleet)
    fleet.kill_role("psvd")
    eventually(lambda: not fleet.answers(), "nobody answers")
    with pytest.raises(NoSupervisor) as caught:
        ControlClient(fleet.paths)
    assert "2 bots run on without one" in caught.value.message
    assert "take over with: psv -C" in caught.value.hint
    _bring_keeper(fleet)
    assert {name: fleet.bot(name)["pid"] for name in pids} == pids
    fleet.down()
    assert fleet.paths.role_lock("psvd").read_text().split() == ["nobody"]


def test_a_start_that_the_keepers_death_cut_off_burns_no_restart(fleet: LiveFleet) -> None:
    """Nobody was born, so nobody has failed: the one exit is that of the process that was killed."""
    pids = _up(fleet)
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGSTOP)
    os.kill(pids["b"], signal.SIGKILL)
    fleet.until("b", state="STARTING", generation=2)  # its start waits for an answer of the keeper
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    found = fleet.until("b", state="RUNNING")
    assert found["restarts"] == 1
    assert fleet.detail("b")["last_exit"]["generation"] == 1


def test_the_page_comes_back_under_the_new_keeper(fleet: LiveFleet) -> None:
    """The old web process is ended and the new one answers; down ends that one too."""
    _up(fleet, web=True)
    eventually(lambda: fleet.call("fleet.status")["web"], "the page")
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    url = eventually(lambda: fleet.call("fleet.status")["web"], "the page again")
    with urlopen(url, timeout=10) as page:
        assert page.status == 200
    fleet.down()
    eventually(lambda: fleet.processes() == [], "nothing is left", 5)


def test_the_page_comes_back_when_psvd_died_with_the_keeper(fleet: LiveFleet) -> None:
    """No one can tell the new psvd of the old web process; it is known by its lock, ended and replaced."""
    _up(fleet, web=True)
    before = eventually(lambda: fleet.call("fleet.status")["web"] and fleet.role_pid("web"), "the page")
    psvd = fleet.role_pid("psvd")
    assert fleet.keeper is not None
    fleet.keeper.send_signal(signal.SIGKILL)
    fleet.keeper.wait(5)
    os.kill(psvd, signal.SIGKILL)
    fleet.up(wait=False)
    url = eventually(lambda: fleet.call("fleet.status")["web"], "the page again")
    with urlopen(url, timeout=10) as page:
        assert page.status == 200
    assert fleet.role_pid("web") != before


@pytest.mark.parametrize("role", ["psvd", "logd"])
def test_a_role_of_the_old_keeper_is_replaced_when_it_dies(fleet: LiveFleet, role: str) -> None:
    """No SIGCHLD tells of it; its broken link and its free lock do."""
    pids = _up(fleet)
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    before = eventually(lambda: fleet.role_pid(role), f"{role} is listed")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: fleet.answers() and Path(f"/proc/{fleet.role_pid(role)}").exists() and fleet.role_pid(role) != before, f"a new {role}")
    assert {n: fleet.until(n, state="RUNNING")["pid"] for n in pids} == pids


def test_the_next_zygote_is_there_before_a_bot_needs_it(fleet: LiveFleet) -> None:
    """After the death of a zygote, and after that of the keeper, a bot that ends does not wait for a preload; nothing of old epochs stays in run/."""
    _up(fleet)
    killed = fleet.kill_role("zygote")
    eventually(lambda: fleet.role_pid("zygote") not in (0, killed), "a new zygote, though nobody asked for it")
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    for _ in range(2):
        _kill_keeper(fleet)
        _bring_keeper(fleet)
        eventually(lambda: fleet.role_pid("zygote"), "a zygote of the new keeper")
        assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    fleet.kill_role("zygote")
    eventually(lambda: fleet.role_pid("zygote"), "a zygote again")
    assert len(list(fleet.paths.own_logs.glob("zygote-*.err"))) == 1


def test_up_wins_over_a_down_whose_keeper_died(fleet: LiveFleet) -> None:
    """The newer command counts: what was being stopped for the end of the fleet runs again, once."""
    fleet.configure("""
        [global]
        ready = { log = "up" }
        [bots.stubborn]
        command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
        stop = { timeout = "4s" }
        [bots.quick]
        command = ["sh", "-c", "echo up; exec sleep 1000"]
    """)
    fleet.up()
    with ControlClient(fleet.paths, timeout_s=20) as client:
        stream = client.stream("fleet.down", {"timeout_s": 6.0})
        next(stream)
        assert fleet.keeper is not None
        fleet.keeper.send_signal(signal.SIGKILL)
        fleet.keeper.wait(5)
        fleet.up(wait=False)
    for name in ("stubborn", "quick"):
        fleet.until(name, state="RUNNING")
        eventually(lambda name=name: fleet.copies(name) and fleet.bot(name)["pid"] in fleet.copies(name), f"{name} runs")
    assert not fleet.call("fleet.status")["notes"]


def test_a_ready_line_counts_although_keeper_and_logd_died_in_the_start(fleet: LiveFleet) -> None:
    """The next logd looks for it, and the next keeper passes it on: no start runs into its timeout for want of them."""
    fleet.configure("""
        [bots.slow]
        command = ["sh", "-c", "echo first; sleep 2; echo up; exec sleep 1000"]
        ready = { log = "^up$" }
        start_timeout = "15s"
        [bots.early]
        command = ["sh", "-c", "echo up; exec sleep 1000"]
        ready = { log = "^up$" }
        start_timeout = "15s"
    """)
    fleet.up(wait=False)
    eventually(lambda: fleet.output("slow"), "the slow one has begun")
    fleet.kill_role("logd")
    _kill_keeper(fleet)
    _bring_keeper(fleet)
    for name in ("slow", "early"):
        assert fleet.until(name, state="RUNNING")["generation"] == 1
