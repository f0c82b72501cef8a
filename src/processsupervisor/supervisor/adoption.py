"""What a new psvd finds of a bot: adopt it, know how it ended, clear away leftovers, or say that it cannot tell.

Evidence is the lock (held or free), the identity written into it, the record of the last supervisor and the exit journal.
Running = identity alive; dead = lock free and identity gone; lock held but identity gone = leftovers. What cannot be
verified is neither killed nor doubled (I1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from processsupervisor.ipc.journal import ExitEntry, read
from processsupervisor.kernel.files import is_flocked, read_record
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder


class Outcome(StrEnum):
    """What the evidence says."""

    FRESH = "fresh"
    ADOPT = "adopt"
    ENDED = "ended"
    ENDED_UNSEEN = "ended-unseen"
    LEFTOVERS = "leftovers"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """One bot's evidence, weighed. `entry` is there with ENDED, `identity` with ADOPT and the two after it."""

    outcome: Outcome
    generation: int = 0
    identity: Identity | None = None
    entry: ExitEntry | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def journal_by_identity(paths: FleetPaths) -> dict[tuple[int, int], ExitEntry]:
    """Return the journal's exits by (pid, start ticks)."""
    return {(entry.pid, entry.start_ticks): entry for entry in read(paths.journal)}


def examine(paths: FleetPaths, bot: str, ended: Mapping[tuple[int, int], ExitEntry]) -> Finding:
    """Weigh the evidence about one bot; changes nothing."""
    folder = paths.bot_run(bot)
    facts = read_record(folder / "record") or {}
    holder = read_holder(folder / "lock") or {}
    recorded, locked = Identity.from_json(facts.get("identity")), Identity.from_json(holder)
    generation = max(_number(facts.get("generation")), _number(holder.get("generation")))
    # The lock's note is the child's own word and newer than the record when psvd died between fork and record.
    identity = locked or recorded
    if identity is None:
        return Finding(Outcome.FRESH, generation, facts=facts)
    is_held = is_flocked(folder / "lock")
    liveness = identity.liveness()
    if liveness is Liveness.ALIVE:
        alive = _number(holder.get("generation")) or generation
        return Finding(Outcome.ADOPT, alive, identity, facts=facts if facts.get("generation") == alive else {})
    if liveness is Liveness.UNVERIFIABLE and is_held:
        return Finding(Outcome.CANNOT_TELL, generation, identity, facts=facts)
    if is_held:
        return Finding(Outcome.LEFTOVERS, generation, identity, ended.get((identity.pid, identity.start_ticks)), facts)
    entry = ended.get((identity.pid, identity.start_ticks))
    if entry is not None and facts.get("has_process"):
        return Finding(Outcome.ENDED, generation, identity, entry, facts)
    if facts.get("has_process"):
        return Finding(Outcome.ENDED_UNSEEN, generation, identity, None, facts)
    return Finding(Outcome.FRESH, generation, identity, facts=facts)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
