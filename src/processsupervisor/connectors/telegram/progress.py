"""How far a message of several calls has got, in a file: the life after this one goes on behind the call that was answered last.

A text with a file behind it that has to wait for the network's limits is no unknown send; made anew from its beginning it would stand
there twice without a mark.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from processsupervisor.connectors.telegram.kept import read_rows, write_rows
from processsupervisor.storage.records import Outgoing

_MAX_KNOWN = 200


class Progress:
    """{message: [check of its text, calls answered, the network's id so far]}; the file is not there when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[int, int, str]] | None = None

    def find(self, out: Outgoing) -> tuple[int, str]:
        """Return how many calls of a message were answered, and the network's id so far."""
        check, done, network_id = self._all().get(out.id, (0, 0, ""))
        return (done, network_id) if check == _check(out) else (0, "")

    def note(self, out: Outgoing, done: int, network_id: str) -> None:
        """Keep it; of very many the oldest are forgotten."""
        known = self._all()
        known.pop(out.id, None)
        known[out.id] = (_check(out), done, network_id)
        while len(known) > _MAX_KNOWN:
            del known[next(iter(known))]
        write_rows(self._path, known)

    def forget(self, out: Outgoing) -> None:
        """Drop it: the message is whole, or will never be."""
        if self._all().pop(out.id, None) is not None:
            write_rows(self._path, self._all())

    def _all(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            self._known = {key: (row[0], row[1], row[2]) for key, row in read_rows(self._path, int, int, str).items()}
        return self._known


def _check(out: Outgoing) -> int:
    """Return a number of the content: after a backup was brought back, ids are given a second time."""
    return zlib.crc32("\0".join((out.text, *(file.path for file in out.extras.files))).encode("utf-8", "replace"))
