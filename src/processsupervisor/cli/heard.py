"""How far a person has heard a bot by `psv chat`, for each conversation: what comes while nobody listens is shown by the next one.

A number in a file of its own below the bot's data, `heard/`; it only grows. It is a convenience: where it cannot be read or written,
what waited is not shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from processsupervisor.kernel.paths import FleetPaths

FOLDER = "heard"
_DIGITS = 20


class Heard:
    """The number of the last event of one conversation that somebody was shown."""

    def __init__(self, paths: FleetPaths, bot: str, conversation: str) -> None:
        name = hashlib.sha256(conversation.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._path = paths.bot_data(bot) / FOLDER / name

    def read(self) -> int | None:
        """Return the number, None where nobody ever listened."""
        try:
            return int(self._path.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def note(self, seq: int, *, is_anew: bool = False) -> None:
        """Write down that everything up to `seq` was shown, unless more was already (`is_anew`: also then). Two at once take turns."""
        import fcntl

        with contextlib.suppress(OSError, ValueError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                before = os.pread(descriptor, _DIGITS, 0)
                if is_anew or not before.isdigit() or seq > int(before):
                    os.pwrite(descriptor, str(seq).zfill(_DIGITS).encode(), 0)
            finally:
                os.close(descriptor)

    def place_in(self, newest: int) -> int:
        """Return behind which event to go on, of a bot whose newest one is `newest` (0: none is known)."""
        mark = self.read()
        if mark is None:
            return newest
        if newest and mark > newest:  # a database that was put back from a copy goes on from there
            self.note(newest, is_anew=True)
            return newest
        return mark
