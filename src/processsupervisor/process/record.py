"""What psvd writes down of one bot for its successor: who runs, since when, under which lock, and what was about to be done.

Written at every transition before the act that it announces. While a bot is UNKNOWN nothing is written: what lies on disk
is evidence then, and still to be weighed. docs/reference/files.md lists the fields.
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from processsupervisor.kernel.clock import boottime, mono, wall
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import RecordFile
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State
from processsupervisor.process.lifecycle import Lifecycle
from processsupervisor.process.logindex import STREAMS, write_position
from processsupervisor.version import RECORD

_NOTES, _NOTE_BYTES = 2, 300
_OF_A_LIFE = ("started_at", "started_boottime", "log")


def override_of(facts: dict[str, Any]) -> Reason | None:
    """Return why the last psvd itself was ending the process, if a record says so."""
    found = facts.get("override")
    return Reason(found) if found in set(Reason) else None


class Recorded(Protocol):
    """What a record is made of; BotHandle has it."""

    name: str
    generation: int
    life: Lifecycle
    process: Identity | None
    ready_at: float | None
    ready_boottime: float | None
    via: str
    group: str | None
    restarts: int
    quick: int
    next_start_mono: float | None
    reason: str
    secret_digest: str
    override: Reason | None
    unsaved_wanted: str | None
    notes: list[str]


class BotRecord:
    """The record of one bot. A full disk costs the record, never the bot: its lock file still says who runs (I4)."""

    def __init__(self, paths: FleetPaths, bot: str) -> None:
        self._paths = paths
        self._file = RecordFile(paths.bot_run(bot) / "record")
        self._life: dict[str, Any] = {}
        self._is_evidence = False

    def begin_life(self, bot: str) -> None:
        """Note when a generation begins and where in the logs: nothing of it stands before these positions."""
        folder = str(self._paths.bot_logs(bot))
        positions = {stream: write_position(folder, stream) for stream in STREAMS}
        self._life = {"started_at": wall(), "started_boottime": boottime(), "log": positions}

    def resume_life(self, facts: dict[str, Any]) -> None:
        """Go on with what an earlier psvd noted of a generation that still runs."""
        self._life = {name: facts[name] for name in _OF_A_LIFE if name in facts}

    def age_s(self) -> float:
        """Return how long ago this generation began, suspend included; 0 when nobody noted it."""
        began = self._life.get("started_boottime")
        return max(0.0, boottime() - began) if isinstance(began, float) else 0.0

    def write(self, bot: Recorded) -> None:
        """Put the present facts on disk."""
        state = bot.life.state
        # An UNKNOWN that was given up (FAILED) is as little known as before, to the next psvd too.
        self._is_evidence = state is State.UNKNOWN or (self._is_evidence and state is State.FAILED)
        if self._is_evidence:
            return
        facts = {
            "version": RECORD,
            "bot": bot.name,
            "generation": bot.generation,
            "state": state,
            "identity": bot.process.to_json() if bot.process else None,
            "lock": str((self._paths.bot_run(bot.name) / "lock").relative_to(self._paths.psv)),
            "has_process": state in HAS_PROCESS,
            "is_ready": bot.ready_at is not None and state in HAS_PROCESS,
            "ready_at": bot.ready_at,
            "ready_boottime": bot.ready_boottime,
            "via": bot.via,
            "group": bot.group,
            "restarts": bot.restarts,
            "quick": bot.quick,
            "next_start_boottime": bot.next_start_mono - mono() + boottime() if bot.next_start_mono is not None else None,
            "reason": bot.reason,
            "override": bot.override,
            "wanted": bot.unsaved_wanted,
            "secret_digest": bot.secret_digest,
            "notes": [n.encode(errors="replace")[:_NOTE_BYTES].decode(errors="ignore") for n in bot.notes[:_NOTES]],
        }
        with contextlib.suppress(PsvError):
            self._file.write(facts | self._life)

    def close(self) -> None:
        """Close the file; what is written stays."""
        self._file.close()
