"""How far a person has heard a bot by `psv chat`, for each conversation: what comes while nobody listens is shown by the next one.

A number in a file of its own below the bot's data, `heard/`; it only grows. It is a convenience: where it cannot be read or written,
what waited is not shown. The folder may be another user's, and root may listen: nothing is followed or waited for there, and what root
makes belongs to whoever owns the bot's data.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import open_folder, open_plain, opened, try_flock
from processsupervisor.kernel.paths import FleetPaths

FOLDER = "heard"
_DIGITS = 20


class Heard:
    """The number of the last event of one conversation that somebody was shown."""

    def __init__(self, paths: FleetPaths, bot: str, conversation: str) -> None:
        self._data = paths.bot_data(bot)
        self._name = hashlib.sha256(conversation.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def read(self) -> int | None:
        """Return the number, None where nobody ever listened."""
        try:
            with (
                opened(open_folder(self._data)) as data,
                opened(open_folder(FOLDER, within=data)) as folder,
                opened(open_plain(self._name, within=folder, is_only_name=True)) as descriptor,
            ):
                return int(os.read(descriptor, _DIGITS))
        except (OSError, ValueError):
            return None

    def note(self, seq: int, *, is_anew: bool = False) -> None:
        """Write down that everything up to `seq` was shown, unless more was already (`is_anew`: also then). Of two at once, one does."""
        with contextlib.suppress(OSError, SystemRefused), self._writable() as descriptor:
            if not try_flock(descriptor):
                return
            before = os.pread(descriptor, _DIGITS, 0)
            if is_anew or not before.isdigit() or seq > int(before):
                os.pwrite(descriptor, str(seq).zfill(_DIGITS).encode(), 0)

    @contextlib.contextmanager
    def _writable(self) -> Iterator[int]:
        """Open the file, made if it is missing, together with its folder."""
        with opened(open_folder(self._data)) as data:
            with contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700, dir_fd=data)
            with opened(open_folder(FOLDER, within=data)) as folder:
                if not os.listdir(folder):  # never one with something in it: a folder of root's may have been put in its place meanwhile
                    _give_to_owner(folder, data)
                with opened(self._file(folder, data)) as descriptor:
                    yield descriptor

    def _file(self, folder: int, data: int) -> int:
        try:
            made = open_plain(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL, within=folder)
        except FileExistsError:
            return open_plain(self._name, os.O_RDWR, within=folder, is_only_name=True)
        _give_to_owner(made, data)
        return made

    def place_in(self, newest: int) -> int:
        """Return behind which event to go on, of a bot whose newest one is `newest` (0: none is known)."""
        mark = self.read()
        if mark is None:
            return newest
        if newest and mark > newest:  # a database that was put back from a copy goes on from there
            self.note(newest, is_anew=True)
            return newest
        return mark


def _give_to_owner(descriptor: int, data: int) -> None:
    """Give what root has made to the owner of the folder `data`."""
    if os.geteuid() == 0:
        owner = os.fstat(data)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
