"""Which files of a fleet folder make a release: a walk that copies nothing and changes nothing.

Left out are what `ignoring` names, virtual environments, and what is no file (sockets, FIFOs, devices: with a note). Links are kept
while they stay inside; everything that cannot be part of a copy is named at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from processsupervisor.kernel.errors import Refused, SystemRefused
from processsupervisor.kernel.units import format_bytes
from processsupervisor.release.ignoring import FILE_NAME, Ignoring

MOST_FILES = 100_000
DEFAULT_LIMIT_BYTES = 500 << 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to copy; `path` relative with "/", `target` of a link as it is to be written."""

    path: str
    kind: Literal["file", "folder", "link"]
    size_bytes: int = 0
    target: str = ""


@dataclass
class Selection:
    """What makes a release, folders before what is in them, and what a person should know of it."""

    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size_bytes: int = 0
    _leading_out: list[str] = field(default_factory=list)
    _largest: dict[str, int] = field(default_factory=dict)


def select(folder: Path, ignoring: Ignoring, limit_bytes: int) -> Selection:
    """Return what of `folder` makes a release.

    Raises Refused for links that lead out and for more than `limit_bytes` or MOST_FILES, SystemRefused for what cannot be read.
    """
    selection = Selection()
    try:
        for path, entry in _walk(folder, "", ignoring):
            _take(selection, folder, path, entry, ignoring)
            if len(selection.entries) > MOST_FILES:
                raise Refused(f"more than {MOST_FILES} files", hint=f"name what is no code in {FILE_NAME}")
    except OSError as err:
        raise SystemRefused(f"cannot read {err.filename}: {err.strerror}", hint=f"mend its mode, or name it in {FILE_NAME}") from err
    if selection._leading_out:
        more = f" and {len(selection._leading_out) - _SHOWN} more" if len(selection._leading_out) > _SHOWN else ""
        hint = f"put a copy in its place, or name it in {FILE_NAME}"
        raise Refused(f"links lead out of what is copied: {', '.join(selection._leading_out[:_SHOWN])}{more}", hint=hint)
    if selection.size_bytes > limit_bytes:
        largest = sorted(selection._largest.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} ({format_bytes(size)})" for name, size in largest)
        text = f"the release would have {format_bytes(selection.size_bytes)}, at most {format_bytes(limit_bytes)} are allowed"
        raise Refused(f"{text}; largest: {named}", hint=f"name what is no code in {FILE_NAME}, or give --limit")
    return selection


def _walk(folder: Path, inside: str, ignoring: Ignoring) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{inside}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignoring.leaves_out(path, is_folder=is_folder) or (is_folder and _is_environment(entry.path)):
            continue
        yield path, entry
        if is_folder:
            yield from _walk(Path(entry.path), f"{path}/", ignoring)


def _is_environment(folder: str) -> bool:
    return os.path.lexists(f"{folder}/pyvenv.cfg")


def _take(selection: Selection, folder: Path, path: str, entry: os.DirEntry[str], ignoring: Ignoring) -> None:
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        _take_link(selection, folder, path, ignoring)
    elif stat.S_ISDIR(status.st_mode):
        selection.entries.append(Entry(path, "folder"))
    elif stat.S_ISREG(status.st_mode):
        selection.entries.append(Entry(path, "file", status.st_size))
        selection.size_bytes += status.st_size
        top = path.partition("/")[0]
        selection._largest[top] = selection._largest.get(top, 0) + status.st_size
    else:
        kind = "socket" if stat.S_ISSOCK(status.st_mode) else "FIFO" if stat.S_ISFIFO(status.st_mode) else "device"
        selection.notes.append(f"{path} is a {kind} and is left out")


def _take_link(selection: Selection, folder: Path, path: str, ignoring: Ignoring) -> None:
    """Keep a link as one relative to its own place, so that it means the copy; one to what is left out is left out with a note."""
    place = folder / path
    written = str(place.readlink())
    meant = os.path.normpath(place.parent / written)
    inside = os.path.relpath(meant, folder)
    if inside.startswith("..") or not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder)):
        selection._leading_out.append(f"{path} -> {written}")
    elif _is_left_out(folder, inside, ignoring):
        selection.notes.append(f"{path} leads to {inside}, which is no part of a release, and is left out")
    else:
        selection.entries.append(Entry(path, "link", target=os.path.relpath(meant, place.parent)))


def _is_left_out(folder: Path, path: str, ignoring: Ignoring) -> bool:
    parts = path.split("/")
    for length in range(1, len(parts) + 1):
        above = "/".join(parts[:length])
        is_folder = (folder / above).is_dir()
        if ignoring.leaves_out(above, is_folder=is_folder) or (is_folder and _is_environment(str(folder / above))):
            return True
    return False
