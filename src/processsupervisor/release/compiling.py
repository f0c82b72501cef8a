"""Compiling the Python files of a release beforehand: nobody can write beside them afterwards, so each start would compile them anew."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

_PATIENCE_S = 300.0


def compile_all(new: Path, final: Path, has_environment: bool) -> None:
    """Compile below `new`/files, under the names that they will have, for psv's interpreter or that of the release.

    A file that cannot be compiled is its program's affair; one that could not be written costs time at a start, and nothing else.
    """
    python = str(new / "venv" / "bin" / "python") if has_environment else sys.executable
    argv = [python, "-I", "-W", "ignore", "-m", "compileall", "-qq", "-s", str(new), "-p", str(final), str(new / "files")]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False)
