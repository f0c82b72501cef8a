"""Making a release: copied and hashed into `.psv/releases/.new`, made read-only, renamed to its number in one step.

Whoever makes one holds a lock, so what begins with a dot is left over of somebody who was killed, and is removed. A number is noted
before it is used and never used again. On any failure nothing is left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import LockHeld, Refused, refused_by_system
from processsupervisor.kernel.files import try_flock, write_atomic
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.release.checkout import git_facts
from processsupervisor.release.compiling import compile_all
from processsupervisor.release.ignoring import FILE_NAME, Ignoring
from processsupervisor.release.keeping import remove_tree
from processsupervisor.release.manifest import Item, Manifest, numbers, read_manifest, write_manifest
from processsupervisor.release.selection import DEFAULT_LIMIT_BYTES, Entry, Selection, select
from processsupervisor.release.venv import Tools, make_environment

_NEW = ".new"
_LAST = ".last"
_CHUNK_BYTES = 1 << 20
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `left_out` are paths below the fleet folder that the settings name and that are no code."""

    note: str = ""
    author: str = ""
    with_venv: bool = False
    again: bool = False
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    left_out: frozenset[str] = frozenset()


@dataclass
class Made:
    """The outcome: a new release, or (`is_new` false) the newest one, which has the same content."""

    manifest: Manifest
    is_new: bool
    notes: list[str] = field(default_factory=list)


def create(paths: FleetPaths, wish: Wish, say: Callable[[str], None] = lambda _line: None) -> Made:
    """Copy the fleet folder into a new release.

    Raises Refused for what cannot be part of a copy, SystemRefused when the disk or the folder refuses, LockHeld while another one is made.
    """
    selection = select(paths.folder, Ignoring(_ignore_text(paths.folder), wish.left_out), wish.limit_bytes)
    try:
        with _only_one(paths) as lock:
            new = paths.releases / _NEW
            try:
                return _make(paths, new, wish, selection, Tools(lock, say))
            finally:
                remove_tree(new)
    except OSError as err:
        raise refused_by_system(f"cannot make a release in {paths.releases}", err, hint="free disk space; nothing was left there") from err


def _ignore_text(folder: Path) -> str:
    try:
        return (folder / FILE_NAME).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


@contextmanager
def _only_one(paths: FleetPaths) -> Iterator[int]:
    """Hold the lock of making, and yield its descriptor, in a folder without what others left half made."""
    paths.psv.mkdir(mode=0o700, exist_ok=True)
    if not paths.releases.is_dir():
        paths.releases.mkdir()
        paths.releases.chmod(0o711)  # not by mkdir, which the umask cuts; bots of other users run from below
    lock = os.open(paths.releases / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not try_flock(lock):
            raise LockHeld("another release is being made in this fleet", hint="wait until that is done")
        for entry in paths.releases.iterdir():
            if entry.name.startswith(".") and entry.name not in (".lock", _LAST):
                remove_tree(entry)
        yield lock
    finally:
        os.close(lock)


def _make(paths: FleetPaths, new: Path, wish: Wish, selection: Selection, tools: Tools) -> Made:
    new.mkdir()
    (new / "files").mkdir()
    items = [_copy(paths.folder, new / "files", entry) for entry in selection.entries]
    number = _next_number(paths)
    manifest = Manifest(number, wall(), wish.author, wish.note, git_facts(paths.folder), None, items)
    newest = _newest(paths)
    if newest is not None and newest.content == manifest.content and not wish.again and (newest.venv is not None or not wish.with_venv):
        return Made(newest, is_new=False, notes=selection.notes)
    if wish.with_venv:
        manifest.venv = make_environment(new, paths.release(number), tools)
    compile_all(new, paths.release(number))
    write_manifest(new, manifest)
    _seal(new)
    write_atomic(paths.releases / _LAST, f"{number}\n".encode(), durable=True)
    new.rename(paths.release(number))
    _sync_folder(paths.releases)
    return Made(manifest, is_new=True, notes=selection.notes)


def _newest(paths: FleetPaths) -> Manifest | None:
    known = numbers(paths)
    return read_manifest(paths, known[-1]) if known else None


def _next_number(paths: FleetPaths) -> int:
    try:
        last = int((paths.releases / _LAST).read_text())
    except (OSError, ValueError):
        last = 0
    return max([last, *numbers(paths)]) + 1


def _copy(source: Path, target: Path, entry: Entry) -> Item:
    place = target / entry.path
    if entry.kind == "folder":
        place.mkdir()
        return Item(entry.path, "folder")
    if entry.kind == "link":
        place.symlink_to(entry.target)
        return Item(entry.path, "link", target=entry.target)
    for _ in range(_TRIES):
        if (item := _copy_file(source / entry.path, place, entry.path)) is not None:
            return item
    raise Refused(f"{entry.path} changes while it is copied", hint=f"name it in {FILE_NAME} if it is no code, else try again")


def _copy_file(source: Path, place: Path, path: str) -> Item | None:
    """Copy one file with its time; None when it changed meanwhile. Who owns it may read it as before, nobody may write."""
    digest = hashlib.sha256()
    try:
        reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as err:
        raise Refused(f"{path} went away while it was copied", hint=f"name it in {FILE_NAME} if it is no code, else try again") from err
    with open(reading, "rb") as file, open(place, "wb", opener=_private) as copy:
        before = os.fstat(reading)
        if not stat.S_ISREG(before.st_mode):
            return None
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
        after = os.fstat(reading)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or copy.tell() != after.st_size:
            return None
        mode = stat.S_IMODE(after.st_mode) & 0o555
        if os.geteuid() == 0:
            os.fchown(copy.fileno(), after.st_uid, after.st_gid)  # a private file of a bot's user stays readable for it
        os.fchmod(copy.fileno(), mode | 0o200)
        os.utime(copy.fileno(), ns=(after.st_atime_ns, after.st_mtime_ns))
    return Item(path, "file", mode, after.st_size, digest.hexdigest())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _seal(new: Path) -> None:
    """Take away every right to write below a release; a folder is sealed after what is in it."""
    for where, _, names in os.walk(new, topdown=False):
        for path in (Path(where, name) for name in names):
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.lstat().st_mode) & 0o555)
        Path(where).chmod(0o555)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
