"""What a new psvd finds of a bot: it runs, it ended (and how), it left something behind, or nobody can tell.

Evidence is the lock (held or free), the identity that its holder signed it with, the record of the last psvd and the keeper's
journal. It is gathered through a port and weighed by a pure function. Running = identity alive; dead = lock free and
identity gone; lock held but identity gone = leftovers. What cannot be verified is neither killed nor doubled (I1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from processsupervisor.ipc.journal import ExitEntry, read
from processsupervisor.kernel.files import is_flocked, read_record
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.locks import read_holder

Ended = Mapping[tuple[int, int], ExitEntry]
"""Exits of the journal by (pid, start ticks)."""


class Outcome(StrEnum):
    """What the evidence says."""

    FRESH = "fresh"  # nothing of it runs and nothing was about to
    ADOPT = "adopted"
    ENDED = "ended"  # gone, and the journal says how
    ENDED_UNSEEN = "ended-unseen"  # gone, and nobody saw how
    UNBORN = "unborn"  # a start was written down, but no process of it ever signed the lock
    LEFTOVERS = "leftovers"  # its first process is gone, something below it holds the lock
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True)
class Claim:
    """One process that is said to be the bot: by the lock's note (`is_signed`) or by the record."""

    identity: Identity
    generation: int
    is_signed: bool
    liveness: Liveness
    entry: ExitEntry | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one bot. `facts` is empty when the record is missing or torn; `claims` come newest first."""

    facts: dict[str, Any]
    generation: int
    is_held: bool
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One bot's evidence, weighed. `entry` is there with ENDED, `identity` with ADOPT; `generation` is that identity's."""

    outcome: Outcome
    generation: int = 0
    identity: Identity | None = None
    entry: ExitEntry | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class EvidencePort(Protocol):
    """Where evidence is read; nothing here changes anything."""

    def is_held(self, bot: str) -> bool:
        """Tell whether some process holds the bot's lock."""
        ...

    def note(self, bot: str) -> Mapping[str, object]:
        """Return what the last holder wrote into the lock; empty when it is missing or torn."""
        ...

    def record(self, bot: str) -> Mapping[str, object]:
        """Return the last psvd's record; empty when it is missing or torn."""
        ...

    def liveness(self, identity: Identity) -> Liveness:
        """Tell whether this very process runs."""
        ...


@dataclass(frozen=True, slots=True)
class FleetEvidence:
    """The evidence in a fleet's run/ folder and in /proc."""

    paths: FleetPaths

    def is_held(self, bot: str) -> bool:
        """See EvidencePort; a lock that cannot be looked at (no descriptor left) counts as held."""
        try:
            return is_flocked(self.paths.bot_run(bot) / "lock")
        except OSError:
            return True

    def note(self, bot: str) -> Mapping[str, object]:
        """See EvidencePort."""
        return read_holder(self.paths.bot_run(bot) / "lock") or {}

    def record(self, bot: str) -> Mapping[str, object]:
        """See EvidencePort."""
        return read_record(self.paths.bot_run(bot) / "record") or {}

    def liveness(self, identity: Identity) -> Liveness:
        """See EvidencePort."""
        return identity.liveness()


def journal_by_identity(paths: FleetPaths) -> dict[tuple[int, int], ExitEntry]:
    """Return the journal's exits by (pid, start ticks)."""
    return {(entry.pid, entry.start_ticks): entry for entry in read(paths.journal)}


def gather(port: EvidencePort, bot: str, ended: Ended) -> Evidence:
    """Read everything about one bot. The lock is tried before its note is read: a holder signs after it has taken it."""
    is_held = port.is_held(bot)
    note, facts = dict(port.note(bot)), dict(port.record(bot))
    claims = []
    for said, where, is_signed in ((note, note, True), (facts, facts.get("identity"), False)):
        identity = Identity.from_json(where)
        if identity is not None:
            entry = ended.get((identity.pid, identity.start_ticks))
            claims.append(Claim(identity, _number(said.get("generation")), is_signed, port.liveness(identity), entry))
    claims.sort(key=lambda claim: -claim.generation)  # stable: of one generation, the child's own word comes first
    generation = max(_number(note.get("generation")), _number(facts.get("generation")))
    return Evidence(facts, generation, is_held, tuple(claims))


def weigh(evidence: Evidence) -> Finding:
    """Say what the evidence about one bot means; pure."""
    facts, generation, claims = evidence.facts, evidence.generation, evidence.claims
    for claim in claims:
        if claim.liveness is Liveness.ALIVE:
            known = facts if facts.get("generation") == claim.generation else {}
            return Finding(Outcome.ADOPT, claim.generation, claim.identity, facts=known)
    newest = claims[0] if claims else None
    identity = newest.identity if newest is not None else None
    # Written down, then psvd died: the child may never have come to be, or be about to sign the lock that it holds.
    is_intent = bool(facts.get("has_process")) and (newest is None or newest.generation < _number(facts.get("generation")))
    if evidence.is_held:
        is_clear = newest is not None and not is_intent and all(c.liveness is Liveness.GONE for c in claims)
        return Finding(Outcome.LEFTOVERS if is_clear else Outcome.CANNOT_TELL, generation, identity, facts=facts)
    # The lock is free. A process of another pid namespace held it for life, so it is gone as well.
    if newest is None or is_intent:
        return Finding(Outcome.UNBORN if is_intent else Outcome.FRESH, generation, identity, facts=facts)
    if newest.entry is not None and (facts.get("has_process") or not facts):
        return Finding(Outcome.ENDED, generation, identity, newest.entry, facts)
    return Finding(Outcome.ENDED_UNSEEN if facts.get("has_process") else Outcome.FRESH, generation, identity, facts=facts)


def examine(paths: FleetPaths, bot: str, ended: Ended) -> Finding:
    """Weigh what this fleet's folder holds about one bot; changes nothing."""
    return weigh(gather(FleetEvidence(paths), bot, ended))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
