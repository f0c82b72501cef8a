"""How much room the disk of a folder has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from processsupervisor.kernel.units import format_bytes


class Space(NamedTuple):
    """Percent that are free for this process, and the same in words with the folder."""

    free_percent: float
    words: str


def space_of(folder: Path) -> Space:
    """Return the room on a folder's disk; raises OSError."""
    facts = os.statvfs(folder)
    percent = 100.0 * facts.f_bavail / max(1, facts.f_blocks)
    return Space(percent, f"{percent:.1f} % ({format_bytes(facts.f_bavail * facts.f_frsize)}) of the disk of {folder} is free")
