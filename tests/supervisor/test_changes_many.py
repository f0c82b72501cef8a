"""A change that makes bots unhealthy, on a fleet of fifty: the first one shows it, and the others never notice."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.supervisor.live import LiveFleet, eventually, spec_of

COUNT = 50
BEATS = """
import os, time
while True:
    if os.environ["VOICE"] != "none":
        print("beat", flush=True)
    time.sleep(0.3)
"""


def fifty(voice: str) -> str:
    """Return fifty bots of one type that are healthy while they say something."""
    head = '[types.t]\nscript = "beat.py"\nready = { after = "0.1s" }\nhealth = { log_silence = "3s" }\n'
    head += f'env = {{ VOICE = "{voice}" }}\n'
    return head + "".join(f'[bots.b{n:02}]\ntype = "t"\n' for n in range(COUNT))


def test_only_the_canary_is_disturbed(fleet: LiveFleet) -> None:
    """One restart there and one back; every other process is the same, the version that ran runs, and the reason is said everywhere."""
    fleet.write("beat.py", BEATS)
    fleet.canary_settle = "6s"
    fleet.configure(fifty("loud"))
    fleet.up()
    eventually(lambda: all(b["state"] == "RUNNING" for b in fleet.call("bot.list")), "all run")
    before = {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}
    began = time.time()
    result = fleet.apply(fifty("none"), reason="be quiet", now=False)
    assert (result["ok"], result["result"]) == (False, "rolled-back"), result
    after = {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}
    disturbed = [name for name in before if before[name] != after[name]]
    assert disturbed == ["b00"], result
    assert result["touched"] == ["b00"]
    assert spec_of(fleet, "b00")["env"]["VOICE"] == "loud"
    fleet.until("b00", state="RUNNING", restarts=0)
    assert fleet.call("config.running")["number"] == 1
    why = fleet.call("fleet.status")["config"]["rejected"]
    assert "b00" in why
    assert "log" in why
    (failed,) = [v for v in fleet.call("config.versions") if v["number"] == 2]
    assert failed["result"] == "rolled-back"
    assert failed["message"] == why
    assert failed["at"] >= began
    assert failed["reason"] == "be quiet"


def psv(fleet: LiveFleet, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command on this fleet."""
    argv = [sys.executable, "-P", "-m", "processsupervisor", "-C", str(fleet.folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_a_bad_release_disturbs_the_canary_alone(fleet: LiveFleet) -> None:
    """It becomes ready and dies then: the release that ran runs, in the canary too, and the bad one says why."""
    fleet.write("beat.py", BEATS)
    fleet.canary_settle = "6s"
    fleet.configure(fifty("loud").replace("[types.t]\n", '[types.t]\nsource = "releases"\n'))
    fleet.up()
    assert psv(fleet, "release", "create", "--note", "good").returncode == 0
    deployed = psv(fleet, "release", "deploy", "1", "--now")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    eventually(lambda: all(b["state"] == "RUNNING" for b in fleet.call("bot.list")), "all run")
    before = {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}
    fleet.write("beat.py", BEATS.replace("time.sleep(0.3)", "time.sleep(0.7)\n    raise SystemExit(3)"))
    assert psv(fleet, "release", "create", "--note", "bad").returncode == 0
    refused = psv(fleet, "release", "deploy", "2")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    after = {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}
    assert [name for name in before if before[name] != after[name]] == ["b00"]
    assert spec_of(fleet, "b00")["release"] == 1
    fleet.until("b00", state="RUNNING", restarts=0)
    version = fleet.call("config.versions")[0]
    assert version["result"] == "rolled-back"
    assert version["message"].startswith("b00")  # in its turn on a busy machine, else after it
    assert "code: exited with 3" in version["message"]
