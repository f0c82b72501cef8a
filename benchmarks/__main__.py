"""`python -m benchmarks [--row N]... [--only SYSTEM]... [--quick] [--no-save]`: measure, print the tables, keep a JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.bench import SYSTEMS, Bench
from benchmarks.botapi import BotApi
from benchmarks.goals import Row
from benchmarks.rows import adoption, chat, hangs, idle, kills, neighbours, starts

RESULTS = Path(__file__).parent / "results"
PARTS = {"fleet": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "chat": (11, 12, 14)}
ROWS = tuple(number for numbers in PARTS.values() for number in numbers)
_OF_PSV_ALONE = (2, 3, 9, 10, 11, 12, 14)


def measure_rows(bench: Bench, wanted: list[int]) -> list[Row]:
    rows: list[Row] = []
    singles = ((1, starts.scripts), (2, starts.natives), (3, starts.thousand), (4, kills.kills), (5, adoption.adoption),
               (9, hangs.detection), (10, hangs.others), (11, chat.rates), (12, chat.memory), (14, neighbours.neighbours))
    for number, measure in singles:
        if number in wanted and (number not in _OF_PSV_ALONE or not bench.only or "psv" in bench.only):
            print(f"row {number} ...", flush=True)
            rows.append(measure(bench))
    if {6, 7, 8} & set(wanted):
        print("rows 6 to 8 ...", flush=True)
        rows += [row for row in idle.idle(bench) if row.number in wanted]
    return sorted(rows, key=lambda row: row.number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The fleet rows of the budgets, psv beside its peers.")
    parser.add_argument("--row", type=int, action="append", choices=ROWS, help="only this row (may be given again)")
    parser.add_argument("--part", choices=list(PARTS), help="the rows of this part: fleet, or chat (row 13 is `make inflight`)")
    parser.add_argument("--only", action="append", choices=[kind.name for kind in SYSTEMS], help="only this system (may be given again)")
    parser.add_argument("--quick", action="store_true", help="fewer bots and samples: to see that it works, not to quote")
    parser.add_argument("--no-save", action="store_true", help="write no JSON into benchmarks/results/")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no supervisor is left running
    facts = machine.facts()
    with BotApi() as api:
        bench = Bench(api, chosen.only or (), chosen.quick)
        versions = {kind.name: kind.version() for kind in SYSTEMS}
        print(f"{facts}\n{versions}", flush=True)
        rows = measure_rows(bench, chosen.row or list(PARTS.get(chosen.part, ROWS)))
    print("\n" + "\n\n".join(row.table() for row in rows))
    missed = [f"row {row.number} {text}" for row in rows for text in row.missed()]
    print("\n" + ("goals missed:\n  " + "\n  ".join(missed) if missed else "all goals met"))
    if not (chosen.no_save or chosen.quick):
        path = RESULTS / f"{chosen.part or 'fleet'}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": facts, "versions": versions, "rows": [row.as_json() for row in rows]}, indent=1) + "\n")
        print(f"kept as {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
