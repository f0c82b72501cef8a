"""Which occurrences of a task are to run now, which are left out: the policy for missed times. Pure.

`mark` is the last occurrence that was dealt with. It moves forward with each plan; a clock that was set back takes it back to
now, and then what is `known` by its due time is passed over, so that nothing is run twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from processsupervisor.supervisor.schedule import Due, Schedule

LATE_S = 60.0
"""A run that begins later than this after its time was missed. A psvd that is replaced is away for less."""
MAX_MISSED = 100
"""So many missed runs are made up for at the most."""

Missed = Literal["skip", "once", "all"]


class Why(StrEnum):
    """What a run was begun for."""

    SCHEDULE = "schedule"
    MISSED = "missed"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Plan:
    """`runs` in their order; `left_out` is the newest occurrence that nothing is done about; `mark` the new mark."""

    runs: tuple[tuple[Due, Why], ...]
    left_out: Due | None
    mark: float


def plan(schedule: Schedule, missed: Missed, mark: float, now: float, known: Callable[[float], bool]) -> Plan | None:
    """Return what is due after `mark`; None when nothing is. `known` tells whether an occurrence was dealt with already."""
    dues = schedule.begun(min(mark, now), now, MAX_MISSED if missed == "all" else 2)
    if not dues:
        return None
    new = [due for due in dues if not known(due.at)]
    chosen = _chosen(new, missed, now)
    left = [due for due in new if due not in {run for run, _ in chosen}]
    return Plan(chosen, left[-1] if left else None, dues[-1].at)


def _chosen(dues: list[Due], missed: Missed, now: float) -> tuple[tuple[Due, Why], ...]:
    if not dues:
        return ()
    *earlier, last = dues
    is_in_time = now - last.begin_at <= LATE_S
    newest = (last, Why.SCHEDULE if is_in_time else Why.MISSED)
    match missed:
        case "all":
            return (*((due, Why.MISSED) for due in earlier), newest)
        case "once":
            return (newest,)
        case "skip":
            return (newest,) if is_in_time else ()
