"""Changes of settings that meet something else: a person's command, a dead keeper, a bot that is a task, one that was broken before."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from tests.supervisor.live import LiveFleet, eventually, spec_of
from tests.supervisor.test_changes_many import psv

from processsupervisor.kernel.errors import PsvError

SLEEPER = '[bots.{}]\ncommand = ["sleep", "1000"]\nenv = {{ COLOUR = "{}" }}\n'


def sleepers(colour: str, *names: str) -> str:
    """Return bots of one setting."""
    return "".join(SLEEPER.format(name, colour) for name in names)


def test_a_stopped_bot_takes_its_settings_at_its_next_start(fleet: LiveFleet) -> None:
    """Nobody starts it for a change; nor is it in the way of one."""
    fleet.configure(sleepers("red", "a", "b"))
    fleet.up()
    fleet.call("bot.stop", names=["a"])
    result = fleet.apply(sleepers("blue", "a", "b"))
    assert (result["ok"], result["touched"]) == (True, ["b"])
    assert fleet.bot("a")["state"] == "STOPPED"
    fleet.call("bot.start", names=["a"])
    assert spec_of(fleet, "a")["env"]["COLOUR"] == "blue"


def test_a_persons_stop_wins(fleet: LiveFleet) -> None:
    """A bot that is stopped in its turn is let go; the change goes on without it."""
    slow = '[bots.a]\ncommand = ["sleep", "1000"]\nenv = {{ COLOUR = "{}" }}\nready = {{ after = "30s" }}\n'
    fleet.configure(sleepers("red", "a", "b"))
    fleet.up()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(fleet.apply, slow.format("blue") + sleepers("blue", "b"))
        eventually(lambda: fleet.bot("a")["state"] == "STARTING" and fleet.bot("a")["generation"] == 2, "a has its turn")
        fleet.call("bot.stop", names=["a"])
        result = asking.result(60)
    assert result["ok"], result
    assert "a" in result["left"]
    assert (fleet.bot("a")["state"], fleet.bot("b")["state"]) == ("STOPPED", "RUNNING")


def test_another_kind_of_program(fleet: LiveFleet) -> None:
    """A command becomes a script and a native bot becomes a command: nothing of before is left."""
    fleet.write("old.py", "import time\nprint('script', flush=True)\ntime.sleep(1000)\n")
    fleet.configure('[bots.a]\ncommand = ["sleep", "1000"]\n')
    fleet.up()
    pid = fleet.bot("a")["pid"]
    result = fleet.apply('[bots.a]\nscript = "old.py"\n')
    assert result["ok"], result
    found = fleet.until("a", state="RUNNING", kind="script")
    assert found["pid"] != pid
    assert fleet.copies("a") == [found["pid"]]


def test_a_bot_becomes_a_task_and_a_bot_again(fleet: LiveFleet) -> None:
    """It ends, waits for its time, runs by command, and is a bot again."""
    fleet.configure(sleepers("red", "a"))
    fleet.up()
    task = '[bots.a]\ncommand = ["true"]\nschedule = { every = "1h" }\n'
    result = fleet.apply(task)
    assert result["ok"], result
    fleet.until("a", state="TERMINATED")
    assert fleet.call("task.run", names=["a"], wait=True)[0]["ok"]
    assert fleet.apply(sleepers("blue", "a"))["ok"]
    fleet.until("a", state="RUNNING")


def test_a_schedule_changes(fleet: LiveFleet) -> None:
    """A task is due by its new schedule at once."""
    fleet.configure('[bots.a]\ncommand = ["true"]\nschedule = { every = "1h" }\n')
    fleet.up()
    assert fleet.apply('[bots.a]\ncommand = ["true"]\nschedule = { every = "1s" }\n')["ok"]
    eventually(lambda: fleet.call("task.history", names=["a"]), "it has run")


def test_a_broken_bot_is_mended_by_a_change(fleet: LiveFleet) -> None:
    """It is tried at once, whatever it was waiting for; one that stays broken takes nothing back of the others."""
    broken = '[bots.{}]\ncommand = ["false"]\nrestart = {{ window = [{{ count = 1, within = "1h" }}] }}\n'
    fleet.configure(broken.format("a") + broken.format("b") + sleepers("red", "c"))
    fleet.up()
    for name in "ab":
        fleet.until(name, state="FAILED", reason="crash-loop")
    still = broken.format("b").replace('"false"', '"sh", "-c", "exit 3"')
    result = fleet.apply(sleepers("blue", "a") + still + sleepers("blue", "c"))
    assert result["ok"], result
    assert "did not run before" in result["left"]["b"]
    fleet.until("a", state="RUNNING")
    assert spec_of(fleet, "b")["command"] == ["sh", "-c", "exit 3"]
    assert spec_of(fleet, "c")["env"]["COLOUR"] == "blue"


def test_the_keeper_dies_in_the_middle(fleet: LiveFleet) -> None:
    """Nothing can be started: the next bot's turn does not come, and what had its own goes back as soon as there is a keeper."""
    slow = '[bots.a]\ncommand = ["sleep", "1000"]\nenv = { COLOUR = "blue" }\nready = { after = "2s" }\n'
    fleet.configure(sleepers("red", "a", "b", "c"))
    fleet.up()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(fleet.apply, slow + sleepers("blue", "b", "c"))
        eventually(lambda: fleet.bot("a")["state"] == "STARTING" and fleet.bot("a")["generation"] == 2 and fleet.bot("a")["pid"], "a is born")
        assert fleet.keeper is not None
        fleet.keeper.kill()
        fleet.keeper.wait(5)
        fleet.until("a", state="RUNNING", generation=2)
        fleet.up(wait=False)
        result = asking.result(120)
    assert (result["ok"], result["result"]) == (False, "rolled-back"), result
    for name in "abc":
        found = fleet.until(name, state="RUNNING")
        assert spec_of(fleet, name)["env"]["COLOUR"] == "red"
        assert fleet.copies(name) == [found["pid"]]


def test_one_change_at_a_time(fleet: LiveFleet) -> None:
    """The second is refused while the first is carried out, and nothing of it happens."""
    slow = '[bots.a]\ncommand = ["sleep", "1000"]\nenv = { COLOUR = "blue" }\nready = { after = "3s" }\n'
    fleet.configure(sleepers("red", "a"))
    fleet.up()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(fleet.apply, slow)
        eventually(lambda: fleet.call("config.running")["rollout"], "it is under way")
        with pytest.raises(PsvError) as refused:
            fleet.call("config.rollback", number=1)
        assert refused.value.code == "rollout-runs"
        assert asking.result(60)["ok"]


def test_whoever_asked_may_leave(fleet: LiveFleet) -> None:
    """The change goes on to its end."""
    fleet.configure(sleepers("red", "a", "b"))
    fleet.up()
    asking = threading.Thread(target=lambda: fleet.apply(sleepers("blue", "a", "b")), daemon=True)
    asking.start()
    eventually(lambda: fleet.call("config.running")["number"] == 2, "version 2 runs")
    asking.join(30)


def test_the_page_comes_and_goes(fleet: LiveFleet) -> None:
    """[web] is taken over without a touch of any bot."""
    fleet.configure(sleepers("red", "a"))
    fleet.up()
    pid = fleet.bot("a")["pid"]
    result = fleet.apply(sleepers("red", "a"), web=True)
    assert result["ok"], result
    url = eventually(lambda: fleet.call("fleet.status")["web"], "there is a page")
    with urlopen(url, timeout=10) as page:
        assert page.status == 200
    assert fleet.apply(sleepers("red", "a"))["ok"]
    eventually(lambda: fleet.call("fleet.status")["web"] is None, "there is none")
    eventually(lambda: fleet.role_pid("web") == 0, "nor its process")
    assert fleet.bot("a")["pid"] == pid


def test_a_dead_psvd_in_the_middle_with_everything_else(fleet: LiveFleet) -> None:
    """psvd, logd and a zygote are killed while a change is carried out; the fleet is on one version."""
    fleet.write("old.py", "import time\ntime.sleep(1000)\n")
    scripts = "".join(f'[bots.{n}]\nscript = "old.py"\nenv = {{ COLOUR = "{{0}}" }}\n' for n in ("a", "b", "c", "d"))
    fleet.configure(scripts.replace("{0}", "red"))
    fleet.up()

    def ask() -> None:
        try:
            fleet.apply(scripts.replace("{0}", "blue"))
        except PsvError:
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: fleet.call("config.running")["rollout"], "it is under way")
    for role in ("zygote", "logd", "psvd"):
        if pid := fleet.role_pid(role):
            os.kill(pid, signal.SIGKILL)
    asking.join(60)

    def one_version() -> bool:
        try:
            number = fleet.call("config.running")["number"]
            bots = fleet.call("bot.list")
        except PsvError:
            return False
        colours = {spec_of(fleet, bot["name"])["env"]["COLOUR"] for bot in bots}
        is_through = not (fleet.paths.data / "change.json").exists()
        return is_through and all(b["state"] == "RUNNING" for b in bots) and colours == ({"red"} if number == 1 else {"blue"})

    eventually(one_version, "one version as a whole", 60)


def test_psv_up_over_bots_that_run_on_applies_nothing(fleet: LiveFleet) -> None:
    """keeper and psvd die in the middle of a change, and the file is another one: the bots are taken over with what ran, and all is undone."""
    slow = '[bots.a]\ncommand = ["sleep", "1000"]\nenv = { COLOUR = "blue" }\nready = { after = "30s" }\n'
    fleet.configure(sleepers("red", "a", "b"))
    fleet.up()

    def ask() -> None:
        with pytest.raises(PsvError):
            fleet.apply(slow + sleepers("blue", "b"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    eventually(lambda: fleet.bot("a")["state"] == "STARTING" and fleet.bot("a")["generation"] == 2, "a has its turn")
    psvd, pid = fleet.role_pid("psvd"), fleet.bot("b")["pid"]
    assert fleet.keeper is not None
    for victim in (fleet.keeper.pid, psvd):
        os.kill(victim, signal.SIGKILL)
    fleet.keeper.wait(10)
    asking.join(60)
    fleet.write("fleet.toml", "this is = no TOML [")
    taken = psv(fleet, "up", "--detach", "--wait")
    assert taken.returncode == 0, taken.stderr
    assert "fleet.toml differs from what the bots that are taken over run by" in taken.stderr
    eventually(lambda: not (fleet.paths.data / "change.json").exists(), "the change is undone", 60)
    fleet.until("a", state="RUNNING")
    assert {name: spec_of(fleet, name)["env"]["COLOUR"] for name in "ab"} == {"a": "red", "b": "red"}
    assert fleet.bot("b")["pid"] == pid
    assert [v["result"] for v in fleet.call("config.versions")] == ["rolled-back", "applied"]
