"""psv top: what a screen of 200 bots costs at its default refresh, its own process and what it makes psvd do. Prints JSON.

    python benchmarks/bench_top.py [--bots 200] [--seconds 30] [--folder DIR] [--write FILE]

It runs in a real pseudo terminal of 160 x 50, drained as a terminal would. `idle` are bots that do nothing; `chatty` ones write a line and
work for 2 ms each second, so that every line of the table changes at every refresh; `all_selected` are these with the logs of all of them
followed. psvd's share is its CPU with the screen less that without one, measured before. The goal is both together at most 5 % of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure
from benchmarks.machine import facts
from benchmarks.peers.base import PROGRAMS, Program
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.starts import PRELOAD

GOAL_PERCENT = 5.0
_SETTLE_S = 8.0
_COLUMNS, _LINES = 160, 50


@contextmanager
def screen(system: Psv) -> Iterator[tuple[subprocess.Popen[bytes], int, list[int]]]:
    """Run `psv top` in a terminal; yields the process, the terminal's own end, and a list whose only item counts the bytes drawn."""
    import fcntl
    import struct
    import termios

    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    environment = system.environment() | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    top = subprocess.Popen(system.argv("top"), stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True)
    os.close(its)
    drawn = [0]

    def drain() -> None:
        try:
            while data := os.read(ours, 65536):
                drawn[0] += len(data)
        except OSError:
            pass  # it has ended

    threading.Thread(target=drain, daemon=True).start()
    try:
        yield top, ours, drawn
    finally:
        top.send_signal(signal.SIGTERM)
        top.wait(30)
        os.close(ours)


def cost(system: Psv, seconds: float, keys: str = "") -> dict[str, float]:
    """Return percents of one core: of psvd without a screen, of the screen, and what it adds to psvd."""
    psvd = system.roles()["psvd"]
    alone = measure.cpu_percent([psvd], seconds)
    with screen(system) as (top, terminal, drawn):
        time.sleep(_SETTLE_S)
        os.write(terminal, keys.encode())
        time.sleep(_SETTLE_S)
        before = {pid: measure.cpu_s(pid) for pid in (psvd, top.pid)}
        bytes_before, began = drawn[0], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        used = {pid: 100 * (measure.cpu_s(pid) - cpu) / took for pid, cpu in before.items()}
        memory, bytes_per_s = measure.pss_mb([top.pid]), (drawn[0] - bytes_before) / took
    caused = max(0.0, used[psvd] - alone)
    found = {"psvd_alone_percent": alone, "top_percent": used[top.pid], "psvd_caused_percent": caused}
    found["together_percent"] = used[top.pid] + caused
    return {name: round(value, 2) for name, value in (found | {"memory_mb": memory, "drawn_bytes_per_s": bytes_per_s}).items()}


@contextmanager
def fleet(folder: Path, programs: list[Program]) -> Iterator[Psv]:
    """Run `programs` under psv, ready and settled."""
    folder.mkdir()
    system = Psv(folder, PRELOAD)
    try:
        system.start(programs)
        system.wait_until_up(len(programs), 300.0)
        time.sleep(_SETTLE_S)
        yield system
    finally:
        system.stop()


def main() -> int:
    """Measure every case; the status is 1 when one misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    machine = facts()
    folder = Path(tempfile.mkdtemp(prefix="psv-top-", dir=options.folder))
    cases: dict[str, dict[str, float]] = {}
    try:
        with fleet(folder / "idle", [native(f"bot-{n:03}", n) for n in range(options.bots)]) as system:
            cases["idle"] = cost(system, options.seconds)
        chatty = [Program(f"bot-{n:03}", PROGRAMS / "chatty.py", {}) for n in range(options.bots)]
        with fleet(folder / "chatty", chatty) as system:
            cases["chatty"] = cost(system, options.seconds)
            cases["all_selected"] = cost(system, options.seconds, keys="a")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    is_reached = all(case["together_percent"] <= GOAL_PERCENT for case in cases.values())
    facts_and_goal = {"machine": machine, "bots": options.bots, "goal_percent": GOAL_PERCENT, "is_reached": is_reached}
    result = json.dumps({**facts_and_goal, "cases": cases}, indent=2)
    print(result)
    if options.write:
        options.write.write_text(result + "\n")
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
