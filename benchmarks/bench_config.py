"""Configuration of a large fleet: `psv check` of 1,000 bots, the whole command. Prints JSON; the goal is a median of at most 0.5 s.

    python benchmarks/bench_config.py --check [--bots 1000] [--times 15] [--folder DIR] [--write FILE]

Four fleets that say about the same: a table for each bot, one template, tables in a hundred included files, and tables with a mistake in
every tenth. Each bot has a script, an env file, a token that it locks and options. No peer has a check that looks beyond syntax.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import facts

GOAL_S = 0.5
FILES = 100
HEAD = """[fleet]
name = "large"
[global]
env_file = ".env"
[types.base]
script = "main.py"
stop.timeout = "5s"
[types.shop]
extends = "base"
lock = [{ env = "BOT_TOKEN" }]
"""
BODY = """type = "shop"
env = {{ BOT_TOKEN = "{0}:token" }}
options = {{ greeting = "hello from {0}" }}
"""


def table(n: int, more: str = "") -> str:
    """Return the table of one bot."""
    return f"[bots.b{n}]\n" + BODY.format(n) + more


def fleets(bots: int) -> dict[str, dict[str, str]]:
    """Return the files of each fleet by its name."""
    parts = [range(first, bots, FILES) for first in range(FILES)]
    included = {f"bots.d/{number:03}.toml": "".join(map(table, part)) for number, part in enumerate(parts)}
    wrong = "".join(table(n, "greeting = 1\n" if n % 10 == 0 else "") for n in range(bots))
    return {
        "a table for each bot": {"fleet.toml": HEAD + "".join(map(table, range(bots)))},
        "one template": {"fleet.toml": f'{HEAD}[bots."b{{n}}"]\ncount = {bots}\n' + BODY.format("{n}")},
        "a hundred included files": {"fleet.toml": 'include = ["bots.d/*.toml"]\n' + HEAD, **included},
        "a mistake in every tenth": {"fleet.toml": HEAD + wrong},
    }


def measure(folder: Path, files: dict[str, str], times: int) -> dict[str, object]:
    """Write the fleet, check it `times` times, and return seconds of the clock and of the processor."""
    for name, text in {"main.py": "import asyncio\n", ".env": "A=1\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PSV_")}
    taken, used = [], []
    for _ in range(times + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "processsupervisor", "-C", str(folder), "check"], env=environment, capture_output=True, check=False
        )
        taken.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode in (0, 1), done.stderr
    taken, used = sorted(taken[1:]), sorted(used[1:])  # the first one fills caches
    return {
        "status": done.returncode,
        "p50_s": round(statistics.median(taken), 3), "best_s": round(taken[0], 3), "worst_s": round(taken[-1], 3),
        "cpu_p50_s": round(statistics.median(used), 3),
    }  # fmt: skip


def main() -> int:
    """Measure what is asked for; the status is 1 when a median misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", required=True, help="measure psv check")
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    machine = facts()
    measured = {}
    for name, files in fleets(options.bots).items():
        folder = Path(tempfile.mkdtemp(prefix="psv-config-", dir=options.folder))
        try:
            measured[name] = measure(folder, files, options.times)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    is_reached = all(isinstance(row["p50_s"], float) and row["p50_s"] <= GOAL_S for row in measured.values())
    facts_of_run = {"machine": machine, "bots": options.bots, "goal_p50_s": GOAL_S, "is_reached": is_reached, "psv_check": measured}
    result = json.dumps(facts_of_run, indent=2)
    print(result)
    if options.write:
        options.write.write_text(result + "\n")
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
