"""Laws of what is measured here: real processes, and only those of which the bot's lock says that they are the bot's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.supervisor.live import eventually

from processsupervisor.cli.top.model import Row
from processsupervisor.cli.top.usage import Usage
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths


@pytest.fixture
def paths(tmp_path: Path) -> FleetPaths:
    """A fleet folder."""
    found = FleetPaths(tmp_path)
    found.ensure()
    return found


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that works without end."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


def bot(paths: FleetPaths, name: str, identity: Identity | None, pid: int) -> Row:
    """Make the lock of a bot, and return its object."""
    paths.bot_run(name).mkdir(parents=True)
    (paths.bot_run(name) / "lock").write_text(json.dumps(identity.to_json() if identity else {}))
    return {"name": name, "pid": pid, "generation": 1}


def test_cpu_and_memory_of_a_process(paths: FleetPaths, worker: subprocess.Popen[bytes]) -> None:
    """A process that works has CPU from the second look on, and memory at once; when it has ended there is nothing."""
    row = bot(paths, "busy", Identity.of(worker.pid), worker.pid)
    # A process that has only just been executed has next to no memory; each look here is a first one.
    first = eventually(lambda: (found := Usage(paths).measure([row], ["busy"], 2.0)["busy"]).memory_bytes > 1 << 20 and found, "it has its memory")
    assert first.cpu_percent is None and first.memory_age_s < 5.0
    usage = Usage(paths)
    usage.measure([row], ["busy"], 2.0)

    def works() -> bool:
        time.sleep(0.05)
        return (usage.measure([row], [], 2.0)["busy"].cpu_percent or 0.0) > 5.0

    eventually(works, "CPU")
    worker.kill()
    worker.wait()
    assert usage.measure([row], [], 2.0) == {}


def test_what_is_not_surely_the_bots_is_left_alone(paths: FleetPaths, worker: subprocess.Popen[bytes]) -> None:
    """Another pid namespace, another pid than the lock's, a pid that began at another time, no lock: nothing is shown for them."""
    identity = Identity.of(worker.pid)
    assert identity is not None
    rows = [
        bot(paths, "elsewhere", replace(identity, pid_namespace=identity.pid_namespace + 1), worker.pid),
        bot(paths, "other-pid", Identity.of(os.getpid()), worker.pid),
        bot(paths, "reused", replace(identity, start_ticks=identity.start_ticks - 1), worker.pid),
        bot(paths, "unlocked", None, worker.pid),
        {"name": "down", "pid": None, "generation": 1},
    ]
    assert Usage(paths).measure(rows, [], 2.0) == {}


def test_memory_has_a_share_of_the_time(paths: FleetPaths, worker: subprocess.Popen[bytes]) -> None:
    """However many there are, a look reads few of them, those that are seen first, and comes round to all."""
    identity = Identity.of(worker.pid)
    rows = [bot(paths, f"b{number:03}", identity, worker.pid) for number in range(60)]
    usage = Usage(paths)
    first = {name for name, found in usage.measure(rows, ["b050"], 0.001).items() if found.memory_bytes}
    assert "b050" in first and len(first) < 60
    eventually(lambda: all(found.memory_bytes for found in usage.measure(rows, [], 0.1).values()), "the memory of all")
