"""`python -m benchmarks.tasks [--only SYSTEM]... [--task TASK]... [--quick] [--no-save]`: do the tasks, print the table, keep it.

Kept are a JSON in benchmarks/results/ and the table in docs/reference/operator-tasks.md, and only of a whole run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.tasks.page import table, write_page
from benchmarks.tasks.situation import Situation, Sizes
from benchmarks.tasks.systems import SYSTEMS, System
from benchmarks.tasks.work import TASKS, Done, Task, carry_out

RESULTS = Path(__file__).parent.parent / "results"
QUICK = Sizes(shop=4, news=2, old=3)


def do_tasks(kind: type[System], sizes: Sizes, tasks: Sequence[Task] = TASKS) -> list[Done]:
    """Do the tasks under one system, those in its own fleet one after the other, those that move bots here each in a new folder."""
    found = _in_one_folder(kind, sizes, [task for task in tasks if not task.moves])
    for task in tasks:
        found += _in_one_folder(kind, sizes, [task]) if task.moves else []
    order = [task.name for task in TASKS]
    return sorted(found, key=lambda done: order.index(done.task))


def _in_one_folder(kind: type[System], sizes: Sizes, tasks: Sequence[Task]) -> list[Done]:
    if not tasks:
        return []
    folder = Path(tempfile.mkdtemp(prefix="tasks-"))
    situation = Situation(folder, sizes)
    system = kind(situation)
    moves = tasks[0].moves
    found = []
    try:
        if moves:
            situation.begin_old()
        system.begin(is_empty=moves)
        if not moves:
            bots = [f"{name}-{number:02}" for name, count in system.kinds.items() for number in range(1, count + 1)]
            situation.wait(lambda: situation.run_all(bots), f"the bots of {kind.name} run")
        for task in tasks:
            done = _guarded(task, system)
            counted = f"{done.commands} commands, {done.edits} edits, {done.seconds:.1f} s"
            print(f"  {kind.name}: {task.name}: {done.failure or counted}", flush=True)
            found.append(done)
    finally:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(situation.end)
            stack.callback(system.end)
    return found


def _guarded(task: Task, system: System) -> Done:
    try:
        return carry_out(task, system)
    except Exception as err:
        traceback.print_exc()
        return Done(task.name, system.name, failure=f"{type(err).__name__}: {err}".splitlines()[0][:300])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description="Five operator tasks under psv and its peers.")
    parser.add_argument("--only", action="append", choices=[kind.name for kind in SYSTEMS], help="only this system (may be given again)")
    parser.add_argument("--task", action="append", choices=[task.name for task in TASKS], help="only this task (may be given again)")
    parser.add_argument("--quick", action="store_true", help="fewer bots: to see that it works, not to quote")
    parser.add_argument("--no-save", action="store_true", help="write neither the JSON nor the page")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no supervisor is left running
    kinds = [kind for kind in SYSTEMS if not chosen.only or kind.name in chosen.only]
    versions = {kind.name: kind.version() for kind in kinds}
    sizes = QUICK if chosen.quick else Sizes()
    facts = machine.facts()
    print(f"{facts}\n{versions}", flush=True)
    tasks = [task for task in TASKS if not chosen.task or task.name in chosen.task]
    results = [done for kind in kinds if versions[kind.name] for done in do_tasks(kind, sizes, tasks)]
    print("\n" + table(results, sizes, versions))
    if not (chosen.no_save or chosen.quick or chosen.only or chosen.task):
        path = RESULTS / f"tasks-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        rows = [asdict(done) | {"commands": done.commands, "edits": done.edits, "lines": done.lines} for done in results]
        path.write_text(json.dumps({"machine": facts, "versions": versions, "sizes": asdict(sizes), "tasks": rows}, indent=1) + "\n")
        write_page(results, sizes, versions, facts)
        print(f"kept as {path.name}")
    return 1 if any(done.failure for done in results) else 0


if __name__ == "__main__":
    sys.exit(main())
