"""Changing the configuration of a running fleet: only what changed is touched, and what does not become ready is taken back."""

from __future__ import annotations

import json

import pytest
from tests.supervisor.live import LiveFleet, eventually, spec_of

from processsupervisor.kernel.errors import PsvError

SLEEPER = """
[bots.{name}]
command = ["sleep", "1000"]
env = {{ COLOUR = "{colour}" }}
"""


def sleepers(**colours: str) -> str:
    """Return one command bot each."""
    return "".join(SLEEPER.format(name=name, colour=colour) for name, colour in colours.items())


def colour(fleet: LiveFleet, bot: str) -> str:
    """Return the setting that the running process was started with."""
    return str(spec_of(fleet, bot)["env"]["COLOUR"])


def test_only_what_changed_is_touched(fleet: LiveFleet) -> None:
    """One bot has another environment, one is new, one is gone, one is as it was."""
    fleet.configure(sleepers(same="red", other="red", gone="red"))
    fleet.up()
    before = {name: fleet.bot(name)["pid"] for name in ("same", "other")}
    assert fleet.call("config.running")["number"] == 1
    result = fleet.apply(sleepers(same="red", other="blue", new="green"), reason="colours")
    assert (result["ok"], result["result"], result["number"]) == (True, "applied", 2), result
    assert sorted(result["touched"]) == ["gone", "new", "other"]
    bots = {bot["name"]: bot for bot in fleet.call("bot.list")}
    assert sorted(bots) == ["new", "other", "same"]
    assert bots["same"]["pid"] == before["same"]
    assert bots["other"]["pid"] != before["other"]
    assert {bot["state"] for bot in bots.values()} == {"RUNNING"}
    assert (colour(fleet, "other"), colour(fleet, "new")) == ("blue", "green")
    running = fleet.call("config.running")
    assert (running["number"], running["reason"], running["summary"]["removed"]) == (2, "colours", ["gone"])
    assert json.loads(fleet.paths.applied.read_bytes())["number"] == 2
    assert not fleet.call("fleet.status")["config_differs"]


def test_a_bot_that_does_not_become_ready_takes_all_back(fleet: LiveFleet) -> None:
    """The one that fails has its old settings again at once; so have those that had their turn before; the new one is gone."""
    fleet.configure(sleepers(a="red", b="red", c="red"))
    fleet.up()
    wrong = sleepers(a="blue", new="blue", c="red") + '[bots.b]\ncommand = ["false"]\n'
    result = fleet.apply(wrong, reason="wrong")
    assert (result["ok"], result["result"]) == (False, "rolled-back"), result
    assert "b: " in result["message"]
    for name in "abc":
        fleet.until(name, state="RUNNING")
        assert colour(fleet, name) == "red"
    assert sorted(bot["name"] for bot in fleet.call("bot.list")) == ["a", "b", "c"]
    assert fleet.copies("new") == []
    assert fleet.call("config.running")["number"] == 1
    status = fleet.call("fleet.status")["config"]
    assert status["differs"]
    assert "b: " in status["rejected"]
    with pytest.raises(PsvError) as refused:
        fleet.apply(wrong)
    assert refused.value.code == "rejected"
    assert fleet.bot("b")["restarts"] == 0


def test_versions_survive_and_are_rolled_back(fleet: LiveFleet) -> None:
    """Each applied state has a number over psvd's death and the fleet's end; an earlier one comes back with a new number."""
    fleet.configure(sleepers(a="red"))
    fleet.up()
    assert fleet.apply(sleepers(a="blue"))["number"] == 2
    psvd = fleet.kill_role("psvd")
    eventually(lambda: fleet.answers() and fleet.role_pid("psvd") not in (0, psvd), "a new psvd")
    assert fleet.call("config.running")["number"] == 2
    with pytest.raises(PsvError) as moved:
        fleet.apply(sleepers(a="green"), base=1)
    assert moved.value.code == "version-moved"
    result = fleet.call("config.rollback", number=1, base=2, reason="red was better", now=True)
    assert (result["number"], result["result"]) == (3, "applied")
    assert colour(fleet, "a") == "red"
    assert [v["number"] for v in fleet.call("config.versions", limit=10)] == [3, 2, 1]
    fleet.down()
    fleet.up()
    assert fleet.call("config.running")["number"] == 3
    assert colour(fleet, "a") == "red"
