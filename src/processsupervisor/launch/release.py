"""Where a bot's own code lies: in the fleet folder, or in the immutable copy .psv/releases/N/files of a release.

Standard library only; nothing here makes or changes a release. A bot whose release is gone never falls back to the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed

MISSING_HINT = "psv release list names those that are there; psv release deploy N takes one of them"


_PYTHON = re.compile(r"python[0-9.]*")


def code_folder(folder: str | os.PathLike[str], release: int | None) -> Path:
    """Return the folder in which bots of this release, or of none, find their code."""
    paths = FleetPaths(folder)
    return paths.folder if release is None else paths.release(release) / "files"


def why_missing(folder: str | os.PathLike[str], release: int | None) -> str | None:
    """Return what is wrong when the files of a release are not there."""
    code = code_folder(folder, release)
    return None if release is None or os.path.isdir(code) else f"release {release} is not there: {code} is no folder"


def runs_module(program: str, words: Sequence[str]) -> bool:
    """Tell whether a command is `python -m MODULE`."""
    if _PYTHON.fullmatch(os.path.basename(program)) is None:
        return False
    for before, word in zip(("", *words), words, strict=False):
        if word == "-m":
            return True
        if not word.startswith("-") and before not in ("-W", "-X"):
            return False
    return False


def refuse_missing(spec: Mapping[str, Any]) -> None:
    """Raise LaunchFailed(config) for a bot of a release that is gone."""
    if wrong := why_missing(spec["folder"], spec.get("release")):
        raise LaunchFailed(Reason.CONFIG, wrong, hint=MISSING_HINT)
