"""What the keeper lays before the first role starts: folder epoch, open-file limit, listening sockets, list of fleets, own log.

run/ is void after a reboot, and void too when the folder is a copy of a running fleet's: the epoch file names boot, device
and inode of run/ itself. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import time
import zlib
from pathlib import Path

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import PsvError, SystemRefused
from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.identity import Identity, boot_id, runtime_folder
from processsupervisor.kernel.paths import FleetPaths, short_socket_path

_BACKLOG = 4096
_LOG_BYTES = 1 << 20


def enter_epoch(paths: FleetPaths) -> None:
    """Empty run/ unless it was written in this boot and in this very folder (a moved folder keeps its inode)."""
    reach(CrashPoint.KEEPER_LOCKED)
    facts = paths.run.stat()
    present = {"boot_id": boot_id(), "device": facts.st_dev, "inode": facts.st_ino}
    if read_json(paths.epoch) == present:
        return
    for entry in paths.run.iterdir():
        if entry.name == "keeper.lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (paths.run / "bots").mkdir(mode=0o700)
    reach(CrashPoint.KEEPER_RUN_EMPTIED)
    write_json(paths.epoch, present)
    reach(CrashPoint.KEEPER_EPOCH_WRITTEN)


def raise_open_files() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one and return what it was before."""
    original = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (original[1], original[1]))
    return original


def bind_listeners(paths: FleetPaths, names: tuple[str, ...]) -> dict[str, socket.socket]:
    """Bind and listen on run/NAME.sock, 0600, for each name; an old socket is replaced in one step, so that nobody finds none."""
    listeners: dict[str, socket.socket] = {}
    folder = os.open(paths.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            path, made = paths.socket(name), paths.run / f".{name}.sock"
            made.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            previous = os.umask(0o177)
            try:
                listener.bind(short_socket_path(made, folder))
                listener.listen(_BACKLOG)
                made.replace(path)
            except OSError as err:
                raise SystemRefused(f"cannot bind {path}: {err.strerror}", hint="put the fleet folder on a local file system") from err
            finally:
                os.umask(previous)
            listener.setblocking(False)
            listeners[name] = listener
            reach(CrashPoint.KEEPER_LISTENER_BOUND)
    finally:
        os.close(folder)
    return listeners


def open_to_group(paths: FleetPaths, group: str) -> None:
    """Let the members of `group` reach the control socket, and nothing else: 0660 there, and the way to it 0710.

    Raises SystemRefused when the group does not exist or may not be given.
    """
    import grp

    try:
        number = grp.getgrnam(group).gr_gid
        for folder in (paths.psv, paths.run):
            os.chown(folder, -1, number)
            folder.chmod(0o710)
        os.chown(paths.socket("psv"), -1, number)
        paths.socket("psv").chmod(0o660)
    except KeyError as err:
        raise SystemRefused(f'[control] group = "{group}": there is no such group', hint="create it or correct fleet.toml") from err
    except OSError as err:
        raise SystemRefused(f'[control] group = "{group}" may not be given: {err.strerror}', hint="be a member of it, or root") from err


def list_fleet(paths: FleetPaths, applied: object) -> Path | None:
    """Enter this fleet in the machine user's list of fleets (`psv fleets`); returns the entry, or None when it cannot be."""
    fleet = applied.get("fleet", {}) if isinstance(applied, dict) else {}
    identity = Identity.of(os.getpid())
    try:
        entry = runtime_folder() / "fleets" / f"{zlib.crc32(os.fsencode(paths.folder)):08x}-{paths.run.stat().st_ino:x}.json"
        write_json(
            entry,
            {"folder": str(paths.folder), "name": fleet.get("name"), "since": time.time(), **(identity.to_json() if identity else {})},
        )
    except (OSError, PsvError):
        return None
    reach(CrashPoint.KEEPER_LISTED)
    return entry


def unlist_fleet(entry: Path | None) -> None:
    """Take the fleet out of the list again."""
    reach(CrashPoint.KEEPER_BEFORE_UNLIST)
    if entry is not None:
        with contextlib.suppress(OSError):
            entry.unlink()
    reach(CrashPoint.KEEPER_UNLISTED)


class OwnLog:
    """The keeper's own log: JSON lines in a file of at most twice _LOG_BYTES; without a disk it goes silent, never wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, message: str, **fields: object) -> None:
        """Append one line."""
        line = json.dumps({"time": time.time(), "role": "keeper", "message": message, **fields}) + "\n"
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size > _LOG_BYTES:
                    os.replace(self._path, self._path.with_suffix(".log.1"))
            with self._path.open("a") as file:
                file.write(line)
        except OSError:
            pass
