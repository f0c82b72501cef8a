"""Laws of the screen on a real fleet: it shows what is, its keys do what they say, and no death of psvd ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest
from tests.cli.conftest import PSV, environment
from tests.cli.top.conftest import logs, picture, said, states, summary, until
from tests.supervisor.live import LiveFleet, eventually
from textual.widgets import Static

from processsupervisor.cli.chat import ask_once
from processsupervisor.cli.top.app import TopApp
from processsupervisor.cli.top.dialogs import Ask, Inspect

pytestmark = pytest.mark.slow

BOTS = """
    from processsupervisor import Bot, Message
    bot = Bot()
    @bot.on_message
    async def answer(message: Message) -> str:
        return message.text
"""
CONFIG = """
    [bots.anna]
    run = "bots:bot"
    hang_after = "6s"
    [bots.loud]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n of loud; sleep 0.2; done"]
    ready = { after = "0s" }
    [bots.still]
    command = ["sh", "-c", "echo token-of-still $API_TOKEN; exec sleep 1000"]
    env = { API_TOKEN = "hidden-5417" }
    ready = { after = "0s" }
"""
SIZE = (120, 36)


@pytest.fixture
def fleet(live: LiveFleet) -> LiveFleet:
    """Three bots that run: a native one, one that writes, one that does nothing."""
    live.write("bots.py", BOTS)
    live.configure(CONFIG)
    live.up()
    return live


async def test_it_shows_what_is_and_obeys_the_keys(fleet: LiveFleet) -> None:
    """Rows, logs, filter, selection, the question before many are stopped, start, pause, a refusal, inspect: in one sitting."""
    app = TopApp(fleet.paths, every_s=0.5)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: states(pilot) == dict.fromkeys(("anna", "loud", "still"), "RUNNING"), "all bots run")
        await until(pilot, lambda: all(bot.cpu_percent is not None and bot.memory_bytes for bot in app.model.bots.values()), "figures")
        assert "healthy" in picture(pilot) and "3 RUNNING" in summary(pilot)

        await pilot.press("j")
        await until(pilot, lambda: any("of loud" in line for line in logs(pilot)), "the logs of the bot under the cursor")
        newest = len(logs(pilot))
        await until(pilot, lambda: len(logs(pilot)) > newest, "they go on")
        await pilot.press("j")
        await until(pilot, lambda: any("token-of-still" in line for line in logs(pilot)), "the logs of the next one")
        assert not any("hidden-5417" in line for line in logs(pilot))

        await pilot.press("slash", *"STI")
        await until(pilot, lambda: list(states(pilot)) == ["still"], "the filter")
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(states(pilot)) == 3, "no filter")

        await pilot.press("home", "j", "space", "space")
        assert app.selected == {"loud", "still"}
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, Ask), "no question")
        assert fleet.bot("loud")["state"] == "RUNNING"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question again")
        await pilot.press("y")
        await until(pilot, lambda: states(pilot) == {"anna": "RUNNING", "loud": "STOPPED", "still": "STOPPED"}, "both are stopped")
        await pilot.press("s")
        await until(pilot, lambda: set(states(pilot).values()) == {"RUNNING"}, "both are started")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, Ask), "a pause of two is asked")
        await pilot.press("y")
        await until(pilot, lambda: "cannot pause" in said(pilot), "the refusal of a program")

        await pilot.press("escape", "home", "p")
        await until(pilot, lambda: states(pilot)["anna"] == "PAUSED", "one is paused without a question")
        await pilot.press("u")
        await until(pilot, lambda: states(pilot)["anna"] == "RUNNING", "it goes on")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, Inspect) and "wanted up" in picture(pilot), "all of psv bot status")
        await pilot.press("escape", "q")
    assert app.return_code == 0


async def test_messages_are_counted_by_the_bot(fleet: LiveFleet) -> None:
    """What a native bot has answered is in its object of bot.list and on the screen; a program counts none."""
    app = TopApp(fleet.paths, every_s=0.5)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.model.bots.get("anna") is not None and app.model.bots["anna"].row["messages"] == 0, "nought so far")
        for number in range(4):
            await asyncio.to_thread(ask_once, fleet.paths, "anna", f"message {number}", "c", 20.0)
        await until(pilot, lambda: app.model.bots["anna"].row["messages"] == 4, "four are counted")
        await until(pilot, lambda: app.model.bots["anna"].messages_per_min, "a rate")
        assert app.model.bots["loud"].row["messages"] is None and app.model.bots["loud"].messages_per_min is None
        assert fleet.detail("anna")["messages"] == 4


async def test_it_lives_over_every_death(fleet: LiveFleet) -> None:
    """psvd killed: the next one is found. psvd and keeper killed: it says so and waits, logs and figures go on, and it comes back."""
    app = TopApp(fleet.paths, every_s=0.5)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: set(states(pilot).values()) == {"RUNNING"}, "all bots run")
        pids = {name: bot.row["pid"] for name, bot in app.model.bots.items()}
        fleet.kill_role("psvd")
        await asyncio.to_thread(eventually, fleet.answers, "another psvd")
        fleet.call("bot.restart", names=["still"])
        await until(pilot, lambda: app.model.bots["still"].row["pid"] not in (None, pids["still"]), "the next psvd's news")
        assert app.model.bots["anna"].row["pid"] == pids["anna"]

        psvd = fleet.role_pid("psvd")
        assert fleet.keeper is not None
        fleet.keeper.kill()
        fleet.keeper.wait()
        os.kill(psvd, signal.SIGKILL)
        await until(pilot, lambda: "no supervisor, waiting" in summary(pilot), "that nobody answers")
        await pilot.press("home", "j")
        await until(pilot, lambda: logs(pilot) and "of loud" in logs(pilot)[-1], "logs without a supervisor")
        known = len(app.model.bots["loud"].trend)
        await until(pilot, lambda: len(app.model.bots["loud"].trend) > known, "figures without a supervisor")
        await pilot.press("x")
        await until(pilot, lambda: "no supervisor runs" in said(pilot), "why the key did nothing")
        await asyncio.to_thread(fleet.up)
        await until(pilot, lambda: "3 RUNNING" in summary(pilot), "that it is back")


async def test_it_waits_for_a_fleet_and_sees_bots_come_and_go(live: LiveFleet) -> None:
    """Begun before the fleet, with a bot added and removed while it runs; a fleet without bots says how to add one."""
    live.configure("")
    app = TopApp(live.paths, every_s=0.5)

    def bare() -> str:
        return str(app.screen.query_one("#bare", Static).render())

    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "no supervisor, waiting" in summary(pilot) and "psv up" in bare(), "that there is no fleet")
        await asyncio.to_thread(live.up)
        await until(pilot, lambda: "psv bot add" in bare() and "0 bots" in summary(pilot), "that there are no bots")
        await asyncio.to_thread(_psv, live, "bot", "add", "late", "--", "sleep", "1000")
        await until(pilot, lambda: states(pilot) == {"late": "RUNNING"}, "the bot that was added")
        await pilot.press("x")
        await until(pilot, lambda: states(pilot) == {"late": "STOPPED"}, "that it is stopped")
        await asyncio.to_thread(_psv, live, "bot", "rm", "late")
        await until(pilot, lambda: not states(pilot), "that it is gone")


async def test_a_terminal_that_is_too_small_says_so(live: LiveFleet) -> None:
    """Below 40 x 8 it says what it needs; at any size from there on nothing breaks."""
    live.configure("")
    app = TopApp(live.paths)
    async with app.run_test(size=(30, 5)) as pilot:
        await until(pilot, lambda: "psv top needs 40" in picture(pilot).replace("\n", " "), "that it is too small")
        for size in ((1, 1), (40, 8), (300, 90), (60, 12)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await until(pilot, lambda: "waiting" in picture(pilot), "the screen")


def _psv(live: LiveFleet, *words: str) -> None:
    env = environment(PSV_RUNTIME_DIR=os.environ["PSV_RUNTIME_DIR"])
    subprocess.run([*PSV, "-C", str(live.folder), *words], env=env, check=True, capture_output=True, timeout=60)
