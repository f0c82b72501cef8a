"""Run a module of the very copy of the package that this file belongs to, whatever copy is installed.

`python -P boot.py MODULE ARGS…` calls `MODULE.main(ARGS)`. `python -P boot.py --resume PACKAGE ELSE MODULE ARGS…` calls
`MODULE.resume(ARGS)` of the copy in PACKAGE and runs what it returns; if that fails or takes RESUME_WITHIN_S, this process becomes
ELSE (a JSON list, an argv). Nothing of ours is imported at the top: the copy must stand on the path first.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

RESUME_WITHIN_S = 5.0


def use(package: str) -> None:
    """Make `processsupervisor` the package in the folder `package`, and leave the import path as it was."""
    above = str(Path(package).absolute().parent)
    sys.path.insert(0, above)
    try:
        importlib.import_module("processsupervisor")
    finally:
        sys.path.remove(above)


def _too_late(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError(f"not resumed within {RESUME_WITHIN_S:g} s")


def resume(package: str, otherwise: list[str], module: str, arguments: list[str]) -> Any:
    """Return what `module.resume` of the copy in `package` returns; on any failure become `otherwise` instead."""
    try:
        signal.signal(signal.SIGALRM, _too_late)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.setitimer(signal.ITIMER_REAL, RESUME_WITHIN_S)
        use(package)
        resumed = importlib.import_module(module).resume(arguments)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    except BaseException:  # noqa: BLE001 - whatever is wrong with the other copy, this one goes on
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        traceback.print_exc()
        os.execv(otherwise[0], otherwise)
    return resumed


def main(argv: list[str]) -> int:
    """Do what the command line says; returns the exit status."""
    if argv[0] == "--resume":
        _, package, otherwise, module, *arguments = argv
        return int(resume(package, json.loads(otherwise), module, arguments).run())
    use(str(Path(__file__).absolute().parent))
    module, *arguments = argv
    return int(importlib.import_module(module).main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
