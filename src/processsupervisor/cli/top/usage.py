"""What the bots' processes cost, read here and not by psvd: psvd looks at one bot each two seconds, which is too seldom for a screen.

A process is looked at only when the bot's lock says that it is this bot's and its identity holds; another user's, or one of another pid
namespace, is left to what psvd says. PSS is dear (2 ms for a small bot), so each round has a share of time for it, what is seen first.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from time import monotonic

from processsupervisor.cli.top.model import Measured, Row
from processsupervisor.kernel.identity import Identity, Liveness, read_fields
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder
from processsupervisor.resources.usage import pss_bytes

_MEMORY_SHARE = 0.01
"""Of one core."""
_SHOWN_FIRST_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class _Process:
    """One process of a bot; `identity` None: not ours to look at."""

    key: tuple[object, object]
    identity: Identity | None
    cpu: tuple[float, float] | None = None
    memory_bytes: int | None = None
    memory_mono: float = 0.0


class Usage:
    """Remembers what was read of each process, by bot."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self._known: dict[str, _Process] = {}

    def measure(self, rows: Iterable[Row], shown: Collection[str], every_s: float) -> dict[str, Measured]:
        """Return what the bots of these objects cost, where it can be read; spends at most a hundredth of `every_s` on memory."""
        known = {str(row["name"]): self._process_of(row) for row in rows if row.get("pid") is not None}
        self._known = known
        readable = {name: process for name, process in known.items() if process.identity is not None}
        self._read_memory(readable, shown, _MEMORY_SHARE * every_s)
        found = {}
        for name, process in readable.items():
            percent = _cpu_percent(process)
            if process.identity is not None:
                found[name] = Measured(percent, process.memory_bytes, monotonic() - process.memory_mono)
        return found

    def _process_of(self, row: Row) -> _Process:
        name, key = str(row["name"]), (row.get("pid"), row.get("generation"))
        known = self._known.get(name)
        return known if known is not None and known.key == key else _Process(key, self._identify(name, row.get("pid")))

    def _identify(self, name: str, pid: object) -> Identity | None:
        identity = Identity.from_json(read_holder(self._paths.bot_run(name) / "lock"))
        return identity if identity is not None and identity.pid == pid and identity.liveness() is Liveness.ALIVE else None

    def _read_memory(self, processes: dict[str, _Process], shown: Collection[str], for_s: float) -> None:
        def due(name: str) -> float:
            return processes[name].memory_mono - (_SHOWN_FIRST_S if name in shown else 0.0)

        until = monotonic() + for_s
        for name in sorted(processes, key=due):
            identity = processes[name].identity
            if identity is not None and (used := pss_bytes(identity.pid)) is not None:
                processes[name].memory_bytes = used
            processes[name].memory_mono = monotonic()
            if monotonic() >= until:
                return


def _cpu_percent(process: _Process) -> float | None:
    """Return the share of one core since the last look; forgets the process when it has ended."""
    assert process.identity is not None
    fields, now = read_fields(process.identity.pid), monotonic()
    if fields is None or len(fields) < 20 or int(fields[19]) != process.identity.start_ticks:
        process.identity = None
        return None
    used = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    before, process.cpu = process.cpu, (now, used)
    if before is None or now <= before[0]:
        return None
    return 100.0 * max(0.0, used - before[1]) / (now - before[0])
