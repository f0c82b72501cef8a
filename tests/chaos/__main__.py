"""`python -m tests.chaos chaos|changing|availability|soak|inflight`: the long runs, each with a result file in benchmarks/results/."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from tests.chaos.availability import Availability
from tests.chaos.changing import Changing
from tests.chaos.chaos import Chaos
from tests.chaos.crew import HEAD, TAKES_S, crew, names
from tests.chaos.fleet import Shape, splits
from tests.chaos.inflight import DEATHS, Inflight
from tests.chaos.soak import Soak
from tests.chaos.verdict import table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def _keep(name: str, facts: dict[str, Any], result: dict[str, Any]) -> None:
    path = RESULTS / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps({"machine": facts, **result}, indent=1) + "\n")
    print(f"kept as {path}")


def _chaos(chosen: argparse.Namespace, folder: Path, seed: int) -> tuple[dict[str, Any], bool]:
    outcome = Chaos(folder, Shape(*splits(chosen.bots)), seed, say=_say).run(chosen.rounds)
    return {"bots": chosen.bots} | outcome.as_json(), not outcome.violations


def _changing(chosen: argparse.Namespace, folder: Path, seed: int) -> tuple[dict[str, Any], bool]:
    return Changing(folder, chosen.bots, seed, say=_say).run(chosen.rounds)


def _availability(chosen: argparse.Namespace, folder: Path, seed: int) -> tuple[dict[str, Any], bool]:
    return Availability(folder, chosen.bots, seed, say=_say).run(chosen.minutes or 60.0)


def _soak(chosen: argparse.Namespace, folder: Path, seed: int) -> tuple[dict[str, Any], bool]:
    minutes = chosen.minutes or 30.0
    return Soak(folder, chosen.bots, seed, warm_up_s=min(300.0, 10.0 * minutes), say=_say).run(minutes)


def _inflight(chosen: argparse.Namespace, folder: Path, seed: int) -> tuple[dict[str, Any], bool]:
    deaths = [death for death in DEATHS if not chosen.death or death.name.lower() in chosen.death]
    os.environ["TAKES_S"] = str(chosen.takes)  # of the bare ones
    with crew(folder, chosen.lane or names()) as (fleet, lanes):
        result, is_good = Inflight(fleet, lanes, seed, head=HEAD % chosen.takes, say=_say).run(chosen.rounds, deaths, peer_rounds=chosen.peer_rounds)
    _say(table(result))
    return {"handlers_take_s": chosen.takes} | result, is_good


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("what", choices=["chaos", "changing", "availability", "soak", "inflight"])
    parser.add_argument("--bots", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--lane", action="append", choices=names(), help="inflight: only this bot (may be given again)")
    parser.add_argument("--takes", type=float, default=TAKES_S, help="inflight: seconds that a handler takes")
    parser.add_argument("--peer-rounds", type=int, help="inflight: peers are there in so many rounds alone")
    parser.add_argument("--death", action="append", choices=[death.name.lower() for death in DEATHS], help="inflight: only this death")
    parser.add_argument("--no-save", action="store_true")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no fleet is left running
    facts = machine.facts()
    root = Path(tempfile.mkdtemp(prefix=f"psv-{chosen.what}-"))
    # Below the fleet's folder, so that every process of it, whatever its title, can be told by its environment.
    (root / "fleet" / "runtime").mkdir(parents=True)
    os.environ["PSV_RUNTIME_DIR"] = str(root / "fleet" / "runtime")
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1 << 31)
    _say(f"seed {seed}")
    run = {"chaos": _chaos, "changing": _changing, "availability": _availability, "soak": _soak, "inflight": _inflight}[chosen.what]
    result, is_good = run(chosen, root / "fleet", seed)
    if not chosen.no_save:
        _keep(chosen.what, facts, result)
    print(json.dumps({k: v for k, v in result.items() if k not in ("violations", "lanes")}, indent=1))
    print("all held" if is_good else f"VIOLATED; see {root}")
    if is_good:
        shutil.rmtree(root, ignore_errors=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
