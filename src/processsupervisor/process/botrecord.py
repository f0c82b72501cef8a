"""What a later psvd must know of a bot, written into its preallocated record before the act it announces.

The layout of the file is kernel/files.py's; what a new psvd makes of it is supervisor/adoption.py's. Without a disk there
is no record: the lock file still says who runs (I4).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol

from processsupervisor.kernel.clock import boottime, mono
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import RecordFile
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.states import HAS_PROCESS
from processsupervisor.process.lifecycle import Lifecycle
from processsupervisor.version import RECORD


class Recorded(Protocol):
    """What is noted of a bot: its handle."""

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
    notes: list[str]
    unsaved_wanted: str | None


class BotRecord:
    """The record of one bot."""

    def __init__(self, folder: Path) -> None:
        self._file = RecordFile(folder / "record")

    def write(self, bot: Recorded) -> None:
        """Put the bot's present facts on disk."""
        state = bot.life.state
        facts = {
            "version": RECORD,
            "bot": bot.name,
            "generation": bot.generation,
            "state": state,
            "identity": bot.process.to_json() if bot.process else None,
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
            "secret_digest": bot.secret_digest,
            "notes": [n[:300] for n in bot.notes[:2]],
            "wanted": bot.unsaved_wanted,
        }
        with contextlib.suppress(PsvError):
            self._file.write(facts)

    def close(self) -> None:
        """Close the file; the content stays."""
        self._file.close()
