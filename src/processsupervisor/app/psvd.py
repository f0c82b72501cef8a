"""How psvd is started: its lock, log, title and limits, then one life of the brain on uvloop where that is to be had.

Run by the keeper as `boot.py processsupervisor.app.psvd FOLDER`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from processsupervisor.config.applied import read_applied
from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_REFUSED, LockHeld, PsvError
from processsupervisor.kernel.files import hold_role_lock
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.observe.logging import setup
from processsupervisor.observe.title import set_title
from processsupervisor.supervisor.daemon import Psvd
from processsupervisor.supervisor.moves import finish_moves, mark_unmoved

_log = logging.getLogger("psv.psvd")


def main(argv: list[str]) -> int:
    """Run psvd for the folder `argv[0]`; returns the exit status."""
    paths = FleetPaths(argv[0])
    try:
        lock = hold_role_lock(paths.role_lock("psvd"), f"psvd pid {os.getpid()}")
    except LockHeld as err:
        print(f"psv: {err}", file=sys.stderr)
        return EXIT_REFUSED
    reach(CrashPoint.PSVD_LOCKED)
    setup("psvd", paths, "info")
    set_title("psv: psvd")
    _raise_open_files()
    try:
        applied = read_applied(paths)
        mark_unmoved(applied, finish_moves(paths, {spec["name"] for spec in applied["bots"]}))
        return _run(Psvd(paths, applied))
    except (PsvError, OSError) as err:
        _log.error("psvd ends", extra={"error": str(err)})
        print(f"psv: psvd ends: {err}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        os.close(lock)


def _run(psvd: Psvd) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(psvd.run())
    return uvloop.run(psvd.run())


def _raise_open_files() -> None:
    """Two descriptors a bot: take all that the hard limit allows."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
