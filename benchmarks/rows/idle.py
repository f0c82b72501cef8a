"""Rows 6 to 8: what a supervisor weighs, costs and answers with no bots and with 200 that do nothing.

psv runs 200 native bots; the peers run 200 programs that import nothing. Only the supervisors' own processes are counted, of psv
keeper, psvd and logd as the budget says; its zygotes stand beside.
"""

from __future__ import annotations

import json
import time

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.goals import Goal, Row
from benchmarks.peers.base import Program, System
from benchmarks.peers.psv import Psv, native
from benchmarks.rows.starts import PRELOAD
from processsupervisor.ipc.client import connect_unix
from processsupervisor.kernel.paths import FleetPaths

_OWN_ROLES = ("keeper", "psvd", "logd")
_SETTLE_S = 5.0


def idle(bench: Bench) -> list[Row]:
    """Measure the three rows on one fleet a system, since they need the same 200 bots."""
    count = 20 if bench.quick else 200
    memory = Row(6, f"supervisor's own PSS with 0 and {count} bots", [Goal("at_0_mb", 60), Goal("at_200_mb", 80)])
    cpu = Row(7, f"CPU of the supervisor with {count} idle bots, % of a core", [Goal("own_percent", 0.5)])
    listing = Row(8, f"listing {count} bots", [Goal("command_ms_p50", 90), Goal("daemon_ms_p99", 5)])
    for kind in bench.systems():
        with bench.guarded(memory, kind.name):
            memory.measured[kind.name] = {"at_0_mb": _empty_mb(bench, kind)}
            _with_bots(bench, kind, count, (memory, cpu, listing))
            print(f"  {kind.name}: {[row.measured.get(kind.name) for row in (memory, cpu, listing)]}", flush=True)
    return [memory, cpu, listing]


def _own(system: System) -> list[int]:
    if isinstance(system, Psv):
        return [pid for role, pid in system.roles().items() if role in _OWN_ROLES]
    return system.own_pids()


def _empty_mb(bench: Bench, kind: type[System]) -> float:
    with bench.running(kind, []) as system:
        _wait_for_roots(system)
        system.wait_until_up(0)
        time.sleep(_SETTLE_S)
        return measure.pss_mb(_own(system))


def _wait_for_roots(system: System) -> None:
    deadline = time.monotonic() + 30
    while not system.roots() and time.monotonic() < deadline:
        time.sleep(0.1)


def _with_bots(bench: Bench, kind: type[System], count: int, rows: tuple[Row, Row, Row]) -> None:
    memory, cpu, listing = rows
    programs: list[Program] = bench.programs("light.py", count)
    if kind is Psv:
        programs = [native(f"b{n:04}", n) for n in range(count)]
    make = (lambda folder: Psv(folder, PRELOAD)) if kind is Psv else kind
    with bench.running(make, programs) as system:
        _wait_for_roots(system)
        system.wait_until_up(count)
        time.sleep(_SETTLE_S)
        own = _own(system)
        memory.measured[kind.name]["at_200_mb"] = measure.pss_mb(own)
        if isinstance(system, Psv):
            memory.measured[kind.name] |= {f"{role}_mb": measure.pss_mb([pid]) for role, pid in system.roles().items()}
        cpu.measured[kind.name] = {"own_percent": measure.cpu_percent(own, 5 if bench.quick else 30)}
        command = measure.time_command(system.list_command(), system.environment(), 5 if bench.quick else 20)
        listing.measured[kind.name] = {"command_ms_p50": command.p50}
        if isinstance(system, Psv):
            daemon = daemon_listing(system.paths, 500)
            listing.measured[kind.name] |= {"daemon_ms_p50": daemon.p50, "daemon_ms_p99": daemon.p99}
            bots = [bot["pid"] for bot in system.bots()]
            cpu.measured[kind.name]["bots_percent"] = measure.cpu_percent(bots, 5)


def daemon_listing(paths: FleetPaths, requests: int) -> measure.Spread:
    """Return the time from a bot.list request to the whole answer on one connection, in ms; the answer is not parsed."""
    samples = []
    with connect_unix(paths.socket("psv"), 30) as client, client.makefile("rb") as answers:
        for number in range(requests):
            began = time.perf_counter()
            client.sendall(json.dumps({"id": number, "op": "bot.list", "args": {}}).encode() + b"\n")
            answers.readline()
            samples.append(1000 * (time.perf_counter() - began))
    return measure.Spread.of(samples)
