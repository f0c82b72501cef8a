"""Make docs/pictures/top.svg: the real `psv top` on a real fleet of small shop bots that are talked to, as Textual exports its screen.

Run `python docs/pictures/top.py [FOLDER]` in the checkout. Writes top.svg into FOLDER (docs/pictures), loads nothing from elsewhere, and
leaves nothing running.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from processsupervisor.cli.chat import ask_once
from processsupervisor.cli.top.app import TopApp
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths

PICTURES = Path(__file__).resolve().parent
COLUMNS, LINES = 118, 26
PATIENCE_S = 90.0
TALKED_FOR_S = 26.0

BOTS = '''\
import logging
import os

from processsupervisor import Bot, Message

bot = Bot()
log = logging.getLogger(os.environ["PSV_BOT"])


@bot.on_message
async def answer(message: Message) -> str:
    words = sorted(str(number) for number in range(len(message.text) * 1000))
    log.info("order %s noted", message.text)
    return f"Your order {message.text} is on its way, {words[0]}."
'''
WORKER = """\
import sys
import time

work_s, name = float(sys.argv[1]), sys.argv[2]
number = 0
while True:
    number += 1
    until = time.thread_time() + work_s * (1 + number % 4) / 2
    while time.thread_time() < until:
        pass
    print(f"{name} {number} done", flush=True)
    time.sleep(0.8)
"""
CONFIG = """\
[fleet]
name = "shop"
[web]
enabled = false
[global]
hang_after = "6s"
[bots.orders]
run = "bots:bot"
[bots.support]
run = "bots:bot"
[bots.returns]
run = "bots:bot"
[bots.newsletter]
run = "bots:bot"
[bots.invoices]
script = "worker.py"
args = ["0.05", "invoice"]
[bots.stock-watch]
script = "worker.py"
args = ["0.3", "look at the stock"]
[bots.archive]
script = "worker.py"
args = ["0.004", "page"]
autostart = false
[bots.bridge]
command = ["sh", "-c", "echo 'no route to the courier' >&2; sleep 1; exit 75"]
restart = { initial = "8s", base = "8s" }
ready = { after = "0s" }
"""
PACE_S = {"orders": 0.4, "support": 1.3, "returns": 5.0}


def psv(folder: Path, *words: str) -> None:
    """Run the command on the fleet."""
    argv = [sys.executable, "-m", "processsupervisor", "-C", str(folder), *words]
    subprocess.run(argv, check=False, capture_output=True, timeout=PATIENCE_S)


def talk(paths: FleetPaths, bot: str, every_s: float, is_over: threading.Event) -> None:
    """Order something now and then."""
    number = 1000
    while not is_over.wait(every_s):
        number += 7
        try:
            ask_once(paths, bot, f"A-{number}", "picture", 20.0)
        except PsvError:
            continue  # the bots are not there yet, or no more


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Let the screen run until a condition holds; ends the script with `what` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE_S:g} s: {what}")
        await pilot.pause(0.1)


async def photograph(folder: Path) -> str:
    """Return the screen as SVG, when there is something to see on it."""
    app = TopApp(FleetPaths(folder), every_s=1.0)
    async with app.run_test(size=(COLUMNS, LINES)) as pilot:
        await until(pilot, lambda: len(app.model.bots) == 8, "the bots")
        began = time.monotonic()
        await pilot.press("space", "space", "j", "j", "space")
        await until(pilot, lambda: time.monotonic() - began > TALKED_FOR_S, "some time")
        await until(pilot, lambda: app.model.bots["orders"].messages_per_min, "messages a minute")
        await until(pilot, lambda: app.model.bots["bridge"].state == "RECOVERING", "a bot that waits")
        return app.export_screenshot(title="psv top", simplify=True)


def draw(svg: str) -> str:
    """Return the SVG without fonts from elsewhere, and the same for the same screen."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", "psv-top", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main(pictures: Path) -> int:
    """Make the picture."""
    pictures.mkdir(exist_ok=True)
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory(prefix="psv-pictures-") as name:
        folder, is_over = Path(name) / "shop", threading.Event()
        folder.mkdir()
        os.environ["PSV_RUNTIME_DIR"] = str(Path(name) / "runtime")
        for file, text in (("bots.py", BOTS), ("worker.py", WORKER), ("fleet.toml", CONFIG)):
            (folder / file).write_text(text)
        psv(folder, "up", "--detach")
        talkers = [threading.Thread(target=talk, args=(FleetPaths(folder), bot, pace, is_over)) for bot, pace in PACE_S.items()]
        try:
            for talker in talkers:
                talker.start()
            (pictures / "top.svg").write_text(draw(asyncio.run(photograph(folder))), encoding="utf-8")
        finally:
            is_over.set()
            for talker in talkers:
                talker.join()
            psv(folder, "down")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES))
