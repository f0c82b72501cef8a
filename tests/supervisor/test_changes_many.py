"""A change that makes bots unhealthy, on a fleet of fifty: the first one shows it, and the others never notice."""

from __future__ import annotations

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
