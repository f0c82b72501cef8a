"""Which files of a folder a glob of `include` matches. Standard library only: psvd asks it whether there are others by now.

Names are paths from the fleet folder with slashes. `*`, `?` and `[...]` match within one name, `**` any folders; what begins with a dot
is matched only by a dot. Links to folders are followed by name, and not by `**`.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_MAGIC = frozenset("*?[")
_MOST_FOLDERS = 1000

Entries = Callable[[str], list[tuple[str, bool]]]
"""Returns the names in a folder, sorted, each with whether it is a folder (not by a link)."""


class TooMany(Exception):
    """A glob looks into more folders than is sensible."""


def is_glob(name: str) -> bool:
    """Tell whether a path is a glob."""
    return not _MAGIC.isdisjoint(name)


def joined(base: str, path: str) -> str | None:
    """Return the name of `path` as the file `base` means it, None when it leaves the fleet folder."""
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), path))
    return None if name.startswith(("/", "~", "../")) or name in ("..", ".") else name


def entries_of(base: Path, folder: str) -> list[tuple[str, bool]]:
    """Return the entries of a folder below `base` as it is; one that cannot be read has none."""
    try:
        with os.scandir(base / folder) as found:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except OSError:
        return []


def matches(entries: Entries, glob: str) -> list[str]:
    """Return the names that a glob matches, sorted. Raises TooMany."""
    parts: list[str] = []
    for part in glob.split("/"):
        if part != "**" or parts[-1:] != ["**"]:
            parts.append(part)
    return sorted(set(_walk(entries, "", parts, [_MOST_FOLDERS])))


def _walk(entries: Entries, folder: str, parts: list[str], left: list[int]) -> Iterator[str]:
    left[0] -= 1
    if left[0] < 0:
        raise TooMany
    head, rest = parts[0], parts[1:]
    prefix = f"{folder}/" if folder else ""
    if head == "**":
        yield from _walk(entries, folder, rest or ["*"], left)
        for name, is_folder in entries(folder):
            if is_folder and not name.startswith("."):
                yield from _walk(entries, prefix + name, parts, left)
        return
    for name, _ in entries(folder):
        if name == head or (is_glob(head) and fnmatchcase(name, head) and (head.startswith(".") or not name.startswith("."))):
            if rest:
                yield from _walk(entries, prefix + name, rest, left)
            else:
                yield prefix + name
