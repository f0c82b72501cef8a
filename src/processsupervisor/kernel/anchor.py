"""A folder held by descriptor, so that it is found again wherever it was moved, and so that a move is noticed.

`path` leads into the folder itself (through /proc), not to where it was: what is written there never ends up in another
folder that took the old name.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Anchor:
    """One folder that exists now. Raises OSError when it does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        """Return a path of the folder that stays true when it is moved, for this process and its children."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def descriptor(self) -> int:
        """Return the descriptor (O_PATH)."""
        return self._descriptor

    def moved_to(self) -> str | None:
        """Return where the folder lies now if that is not where it lay; None while all is as it was."""
        mine = os.fstat(self._descriptor)
        with contextlib.suppress(OSError):
            there = os.stat(self._folder)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return None
        return os.readlink(f"/proc/self/fd/{self._descriptor}")

    def renew(self) -> None:
        """Make the folder again if it was deleted; one that was moved is left alone. Raises OSError when it cannot be made."""
        if os.fstat(self._descriptor).st_nlink:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)
