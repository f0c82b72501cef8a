"""What an own process costs over time, and how fast that grows: samples from /proc, least squares over each life.

Only lives that were watched for long enough after their warm-up are judged; of a role that has several the worst counts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.kernel.identity import Identity

UNITS = ("pss_bytes", "rss_bytes", "descriptors", "threads")


def least_squares(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through (x, y) points; 0 for fewer than three or for one x."""
    if len(points) < 3:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def cost_of(pid: int) -> dict[str, float] | None:
    """Return memory, descriptors and threads of a process; None when it is gone."""
    try:
        rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        return {
            "pss_bytes": 1024.0 * int(rollup["Pss"].split()[0]),
            "rss_bytes": 1024.0 * int(rollup["Rss"].split()[0]),
            "descriptors": float(len(os.listdir(f"/proc/{pid}/fd"))),
            "threads": float(len(os.listdir(f"/proc/{pid}/task"))),
        }
    except (OSError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth of one cost of one life, per hour, and over the time it was watched."""

    role: str
    unit: str
    per_hour: float
    grown: float
    watched_s: float
    first: float
    last: float


class Costs:
    """Samples of all own processes."""

    def __init__(self, warm_up_s: float, least_watched_s: float) -> None:
        self._warm_up_s = warm_up_s
        self._least_watched_s = least_watched_s
        self._lives: dict[tuple[str, Identity], list[tuple[float, dict[str, float]]]] = {}

    def sample(self, at_s: float, processes: dict[str, Identity]) -> None:
        """Note what each process costs at this time."""
        for role, identity in processes.items():
            cost = cost_of(identity.pid)
            if cost is not None:
                self._lives.setdefault((role, identity), []).append((at_s, cost))

    def slopes(self) -> list[Slope]:
        """Return every cost of every life that was watched for long enough."""
        found = []
        for (role, _), samples in self._lives.items():
            settled = [(at_s, cost) for at_s, cost in samples if at_s >= samples[0][0] + self._warm_up_s]
            watched_s = settled[-1][0] - settled[0][0] if settled else 0.0
            if watched_s < self._least_watched_s:
                continue
            for unit in UNITS:
                points = [(at_s, cost[unit]) for at_s, cost in settled]
                per_s = least_squares(points)
                found.append(Slope(role, unit, per_s * 3600, per_s * watched_s, watched_s, points[0][1], points[-1][1]))
        return found
