"""Reads what a tree of processes costs: proportional memory, CPU time, members. Linux only, /proc only."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def parents() -> dict[int, int]:
    """Return {pid: parent's pid} of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def tree(*roots: int) -> list[int]:
    """Return the pids of `roots` and everything below them."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    members, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        members.append(pid)
        waiting += children.get(pid, [])
    return members


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of `pid`; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def private_bytes(pid: int) -> int:
    """Return the memory of `pid` that no other process shares; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def main_cpu_s(pid: int) -> float:
    """Return the CPU seconds of the first thread of `pid` so far; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def pss_mb(pids: Iterable[int]) -> float:
    """Return the proportional memory of all `pids` together in MB (10^6 is not meant: 1 MB = 2^20)."""
    return sum(pss_bytes(pid) for pid in pids) / 2**20


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that the threads of `pid` have used so far; 0 when it is gone.

    From schedstat, in nanoseconds: the ticks of /proc/PID/stat miss a process that wakes for less than one.
    """
    used_ns = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            used_ns += int((task / "schedstat").read_text().split()[0])
    except OSError:
        pass
    return used_ns / 1e9


def cpu_percent(pids: Sequence[int], seconds: float) -> float:
    """Watch `pids` for `seconds` and return the share of one core that they used, in percent."""
    before, began = {pid: cpu_s(pid) for pid in pids}, time.monotonic()
    time.sleep(seconds)
    used = sum(cpu_s(pid) - before[pid] for pid in pids)
    return 100 * used / (time.monotonic() - began)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def started_at(pid: int) -> float:
    """Return when `pid` was made, as epoch seconds (10 ms steps)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + int(fields[19]) * _TICK_S


def pid_with_token(token: str, roots: Sequence[int]) -> int:
    """Return the process below `roots` that was given BOT_TOKEN=token in its environment; the lowest in the tree, when several."""
    wanted = f"BOT_TOKEN={token}".encode()
    found = []
    for pid in tree(*roots):
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    if not found:
        raise LookupError(f"no process has {wanted!r}")
    above = parents()
    return next(pid for pid in found if pid not in {above.get(other) for other in found})


def pids_by_token(prefix: str) -> dict[str, list[int]]:
    """Return {token: living processes that were given it as BOT_TOKEN} of all tokens that begin with `prefix`."""
    mark = b"BOT_TOKEN=" + prefix.encode()
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for word in words:
            if word.startswith(mark):
                found.setdefault(word.decode().partition("=")[2], []).append(int(entry.name))
    return found


@dataclass(frozen=True)
class Spread:
    """Percentiles of a list of samples, in the samples' unit."""

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        ordered = sorted(samples)
        return cls(statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], len(ordered))


def time_command(argv: Sequence[str], env: dict[str, str], runs: int) -> Spread:
    """Run `argv` `runs` times after one that warms the caches; return its wall time in ms. CalledProcessError when it fails."""
    samples = []
    for number in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
        if number:
            samples.append(1000 * (time.perf_counter() - began))
    return Spread.of(samples)
