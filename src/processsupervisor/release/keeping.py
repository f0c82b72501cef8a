"""Which releases stay: the last ten, and always the one that runs and the one before it. Removing is a rename, then a removal."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from processsupervisor.config.release import release_before, running_release
from processsupervisor.kernel.errors import Refused, refused_by_system
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.release.manifest import numbers

KEPT = 10


def remove(paths: FleetPaths, number: int) -> None:
    """Remove one release; raises Refused for one that is not there, runs, ran before, or may do so soon."""
    known = numbers(paths)
    if number not in known:
        raise Refused(f"there is no release {number}", hint=f"there are {', '.join(map(str, known))}" if known else "there are none")
    if number == running_release(paths):
        raise Refused(f"release {number} runs", hint="deploy another one first: psv release deploy N")
    if number == release_before(paths):
        raise Refused(f"release {number} ran before the present one", hint="psv release rollback needs it")
    if paths.change.exists():
        raise Refused(f"a change is under way, which may need release {number}", hint="try again when it is done: see psv status")
    _take_away(paths, number)


def prune(paths: FleetPaths) -> list[int]:
    """Remove all but the last KEPT releases, the running one and the one before; return what was removed. Nothing during a change."""
    if paths.change.exists():
        return []
    safe = {running_release(paths), release_before(paths)}
    gone = [number for number in numbers(paths)[:-KEPT] if number not in safe]
    for number in gone:
        _take_away(paths, number)
    return gone


def _take_away(paths: FleetPaths, number: int) -> None:
    gone = paths.releases / f".gone-{number}"
    try:
        remove_tree(gone)
        paths.release(number).rename(gone)
    except OSError as err:
        raise refused_by_system(f"cannot remove release {number}", err, hint="check owner and mode of .psv/releases") from err
    remove_tree(gone)


def remove_tree(folder: Path) -> None:
    """Remove a file, or a tree whose folders may be read-only; what cannot be removed is tried again when the next release is made."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
        return
    for where, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(where).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
