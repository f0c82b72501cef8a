"""The files that a configuration came from, as they are on disk now: whether they are still the same. Standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from functools import partial
from pathlib import Path

from processsupervisor.config.globs import TooMany, entries_of, matches
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.paths import FleetPaths

_MOST_FILES = 1000


class FilesOnDisk:
    """The files of one applied configuration. A file is read again only when its status has changed."""

    def __init__(self, paths: FleetPaths, applied: Applied) -> None:
        self._folder = paths.folder
        named = [file["path"] for file in applied.get("files", [])]
        self._names = named or [paths.config.name]
        self._includes = applied.get("includes", [])
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}

    def names(self) -> list[str]:
        """Return the paths of the files from the fleet folder: those that were read, then others that a glob finds now."""
        entries, found = partial(entries_of, self._folder), set[str]()
        for glob in self._includes:
            with contextlib.suppress(TooMany):
                found.update(matches(entries, glob))
        return [*self._names, *sorted(found - set(self._names))[:_MOST_FILES]]

    def digest(self) -> str:
        """Return the digest of the files as they are now, comparable with Applied.source_digest; "" when one cannot be read."""
        names = self.names()
        digests = [self._digest(name) for name in names]
        if "" in digests:
            return ""
        return combined(dict(zip(names, digests, strict=True)))

    def _digest(self, name: str) -> str:
        path = self._folder / name
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                return ""  # to open a pipe would wait for its writer
            status = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
            known = self._known.get(name)
            if known is None or known[0] != status:
                known = self._known[name] = status, hashlib.sha256(_read(path)).hexdigest()
        except OSError:
            return ""
        return known[1]


def combined(digests: dict[str, str]) -> str:
    """Return the digest of several files, `{path: digest}` in reading order; that of one is its own."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("".join(f"{path} {digest}\n" for path, digest in digests.items()).encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> bytes:
    # Not to be waited for: the file may have become a FIFO since it was looked at.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        return file.read(64 << 20)
