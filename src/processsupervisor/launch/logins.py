"""The ledgers of starts that login budgets are counted by, written by the bot itself just before its program begins.

A ledger belongs to a lock: of a token or session file, or of the bot when it has neither. One lies in the fleet folder under a
name made with the fleet's own key, so that it holds after a reboot; one in the user's runtime folder under the lock's name, so
that fleets which share a token count together until the machine is restarted. Neither shows the token. A full disk costs an
entry, never a start.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.identity import boot_id, runtime_folder
from processsupervisor.kernel.paths import FleetPaths

_ENTRY = struct.Struct("<dd16sQ")
"""Wall time, seconds since boot, boot id, pid. A start stands in two ledgers as the same bytes."""
_Names = list[tuple[str, str]]
"""For each lock its name in the fleet folder and in the runtime folder; the second is empty for a bot without locks."""
KEPT_LEAST = 1000
"""So many starts a ledger keeps at least: another bot on the same lock, or the next fleet.toml, may count by more than this one."""


def note_start(paths: FleetPaths, bot: str, names: _Names, count: int) -> None:
    """Note one start of `bot` in the ledgers of `names`; they keep the newest `count`, and KEPT_LEAST."""
    entry = _ENTRY.pack(wall(), boottime(), _boot(), os.getpid())
    names = names or [(bot, "")]
    with contextlib.suppress(OSError):
        paths.logins.mkdir(mode=0o700, exist_ok=True)
        if read_json(_list_of(paths, bot)) != [list(pair) for pair in names]:
            write_json(_list_of(paths, bot), names, durable=True)
    for path in _ledgers(paths, names):
        with contextlib.suppress(OSError):
            _append(path, entry, max(count, KEPT_LEAST))


def ages_of_starts(paths: FleetPaths, bot: str) -> list[float]:
    """Return how long ago the known starts on the locks of `bot` were, in seconds, newest first.

    Of this boot they are counted by CLOCK_BOOTTIME; of an earlier one by wall time, but at least by the time since this boot.
    """
    listed = read_json(_list_of(paths, bot))
    pairs = [pair for pair in listed if isinstance(pair, list) and len(pair) == 2] if isinstance(listed, list) else []
    entries: set[bytes] = set()
    for path in _ledgers(paths, [(str(in_fleet), str(of_user)) for in_fleet, of_user in pairs] or [(bot, "")]):
        entries.update(_entries(path))
    now_wall, now_boot, boot = wall(), boottime(), _boot()
    ages = []
    for at_wall, at_boot, at, _ in map(_ENTRY.unpack, entries):
        ages.append(max(0.0, now_boot - at_boot) if at == boot else max(now_boot, now_wall - at_wall))
    return sorted(ages)


def _list_of(paths: FleetPaths, bot: str) -> Path:
    return paths.logins / f"{bot}.locks"


def _ledgers(paths: FleetPaths, names: _Names) -> Iterable[Path]:
    for in_fleet, of_user in names:
        yield paths.logins / f"{in_fleet}.starts"
        if of_user:
            yield runtime_folder() / "locks" / f"{of_user}.starts"


def _boot() -> bytes:
    return bytes.fromhex(boot_id().replace("-", ""))[:16].ljust(16, b"\0")


def _entries(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except OSError:
        return []
    whole = len(content) - len(content) % _ENTRY.size
    return [content[at : at + _ENTRY.size] for at in range(0, whole, _ENTRY.size)]


def _append(path: Path, entry: bytes, count: int) -> None:
    """Add an entry under the ledger's lock; one that has twice what is needed is cut. Killed in mid-cut it holds entries twice, no more."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held by bots for microseconds
        size = os.fstat(descriptor).st_size // _ENTRY.size * _ENTRY.size
        if size >= 2 * count * _ENTRY.size:
            kept = os.pread(descriptor, count * _ENTRY.size, size - count * _ENTRY.size)
            os.pwrite(descriptor, kept, 0)
            os.ftruncate(descriptor, len(kept))
            size = len(kept)
        os.pwrite(descriptor, entry, size)
    finally:
        os.close(descriptor)
