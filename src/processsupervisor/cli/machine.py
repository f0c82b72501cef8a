"""What this machine must offer before a fleet starts in a folder, tried out rather than guessed.

`require_linux` and `require_folder` raise one clear error each; `psv doctor` asks the same probes. Nothing is left
behind in the folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path

from processsupervisor.kernel.errors import ConfigError, PsvError, SystemRefused
from processsupervisor.kernel.paths import FleetPaths

MINIMUM_KERNEL = (5, 10)
MAX_FOLDER_BYTES = 511 - len("/.psv/data/bots//bot.db") - 63
"""SQLite opens no path of more than 511 bytes, and follows every link to the real one; 63 is the longest name of a bot."""
CONTAINER_HINT = "run the container: docker compose up (see compose.yaml)"


def require_linux() -> None:
    """Raise ConfigError (status 2) where fleets cannot run."""
    if sys.platform != "linux":
        raise ConfigError("fleets need Linux", hint=CONTAINER_HINT, code="platform")
    if kernel_version() < MINIMUM_KERNEL or not hasattr(os, "pidfd_open"):
        raise ConfigError(f"fleets need Linux 5.10 or newer with pidfd, this is {os.uname().release}", hint=CONTAINER_HINT, code="platform")


def kernel_version() -> tuple[int, int]:
    """Return (major, minor) of the running kernel; (0, 0) when it is not told."""
    parts = os.uname().release.split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()))
    except (IndexError, ValueError):
        return 0, 0


def require_folder(paths: FleetPaths) -> None:
    """Create .psv and prove that locks and FIFOs work there; raises SystemRefused naming what does not."""
    length = len(os.fsencode(os.path.realpath(paths.folder)))
    if length > MAX_FOLDER_BYTES:
        hint = f"SQLite opens no longer ones; move the fleet to a path of at most {MAX_FOLDER_BYTES}"
        raise SystemRefused(f"the path of the fleet folder has {length} bytes", hint=hint)
    _require_owner(paths.psv)
    try:
        paths.ensure()
    except PermissionError as err:
        place = err.filename or paths.folder
        raise SystemRefused(f"may not write in {place}", hint="fleets write below .psv; give this user the folder") from err
    except (FileExistsError, NotADirectoryError) as err:
        raise SystemRefused(f"{err.filename} is not a folder", hint="move it away") from err
    except OSError as err:
        raise SystemRefused(f"cannot write in {paths.folder}: {err.strerror}", hint="put the fleet folder on a writable disk") from err
    problem = probe_folder(paths.run)
    if problem:
        raise SystemRefused(problem, hint="put the fleet folder on a local file system (ext4, xfs, btrfs, tmpfs)")


def probe_folder(folder: Path) -> str:
    """Return what the file system of `folder` cannot do of what a fleet needs; empty when all is there."""
    from processsupervisor.kernel.files import try_flock

    lock, fifo, sock = (folder / f".probe-{os.getpid()}.{kind}" for kind in ("lock", "fifo", "sock"))
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try_flock(descriptor)
        finally:
            os.close(descriptor)
    except PsvError as err:
        return f"the file system of {folder} has no working flock: {err.message}"
    except OSError as err:
        return f"cannot write in {folder}: {err.strerror}"
    finally:
        _forget(lock)
    try:
        os.mkfifo(fifo, 0o600)
        if not stat.S_ISFIFO(fifo.lstat().st_mode):
            return f"the file system of {folder} has no FIFOs"
    except OSError as err:
        return f"the file system of {folder} has no FIFOs: {err.strerror}"
    finally:
        _forget(fifo)
    return _probe_socket(sock)


def _probe_socket(path: Path) -> str:
    import socket

    from processsupervisor.kernel.paths import short_socket_path

    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.bind(short_socket_path(path, folder))
    except OSError as err:
        return f"the file system of {path.parent} has no unix sockets: {err.strerror}"
    finally:
        probe.close()
        os.close(folder)
        _forget(path)
    return ""


def _require_owner(psv: Path) -> None:
    try:
        owner = psv.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as err:
        raise SystemRefused(f"cannot read {psv}: {err.strerror}", hint="give this user the fleet folder") from err
    if owner != os.getuid():
        hint = "run psv as that user, or remove .psv after its fleet is down"
        raise PsvError(f"{psv} belongs to uid {owner}, this is uid {os.getuid()}", hint=hint)


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
