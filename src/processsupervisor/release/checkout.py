"""What git says of a fleet folder: the commit it is at, and whether anything in it differs from that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

_PATIENCE_S = 10.0


def git_facts(folder: Path) -> dict[str, Any] | None:
    """Return `{commit, is_dirty}`; None for a folder of which git knows no file, or where git cannot be asked."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit or not _git(folder, "ls-files", "--", "."):
        return None
    status = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".", ":(exclude).psv")
    return {"commit": commit.strip(), "is_dirty": bool(status)} if status is not None else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *words],
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None
