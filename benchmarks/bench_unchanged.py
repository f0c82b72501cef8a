"""Seven unchanged bots (examples/unchanged) under psv and under supervisord: memory, time to ready, time to stop. Prints JSON.

    python benchmarks/bench_unchanged.py [--runs 3] [--copies 1 --copies 5] [--folder DIR] [--no-save]

Both run the same files with the same interpreter against the same doubles of the networks. *Ready*: from the start of the supervisor to
the bot's first long poll, its identification at the gateway, its JOIN, or its web server that accepts. *Memory*: PSS after every bot has
answered a message; a zygote is counted to the bots that came from it. *Stop*: from the request to the end of the process, each bot alone,
by the same signal. A result is kept in benchmarks/results, and its tables are written into docs/reference/unchanged.md.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.doubles.discord import make_venv
from tests.unchanged.crew import EXAMPLES, KINDS, Kind, Networks, networks

from benchmarks import machine, measure
from benchmarks.peers.base import Program, System
from benchmarks.peers.psv import Psv
from benchmarks.peers.supervisord import Supervisord
from benchmarks.unchangedpage import write_page

RESULTS = Path(__file__).parent / "results"
SYSTEMS: tuple[type[System], ...] = (Psv, Supervisord)
OWN = "supervisor"
_PATIENCE_S = 300.0
_SETTLE_S = 5.0

Figures = dict[str, dict[str, float]]
"""{kind or OWN or "all": {metric: value}}; units stand in the metrics' names."""


@dataclass(frozen=True, eq=False)
class Copy:
    """One bot of one run."""

    kind: Kind
    number: int
    program: Program


@dataclass
class Bench:
    """One machine with the doubles up; `python` is the interpreter of the Discord bots' virtual environment."""

    networks: Networks
    python: Path
    folder: Path | None

    def crew(self, copies: int) -> list[Copy]:
        """Return so many bots of each kind, each with a token of its own."""
        return [Copy(kind, number, self._program(kind, number)) for kind in KINDS for number in range(copies)]

    def _program(self, kind: Kind, number: int) -> Program:
        env = self.networks.environment(kind, number, _unused_port)
        ready = kind.ready.format(port=env["PORT"]) if "PORT" in env else kind.ready
        python = str(self.python) if kind.network == "discord" else ""
        folder = EXAMPLES / kind.name
        name = f"{kind.name}-{number}"
        return Program(name, folder / "main.py", env, python=python, cwd=folder, ready=ready, stop_signal=kind.stop_signal)

    def run(self, make: type[System], copies: int) -> Figures:
        """Start `copies` of each kind under one supervisor, have each answer, weigh them, stop each, and end everything."""
        crew = self.crew(copies)
        before = {copy.program.name: self._times(copy) for copy in crew}
        folder = Path(tempfile.mkdtemp(prefix="unchanged-", dir=self.folder))
        system = make(folder)
        try:
            began = time.monotonic()
            system.start([copy.program for copy in crew])
            ready = {copy: self._ready(copy, before[copy.program.name]) - began for copy in crew}
            if isinstance(system, Psv):
                system.wait_until_ready(_PATIENCE_S)
            for copy in crew:
                self.networks.answers(copy.kind, copy.number, f"hello from {began}", _PATIENCE_S)
            time.sleep(_SETTLE_S)
            figures = weigh(system, crew)
            for kind in KINDS:
                own = [copy for copy in crew if copy.kind is kind]
                figures[kind.name]["ready_s"] = statistics.median(ready[copy] for copy in own)
                figures[kind.name]["stop_ms"] = statistics.median(1000 * stop(system, copy) for copy in own)
            figures["all"]["ready_s"] = max(ready.values())
            return figures
        finally:
            system.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def _times(self, copy: Copy) -> int:
        return len(self.networks.of(copy.kind).ready.get(self.networks.token(copy.kind, copy.number), ()))

    def _ready(self, copy: Copy, before: int) -> float:
        return self.networks.of(copy.kind).wait_for_ready(self.networks.token(copy.kind, copy.number), before + 1, _PATIENCE_S)


def weigh(system: System, crew: list[Copy]) -> Figures:
    """Return what a bot of each kind weighs, with its part of the zygotes, what the supervisor itself does, and all together."""
    pids = {copy: pid_of(system, copy) for copy in crew}
    zygotes = zygotes_of(system, crew)
    zygote_mb = {pid: measure.pss_mb([pid]) for pid in set(zygotes.values())}
    sharers = {pid: sum(other == pid for other in zygotes.values()) for pid in zygote_mb}
    figures: Figures = {}
    for kind in KINDS:
        own = [copy for copy in crew if copy.kind is kind]
        alone = [measure.pss_mb(measure.tree(pids[copy])) for copy in own]
        parts = [zygote_mb[zygotes[copy]] / sharers[zygotes[copy]] for copy in own if copy in zygotes]
        figures[kind.name] = {"bot_mb": statistics.mean(alone), "zygote_mb": sum(parts) / len(own)}
    others = [pid for pid in system.own_pids() if pid not in zygote_mb]
    figures[OWN] = {"mb": measure.pss_mb(others), "zygotes": len(zygote_mb)}
    figures["all"] = {"mb": measure.pss_mb(measure.tree(*system.roots()))}
    return figures


def zygotes_of(system: System, crew: list[Copy]) -> dict[Copy, int]:
    """Return the zygote that each bot was forked from."""
    if not isinstance(system, Psv):
        return {}
    roles = system.roles()
    with system.client() as client:
        via = {bot["name"]: str(bot["via"]) for bot in client.call("bot.status")}
    return {copy: roles["zygote-" + via[copy.program.name].removeprefix("zygote ")] for copy in crew}


def pid_of(system: System, copy: Copy) -> int:
    if isinstance(system, Supervisord):
        return int(system.proxy().supervisor.getProcessInfo(copy.program.name)["pid"])  # type: ignore[arg-type, call-overload, index]
    return system.pid_of(copy.program)


def stop(system: System, copy: Copy) -> float:
    """Ask for the stop of one bot and return the seconds until its process has ended."""
    end = os.pidfd_open(pid_of(system, copy))
    asking = threading.Thread(target=_ask_to_stop, args=(system, copy.program.name))
    try:
        began = time.monotonic()
        asking.start()
        if not select.select([end], [], [], 30)[0]:
            raise TimeoutError(f"{copy.program.name} did not end")
        return time.monotonic() - began
    finally:
        os.close(end)
        asking.join(30)


def _ask_to_stop(system: System, name: str) -> None:
    if isinstance(system, Psv):
        with system.client() as client:
            client.call("bot.stop", {"names": [name]}, timeout_s=30)
    elif isinstance(system, Supervisord):
        system.proxy().supervisor.stopProcess(name, False)


def medians(runs: list[Figures]) -> Figures:
    """Return the median of each metric over the runs."""
    found: Figures = {}
    for name, values in runs[0].items():
        found[name] = {metric: round(statistics.median(run[name][metric] for run in runs), 3) for metric in values}
    return found


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--copies", type=int, action="append")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-save", action="store_true", help="neither a JSON in benchmarks/results nor the tables in the page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no supervisor is left running
    versions = {kind.name: kind.version() for kind in SYSTEMS}
    result: dict[str, object] = {"machine": machine.facts(), "versions": versions, "runs": options.runs}
    place = Path(tempfile.mkdtemp(prefix="unchanged-venv-", dir=options.folder))
    try:
        with networks() as found:
            bench = Bench(found, make_venv(place / "venv"), options.folder)
            bench.run(Supervisord, 1)  # not counted: it writes what Python compiles, and reads the libraries from the disk
            result["copies"] = {str(copies): measured(bench, copies, options.runs) for copies in options.copies or [1, 5]}
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(result, indent=1))
    if not options.no_save:
        path = RESULTS / f"unchanged-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        write_page(result)
    return 0


def measured(bench: Bench, copies: int, runs: int) -> dict[str, Figures]:
    """Return the medians of each system; the systems take turns, so that what the machine does besides meets all of them."""
    found: dict[str, list[Figures]] = {kind.name: [] for kind in SYSTEMS}
    for number in range(runs):
        for kind in SYSTEMS:
            figures = bench.run(kind, copies)
            found[kind.name].append(figures)
            print(f"{copies} of each, run {number + 1}, {kind.name}: {figures['all']}", file=sys.stderr, flush=True)
    return {name: medians(of_one) for name, of_one in found.items()}


if __name__ == "__main__":
    sys.exit(main())
