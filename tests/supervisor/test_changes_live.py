"""Settings that a running bot takes over: no process is replaced, and one bot that refuses takes all back."""

from __future__ import annotations

from tests.supervisor.live import LiveFleet, eventually

BOT = """
import logging
from processsupervisor import Bot, Refused

bot = Bot()

@bot.on_config_change
async def changed(old, new):
    if new["greeting"] == "rude" and bot.name == "c":
        raise Refused("not me")
    print("taken", new["greeting"], flush=True)

@bot.on_ready
async def ready():
    print("ready", bot.config["greeting"], flush=True)
"""
DEAF = """
from processsupervisor import Bot

bot = Bot()
"""
NAMES = ("a", "b", "c", "d", "e", "f")


def natives(greeting: str, level: str = "info") -> str:
    """Return six bots with a hook."""
    head = f'[types.t]\nrun = "native:bot"\nlog_level = "{level}"\noptions = {{ greeting = "{greeting}" }}\n'
    return head + "".join(f'[bots.{name}]\ntype = "t"\n' for name in NAMES)


def pids(fleet: LiveFleet) -> dict[str, int]:
    """Return the processes of all bots."""
    return {bot["name"]: bot["pid"] for bot in fleet.call("bot.list")}


def test_live_settings_replace_no_process(fleet: LiveFleet) -> None:
    """Each bot's own handler has the new value when the change is through; an older value comes back by rollback."""
    fleet.write("native.py", BOT)
    fleet.configure(natives("hello"))
    fleet.up()
    before = pids(fleet)
    result = fleet.apply(natives("good day"))
    assert result["ok"], result
    assert sorted(result["touched"]) == sorted(NAMES)
    for name in NAMES:
        eventually(lambda name=name: "taken good day" in fleet.output(name), f"{name} has taken it")
    assert fleet.call("config.rollback", number=1, now=True)["ok"]
    for name in NAMES:
        eventually(lambda name=name: "taken hello" in fleet.output(name), f"{name} has taken it back")
    assert fleet.apply(natives("hello", "debug"))["ok"]
    assert pids(fleet) == before
    assert {bot["generation"] for bot in fleet.call("bot.list")} == {1}


def test_one_that_refuses_takes_all_back(fleet: LiveFleet) -> None:
    """Those that had taken it get the old value again; no process is replaced; the reason is the bot's own."""
    fleet.write("native.py", BOT)
    fleet.configure(natives("hello"))
    fleet.up()
    before = pids(fleet)
    result = fleet.apply(natives("rude"))
    assert (result["ok"], result["result"]) == (False, "rolled-back")
    assert "c: refused: not me" in result["message"]
    for name in ("a", "f"):
        eventually(lambda name=name: "taken hello" in fleet.output(name), f"{name} has the old value")
    assert pids(fleet) == before
    assert fleet.call("config.running")["number"] == 1


def test_a_bot_without_a_hook_is_restarted_for_its_options(fleet: LiveFleet) -> None:
    """It could not know; a log level alone restarts nobody."""
    fleet.write("native.py", DEAF)
    fleet.configure(natives("hello"))
    fleet.up()
    before = pids(fleet)
    assert fleet.apply(natives("hello", "debug"))["ok"]
    assert pids(fleet) == before
    assert fleet.apply(natives("good day", "debug"))["ok"]
    assert all(pids(fleet)[name] != before[name] for name in NAMES)


def test_psvd_dies_between_the_bots(fleet: LiveFleet) -> None:
    """Some have taken what is then undone: the next psvd brings them in line."""
    fleet.write("native.py", BOT.replace('print("taken"', 'await asyncio.sleep(0.5)\n    print("taken"').replace("import logging", "import asyncio"))
    fleet.configure(natives("hello"))
    fleet.up()
    before = pids(fleet)
    import threading

    from processsupervisor.kernel.errors import PsvError

    def ask() -> None:
        try:
            fleet.apply(natives("good day"))
        except PsvError:
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: "taken good day" in fleet.output("a"), "the first has taken it")
    fleet.kill_role("psvd")
    asking.join(30)
    eventually(lambda: not (fleet.paths.data / "change.json").exists() and fleet.answers(), "it is at its end")
    number = fleet.call("config.running")["number"]
    value = "hello" if number == 1 else "good day"
    for name in NAMES:
        last = lambda name=name: [line for line in fleet.output(name).splitlines() if line.startswith(("taken", "ready"))][-1]  # noqa: E731
        eventually(lambda last=last: last().endswith(value), f"{name} has {value}")
    assert pids(fleet) == before
