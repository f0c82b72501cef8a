"""Files that survive a kill at any byte: atomic replacement, exclusive locks held for life, checksummed small records.

Nothing here knows what a file means. flock is imported where it is used, so that the module loads on every platform.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import LockHeld, SystemRefused

RECORD_BYTES = 2048
_ROLE_NOTE_BYTES = 200
_SAFELY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace `path` by `content` in one step; readers see the old or the new bytes, never a mixture.

    `durable` also syncs file and folder (data/); files under run/ are void after a reboot and are not synced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFELY, mode)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(path: Path, value: object, *, mode: int = 0o600, durable: bool = False) -> None:
    """Write `value` as JSON by write_atomic."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
    write_atomic(path, body, mode=mode, durable=durable)


def read_json(path: Path) -> object | None:
    """Return the JSON in `path`, or None when it is missing or not whole."""
    try:
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def read_small(path: Path, limit: int = 1 << 16) -> bytes:
    """Return the first bytes of a plain file that a bot may have put there; raises OSError for anything else.

    A FIFO in its place would hold up the reader for ever, a link lead it elsewhere, an endless file fill its memory.
    """
    with opened(open_plain(path)) as descriptor:
        return os.read(descriptor, limit)


def open_plain(path: Path | str, how: int = os.O_RDONLY, *, within: int | None = None, is_only_name: bool = False) -> int:
    """Open a plain file (below the open folder `within`), neither following a link nor waiting; raises OSError for anything else.

    `is_only_name` also refuses a file with a second name: somebody may have put a hard link to another's file there.
    """
    descriptor = os.open(path, how | getattr(os, "O_NONBLOCK", 0) | _SAFELY, 0o600, dir_fd=within)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or (is_only_name and facts.st_nlink != 1):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def open_folder(path: Path | str, *, within: int | None = None) -> int:
    """Open a folder (below the open folder `within`) for what is opened in it next; raises OSError for a link and anything else."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _SAFELY, dir_fd=within)


@contextlib.contextmanager
def opened(descriptor: int) -> Iterator[int]:
    """Close `descriptor` at the end of the block."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class RecordFile:
    """One small JSON object in a preallocated file: rewriting it needs no new disk block, so it works on a full disk.

    The layout is `crc32 length json padding`, RECORD_BYTES in all; a torn or foreign content reads as None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def open(self) -> None:
        """Open or create the file and reserve its blocks; repeated calls change nothing."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _SAFELY, 0o600)
            if os.fstat(self._descriptor).st_size < RECORD_BYTES:
                os.pwrite(self._descriptor, b"\0" * RECORD_BYTES, 0)

    def write(self, value: object) -> None:
        """Overwrite the record; raises SystemRefused when it does not fit or the disk refuses."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(body) > RECORD_BYTES - 16:
            raise SystemRefused(f"record {self.path} has {len(body)} bytes, at most {RECORD_BYTES - 16} fit")
        try:
            self.open()
            reach(CrashPoint.PSVD_BEFORE_RECORD)
            os.pwrite(self._descriptor, b"%08x %06d " % (zlib.crc32(body), len(body)) + body, 0)
            reach(CrashPoint.PSVD_AFTER_RECORD)
        except OSError as err:
            raise SystemRefused(f"cannot write {self.path}: {err.strerror}") from err

    def close(self) -> None:
        """Close the descriptor; the content stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_record(path: Path) -> dict[str, object] | None:
    """Return the object of a RecordFile, or None when it is missing, torn or not a record."""
    try:
        raw = path.read_bytes()
        length = int(raw[9:15])
        body = raw[16 : 16 + length]
        if int(raw[:8], 16) != zlib.crc32(body):
            return None
        value = json.loads(body)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def try_flock(descriptor: int) -> bool:
    """Take an exclusive flock without waiting; False when somebody else holds it."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as err:
        raise SystemRefused(
            f"this file system refuses flock: {err.strerror}", hint="put the fleet folder on a local file system (ext4, xfs, btrfs, tmpfs)"
        ) from err
    return True


def is_flocked(path: Path) -> bool:
    """Tell whether some process holds the exclusive lock of `path`; False when the file is missing."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return False
    try:
        # A lock taken for the test is dropped by close; the window is harmless: real takers retry or report the holder.
        return not try_flock(descriptor)
    finally:
        os.close(descriptor)


def hold_role_lock(path: Path, note: str) -> int:
    """Take `path` for the life of this process and return its descriptor (kept by the caller, close-on-exec).

    Raises LockHeld with the note of the present holder.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not try_flock(descriptor):
        holder = os.pread(descriptor, _ROLE_NOTE_BYTES, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise LockHeld(f"{path.name} is held by {holder or 'another process'}")
    # Written over, never cut first: on a full disk the block that an earlier note had is enough.
    os.pwrite(descriptor, note.encode().ljust(_ROLE_NOTE_BYTES), 0)
    os.ftruncate(descriptor, max(_ROLE_NOTE_BYTES, len(note.encode())))
    return descriptor
