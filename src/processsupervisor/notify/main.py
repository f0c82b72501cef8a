"""`boot.py processsupervisor.notify.main FOLDER BEGUN`: the notifier of one fleet.

Holds run/notify.lock for life. BEGUN is the number of the last event that is none of the notifier's business; it counts only when the
queue knows no better. Ends with 0 on SIGTERM, 75 when another one runs. Standard library only: it stays small.
"""

from __future__ import annotations

import os
import sys

from processsupervisor.config.applied import read_applied
from processsupervisor.ipc.presence import take_role_lock
from processsupervisor.kernel.errors import LockHeld, PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.notifier import Notifier
from processsupervisor.observe.logging import log

EXIT_RETRY = 75


def main(argv: list[str]) -> int:
    """Run the notifier of the folder `argv[0]`; returns its exit status."""
    if len(argv) != 2:
        print("usage: processsupervisor.notify.main FOLDER BEGUN", file=sys.stderr)
        return 2
    paths = FleetPaths(argv[0])
    try:
        lock = take_role_lock(paths, "notify")
        log.open("notify", paths.own_logs / "notify.log", "info")
        notifier = Notifier(paths, read_applied(paths), argv[1])
    except PsvError as err:
        print(f"notify: {err}", file=sys.stderr)
        return EXIT_RETRY if isinstance(err, LockHeld) else err.exit_status
    except OSError as err:
        print(f"notify: cannot use {paths.run}: {err.strerror}", file=sys.stderr)
        return 1
    try:
        notifier.run()
    finally:
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
