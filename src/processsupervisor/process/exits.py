"""Exit records: what a wait status, a failure file and the last log lines say about how a bot ended.

The reason comes out of the closed list of kernel/reasons.py; nothing is guessed (invariant I5).
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.files import read_small
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import EXIT_LAUNCH_FAILED, Reason, reason_of_code
from processsupervisor.launch.context import failure_path
from processsupervisor.process.frames import is_better_place

TAIL_LINES = 20
LastWords = tuple[str, dict[str, object] | None]
"""Message and dump that an end by psv itself leaves for the record."""
OF_POLICY = frozenset({Reason.ADMIN, Reason.MEMORY_POLICY, Reason.TIMEOUT, Reason.DEPENDENCY})
"""Reasons with which psv itself ends a process that may be well; such an end is asked for and fills no restart window."""
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Group)?)(?:: (?P<message>.*))?$")


@dataclass(slots=True)
class ExitRecord:
    """How one generation ended. `at` epoch seconds; `uptime_s` counts from ready and is None when it never was."""

    reason: Reason
    exit_code: int | None
    signal: str | None
    at: float
    generation: int
    uptime_s: float | None = None
    log_tail: list[str] = field(default_factory=list)
    exception: dict[str, object] | None = None
    message: str = ""
    dump: dict[str, object] | None = None
    """What a bot that hung still said: `{file, at, process, stacks, tasks, missing}` (health/dumpfile.py)."""

    @property
    def has_status(self) -> bool:
        """Tell whether a process was seen to end, and how."""
        return self.exit_code is not None or self.signal is not None

    def to_json(self) -> dict[str, object]:
        """Return the record under the names of the contract."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ExitRecord:
        """Rebuild a record written by `to_json`, of this or an older version."""
        known = {name: value[name] for name in cls.__slots__ if name in value}
        return cls(**known | {"reason": Reason(value["reason"])})


def record_of(paths: FleetPaths, bot: str, generation: int, status: int | None, at: float) -> ExitRecord:
    """Return the record of an exit with wait status `status`; None means that the status is not to be had."""
    if status is None:
        return ExitRecord(Reason.UNKNOWN, None, None, at, generation, message="the exit was seen, its status was not")
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"SIG{-code}"
        return ExitRecord(Reason.SIGNAL, None, name, at, generation, message=f"killed by {name}")
    if code == EXIT_LAUNCH_FAILED:
        failure = _failure(failure_path(paths, bot))
        if isinstance(failure, dict) and failure.get("generation") == generation:
            message = str(failure.get("message", ""))
            hint = str(failure.get("hint", ""))
            said = str(failure.get("reason"))
            why = Reason(said) if said in set(Reason) else Reason.START_FAILED
            return ExitRecord(why, code, None, at, generation, message=f"{message}; {hint}" if hint else message)
    reason = reason_of_code(code)
    return ExitRecord(reason, code, None, at, generation, message="" if code == 0 else f"exited with {code}")


def _failure(path: Path) -> object:
    try:
        return json.loads(read_small(path))
    except (OSError, ValueError):
        return None


def process_status(record: ExitRecord) -> int:
    """Return the exit status with which psv itself ends for an essential bot: its code, or 128 + signal."""
    if record.exit_code is not None:
        return record.exit_code
    if record.signal is not None:
        return 128 + int(getattr(signal.Signals, record.signal, 0) or 0)
    return 1


def ready_boottime_of(facts: dict[str, Any]) -> float | None:
    """Return when (CLOCK_BOOTTIME) the bot of a record became ready; None when it never did.

    A record of an older psv has wall time only: that is taken as if the clock had not been set since.
    """
    ready_boottime, ready_at = facts.get("ready_boottime"), facts.get("ready_at")
    if not facts.get("is_ready"):
        return None
    if isinstance(ready_boottime, float):
        return ready_boottime
    return boottime() - max(0.0, wall() - ready_at) if isinstance(ready_at, float) else None


def uptime_of(facts: dict[str, Any], ended_at: float) -> float | None:
    """Return how long the bot of a record had been ready when it ended at wall time `ended_at`, seen only now.

    Counted back from now by CLOCK_BOOTTIME: a clock that was set while the bot ran changes nothing.
    """
    ready = ready_boottime_of(facts)
    return None if ready is None else max(0.0, boottime() - max(0.0, wall() - ended_at) - ready)


def ended_because(override: Reason | None, notes: Sequence[str]) -> str:
    """Return why a policy of psv's own ended a process, as its handle noted it; empty when none did."""
    return notes[0] if override in OF_POLICY and notes else ""


def conclude(record: ExitRecord, override: Reason | None, last_words: LastWords, notes: Sequence[str], *, is_asked: bool) -> None:
    """Let a record say why psv itself ended the process: `override` with its message and dump, or that somebody asked."""
    if override is not None:
        record.reason = override
        record.message, record.dump = last_words[0] or record.message, last_words[1]
    elif is_asked and record.reason is not Reason.CONFLICT:
        record.reason = Reason.ADMIN
    record.message = ended_because(override, notes) or record.message


def find_exception(lines: Sequence[str]) -> dict[str, object] | None:
    """Return `{type, message, file, line}` of the last Python traceback in `lines`, or None.

    The place is the innermost frame of the author's files; of a library when there is no other.
    """
    place: tuple[str, int] | None = None
    found: dict[str, object] | None = None
    for line in lines:
        frame = _FRAME.match(line)
        if frame is not None:
            if is_better_place(frame["file"], place[0] if place is not None else None):
                place = frame["file"], int(frame["line"])
            continue
        if line.startswith("Traceback (most recent call last):"):
            place = None
        raised = _RAISED.match(line)
        if raised is not None and place is not None and not line.startswith("Traceback"):
            found = {"type": raised["type"], "message": (raised["message"] or "")[:500], "file": place[0], "line": place[1]}
            place = None
    return found
