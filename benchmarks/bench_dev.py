"""psv dev: from the end of a save to the new code at work. Prints JSON; the goal is a median of at most 300 ms.

    python benchmarks/bench_dev.py [--saves 30] [--folder DIR] [--write FILE]

A native bot is at work when psvd has heard that it is ready (its hook on_start has run and written the time), a script when its first
line behind its imports runs. `light` imports nothing but what it needs; `real` imports aiogram and openai. Each save is of a module
beside the bot, and changes one line. Both processes read the same clock, so nothing of the screen is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import facts

GOAL_MS = 300.0
APART_S = 1.2
PATIENCE_S = 60.0
REAL = "import aiogram\nimport openai\n"
NATIVE = """\
import os, time
{more}
from processsupervisor import Bot
import part
bot = Bot()


@bot.on_start
async def begin() -> None:
    with open("times", "a") as file:
        file.write(f"{{part.NUMBER}} {{time.time()}}\\n")
"""
SCRIPT = """\
import os, time
{more}
import part
with open("times", "a") as file:
    file.write(f"{{part.NUMBER}} {{time.time()}}\\n")
time.sleep(86400)
"""
KINDS = {
    "native, light": NATIVE.format(more=""),
    "native, real": NATIVE.format(more=REAL),
    "script, light": SCRIPT.format(more=""),
    "script, real": SCRIPT.format(more=REAL),
}


def measure(folder: Path, program: str, saves: int) -> dict[str, object]:
    """Run `psv dev` on one program, save `saves` times, and return the milliseconds from each save to the new code at work."""
    folder.mkdir()
    (folder / "bots.py").write_text(program)
    (folder / "part.py").write_text("NUMBER = 0\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PSV_")} | {"PSV_RUNTIME_DIR": str(folder / "runtime")}
    with (folder / "screen").open("wb") as out:
        dev = subprocess.Popen(
            [sys.executable, "-m", "processsupervisor", "dev", "bots.py"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        _time_of(folder, 0, dev)
        time.sleep(3 * APART_S)
        samples = []
        for number in range(1, saves + 1):
            time.sleep(APART_S)
            with (folder / "part.py").open("w") as file:
                file.write(f"NUMBER = {number}\n")
            saved = time.time()
            samples.append(1000 * (_time_of(folder, number, dev) - saved))
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(30)
    ordered = sorted(samples)
    return {"saves": saves, "p50_ms": round(statistics.median(ordered), 1), "p90_ms": round(ordered[int(0.9 * (saves - 1))], 1),
            "worst_ms": round(ordered[-1], 1)}


def _time_of(folder: Path, number: int, dev: subprocess.Popen[bytes]) -> float:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and dev.poll() is None:
        if (folder / "times").exists():
            for line in (folder / "times").read_text().splitlines():
                found, _, at = line.partition(" ")
                if found == str(number) and at:
                    return float(at)
        time.sleep(0.005)
    raise SystemExit(f"save {number} did not come to work:\n{(folder / 'screen').read_text()}")


def main() -> int:
    """Measure every kind; the status is 1 when a median misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=30)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    machine = facts()
    folder = Path(tempfile.mkdtemp(prefix="psv-dev-", dir=options.folder))
    try:
        kinds = {name: measure(folder / str(number), text, options.saves) for number, (name, text) in enumerate(KINDS.items())}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = [kind["p50_ms"] for kind in kinds.values()]
    is_reached = all(isinstance(median, float) and median <= GOAL_MS for median in medians)
    result = json.dumps({"machine": machine, "goal_p50_ms": GOAL_MS, "is_reached": is_reached, "save_to_new_code": kinds}, indent=2)
    print(result)
    if options.write:
        options.write.write_text(result + "\n")
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
