"""How a test build dies at a crash point: at once, by SIGKILL, and only once. The wheel leaves this file out.

PSV_CRASH_POINTS names a folder. A file in it with the name of a point arms that point; each byte in the file lets a process
pass once more. Dying renames the file to `struck.NAME` and puts the pid into it, so the successor passes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

VARIABLE = "PSV_CRASH_POINTS"
STRUCK = "struck."


def armed_by_environment() -> Callable[[str], None] | None:
    """Return what every point is to call with its name, or None when this process is not to die."""
    folder = os.environ.get(VARIABLE)
    return _striker(Path(folder)) if folder else None


def _striker(folder: Path) -> Callable[[str], None]:
    def strike(name: str) -> None:
        armed, struck = folder / name, folder / f"{STRUCK}{name}"
        try:
            passes = armed.stat().st_size
            if passes:
                os.truncate(armed, passes - 1)
                return
            armed.rename(struck)  # of several processes that come here at once, one finds the file
        except FileNotFoundError:
            return
        struck.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

    return strike
