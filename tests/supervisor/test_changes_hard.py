"""Changes of bots that others depend on, whose end ends the fleet, or that cannot run: none of them may hurt the others or stay stuck."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.supervisor.live import LiveFleet, eventually

SLEEPER = '[bots.{}]\ncommand = ["sleep", "1000"]\nenv = {{ COLOUR = "{}" }}\n'


def sleepers(colour: str, *names: str) -> str:
    """Return bots of one setting."""
    return "".join(SLEEPER.format(name, colour) for name in names)


def test_a_new_essential_bot_that_fails_does_not_end_the_fleet(fleet: LiveFleet) -> None:
    """What ran before goes on (I6)."""
    fleet.configure(sleepers("red", "a"))
    fleet.up()
    result = fleet.apply(sleepers("red", "a") + '[bots.new]\ncommand = ["sh", "-c", "exit 78"]\nessential = true\n')
    assert (result["ok"], result["result"]) == (False, "rolled-back"), result
    fleet.apply(sleepers("red", "a") + sleepers("red", "b"))
    assert [bot["state"] for bot in fleet.call("bot.list")] == ["RUNNING", "RUNNING"]


def test_a_bot_with_an_impossible_name_can_be_mended(fleet: LiveFleet) -> None:
    """It was tolerated at a cold start; without it the fleet changes like any."""
    fleet.configure(sleepers("red", "a") + '[bots."no name"]\ncommand = ["true"]\n')
    fleet.up()
    result = fleet.apply(sleepers("blue", "a"))
    assert result["ok"], result
    assert not [note for note in fleet.call("fleet.status")["notes"] if note["subject"] == "no name"]


def test_a_bot_that_goes_and_is_started_again_is_not_lost(fleet: LiveFleet) -> None:
    """A person's newer command wins: the change is taken back, and whoever was on its way down with it runs again."""
    slow = '[bots.slow]\ncommand = ["sh", "-c", "trap \'sleep 3; exit\' TERM; while :; do sleep 0.1; done"]\n'
    fleet.configure(sleepers("red", "a", "b") + slow)
    fleet.up()
    fleet.call("bot.stop", names=["b"])
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(fleet.apply, sleepers("red", "b").replace("bots.b", "bots.c"))
        fleet.until("slow", state="STOPPING")
        fleet.until("a", state="STOPPED")
        fleet.call("bot.start", names=["a"])
        result = asking.result(60)
    assert (result["ok"], result["result"]) == (False, "rolled-back"), result
    assert "a: is RUNNING again" in result["message"]
    eventually(lambda: [bot["state"] for bot in fleet.call("bot.list")] == ["RUNNING", "STOPPED", "RUNNING"], "all are as they were wanted")
    assert fleet.copies("a") == [fleet.bot("a")["pid"]]


def test_a_renamed_bot_ends_before_it_begins_under_its_new_name(fleet: LiveFleet) -> None:
    """They have one token: never both at once (I1). One that fails under its new name goes on under the old one."""
    fleet.write("bot.sh", "trap 'sleep 0.5; echo end >>said; exit' TERM\necho begin >>said\nwhile :; do sleep 0.1; done\n")
    bot = '[bots.{}]\ncommand = ["sh", "bot.sh"]\nready = {{ after = "0.2s" }}\n'
    fleet.configure(bot.format("old"))
    fleet.up()
    result = fleet.apply(bot.format("new"))
    assert result["ok"], result
    assert not fleet.apply(bot.format("newer") + '[bots.wrong]\ncommand = ["false"]\n')["ok"]
    fleet.until("new", state="RUNNING")
    assert [b["name"] for b in fleet.call("bot.list")] == ["new"]
    eventually(lambda: len((fleet.folder / "said").read_text().split()) == 7, "it has begun again")
    assert (fleet.folder / "said").read_text().split() == ["begin", "end"] * 3 + ["begin"]
