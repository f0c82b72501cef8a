"""Where the files of a configuration are taken from, the disk or given texts, and which of them a pattern matches.

Names are paths from the fleet folder with slashes. `*`, `?` and `[...]` match within one name, `**` any folders; what begins with a dot
is matched only by a dot. Both kinds of shelf are searched by the same walk, so that they agree.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from processsupervisor.config.source import Source, no_file, parse_source, read_source

CONFIG = "fleet.toml"
_MAGIC = frozenset("*?[")
_MOST_FOLDERS = 5000


class TooMany(Exception):
    """A pattern looks into more folders than is sensible."""


class Shelf(Protocol):
    """The files of one fleet folder."""

    folder: Path

    def read(self, name: str) -> Source:
        """Read and parse one file; what is wrong with it is in the answer."""

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, sorted, each with whether it is a folder (not by a link)."""

    def identity(self, name: str) -> object:
        """Return what two names of the same file have in common, None when there is no such file."""

    def is_outside(self, name: str) -> bool:
        """Tell whether the file lies outside of the fleet folder, by a link."""


class Disk:
    """The files as they are; `given` stands for the content of fleet.toml where it is not None."""

    def __init__(self, folder: Path, given: bytes | None = None) -> None:
        self.folder = folder
        self._given = given
        self._real = os.path.realpath(folder)

    def read(self, name: str) -> Source:
        path = self.folder / name
        return parse_source(path, self._given) if self._given is not None and name == CONFIG else read_source(path)

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(self.folder / folder) as found:
                return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        except OSError:
            return []

    def identity(self, name: str) -> object:
        try:
            status = (self.folder / name).stat()
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    def is_outside(self, name: str) -> bool:
        real = os.path.realpath(self.folder / name)
        return os.path.commonpath((real, self._real)) != self._real


class Texts:
    """Given contents instead of files: those of a stored version, say."""

    def __init__(self, folder: Path, texts: Mapping[str, bytes]) -> None:
        self.folder = folder
        self._texts = texts

    def read(self, name: str) -> Source:
        content = self._texts.get(name)
        return parse_source(self.folder / name, content) if content is not None else no_file(self.folder / name)

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        prefix = f"{folder}/" if folder else ""
        below = [name[len(prefix) :] for name in self._texts if name.startswith(prefix)]
        return sorted({(rest.partition("/")[0], "/" in rest) for rest in below})

    def identity(self, name: str) -> object:
        return name if name in self._texts else None

    def is_outside(self, name: str) -> bool:
        return False


def is_pattern(name: str) -> bool:
    """Tell whether a path is a pattern."""
    return not _MAGIC.isdisjoint(name)


def joined(base: str, path: str) -> str | None:
    """Return the name of `path` as the file `base` means it, None when it leaves the fleet folder."""
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), path))
    return None if name.startswith(("/", "~", "../")) or name in ("..", ".") else name


def matches(shelf: Shelf, pattern: str) -> list[str]:
    """Return the names that a pattern matches, sorted. Raises TooMany."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part != "**" or parts[-1:] != ["**"]:
            parts.append(part)
    left = [_MOST_FOLDERS]
    return sorted(set(_walk(shelf, "", parts, left)))


def _walk(shelf: Shelf, folder: str, parts: list[str], left: list[int]) -> Iterator[str]:
    left[0] -= 1
    if left[0] < 0:
        raise TooMany
    head, rest = parts[0], parts[1:]
    prefix = f"{folder}/" if folder else ""
    if not is_pattern(head):
        names = [name for name, _ in shelf.entries(folder) if name == head]
        yield from _behind(shelf, prefix, names, rest, left)
    elif head != "**":
        is_hidden = head.startswith(".")
        names = [name for name, _ in shelf.entries(folder) if fnmatchcase(name, head) and (is_hidden or not name.startswith("."))]
        yield from _behind(shelf, prefix, names, rest, left)
    else:
        yield from _walk(shelf, folder, rest or ["*"], left)
        for name, is_folder in shelf.entries(folder):
            if is_folder and not name.startswith("."):
                yield from _walk(shelf, prefix + name, parts, left)


def _behind(shelf: Shelf, prefix: str, names: list[str], rest: list[str], left: list[int]) -> Iterator[str]:
    for name in names:
        if rest:
            yield from _walk(shelf, prefix + name, rest, left)
        else:
            yield prefix + name
