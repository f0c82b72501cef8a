"""The locks a bot holds for its whole life: its own, and one for every network token or session file it names.

Each is an flock on a descriptor at 100 or above that is inherited through fork and exec, so it is free only when the
whole tree is gone. The file says who holds it (invariant I1). Token locks are named by an HMAC under the machine user's
runtime folder: they work across fleets and never show the token.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.files import is_flocked, try_flock
from processsupervisor.kernel.identity import Identity, boot_id, runtime_folder
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import FIRST_HIGH_FD, LaunchContext, LaunchFailed

_PATIENCE_S = 1.0
_NOTE_BYTES = 1024


def read_holder(path: Path) -> dict[str, Any] | None:
    """Return what the last holder of a lock wrote into it: identity, bot, folder, generation; None when nothing readable is there."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_NOTE_BYTES).rstrip(b"\0 "))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def reserve_note(path: Path) -> None:
    """Make a lock file with room for its note, unless it has that already; raises OSError when the disk is full."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size < _NOTE_BYTES:
            os.pwrite(descriptor, b" " * (_NOTE_BYTES - size), size)
    finally:
        os.close(descriptor)


def acquire_high(path: Path, note: dict[str, Any], *, patience_s: float = _PATIENCE_S) -> int | None:
    """Take the flock of `path` on an inheritable descriptor >= 100 and write `note` into it; None when it stays held.

    The patience covers a reader that tests the lock at this moment by taking it for an instant.
    """
    import fcntl

    low = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        descriptor = fcntl.fcntl(low, fcntl.F_DUPFD, FIRST_HIGH_FD)
    finally:
        os.close(low)
    deadline = time.monotonic() + patience_s
    while not try_flock(descriptor):
        if time.monotonic() >= deadline:
            os.close(descriptor)
            return None
        time.sleep(0.005)
    body = json.dumps(note).encode()[:_NOTE_BYTES]
    try:
        os.pwrite(descriptor, body.ljust(_NOTE_BYTES, b" "), 0)
    except OSError:
        os.close(descriptor)  # or a process that tries again would find the lock held by itself
        raise
    return descriptor


def _note(context: LaunchContext) -> dict[str, Any]:
    identity = Identity.of(os.getpid())
    return {
        "bot": context.bot,
        "folder": str(context.paths.folder),
        "generation": context.generation,
        **(identity.to_json() if identity else {"pid": os.getpid(), "boot_id": boot_id()}),
    }


def token_holder(token: str) -> dict[str, Any] | None:
    """Return the note of whoever holds the lock of a network token now, in any fleet of this user; None when nobody does."""
    try:
        key = (runtime_folder() / "lock.key").read_bytes()
        path = runtime_folder() / "locks" / _lock_name(key, "token", token)
        return (read_holder(path) or {}) if is_flocked(path) else None
    except (OSError, PsvError):  # there was never a lock, or none that could be read
        return None


def _describe(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "another process"
    return f"bot {holder.get('bot')} of the fleet in {holder.get('folder')} (pid {holder.get('pid')})"


def lock_bot(context: LaunchContext) -> None:
    """Take the bot's own lock before anything else; raises LaunchFailed(lock-held) naming the holder."""
    path = context.paths.bot_run(context.bot) / "lock"
    descriptor = acquire_high(path, _note(context))
    if descriptor is None:
        raise LaunchFailed(
            Reason.LOCK_HELD,
            f"{context.bot} is already running: its lock is held by {_describe(read_holder(path))}",
            hint=f"see who holds {path}",
        )
    context.kept_fds.add(descriptor)


def _network_tokens(spec: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the token of each network of a native bot; the proxy of an unmodified bot locks its own."""
    tables = spec.get("networks") or {}
    return [
        {"network": name, "token": table["token"]}
        for name, table in tables.items()
        if isinstance(table, dict) and isinstance(table.get("token"), str) and table["token"]
    ]


def lock_resources(context: LaunchContext, environment: dict[str, str]) -> None:
    """Take every lock the spec names; raises LaunchFailed(lock-held) with the holder, or (config) when a name has no value."""
    for entry in [*(context.spec.get("lock") or []), *_network_tokens(context.spec)]:
        if "token" in entry:
            kind, what, secret = "token", f"the token of networks.{entry['network']}", entry["token"]
        elif "env" in entry:
            name = str(entry["env"])
            value = environment.get(name, "")
            if not value:
                raise LaunchFailed(
                    Reason.CONFIG,
                    f"lock names the environment variable {name}, which is empty or not set",
                    hint="set it in env or env_file",
                )
            kind, what = "token", f"the token in {name}"
            secret = value
        else:
            kind, what = "file", f"the file {entry['file']}"
            secret = os.path.realpath(os.path.join(context.paths.folder, str(entry["file"])))
        descriptor, lock_name = _hold(kind, what, secret, _note(context))
        context.kept_fds.add(descriptor)
        if context.spec.get("login_budget"):
            with contextlib.suppress(OSError):  # a full disk costs the entry, not the start
                context.ledgers.append((_ledger_name(context, kind, secret), lock_name))


def hold_token(paths: FleetPaths, bot: str, token: str) -> int:
    """Take the lock of a network token for a process of psv's own that acts for `bot`; return its descriptor. Raises LaunchFailed."""
    identity = Identity.of(os.getpid())
    note = {"bot": bot, "folder": str(paths.folder), "generation": 0, **(identity.to_json() if identity else {})}
    return _hold("token", f"the token of {bot}", token, note)[0]


def _hold(kind: str, what: str, secret: str, note: dict[str, Any]) -> tuple[int, str]:
    """Return the descriptor and the name of a lock that was taken; raises LaunchFailed(lock-held) with the holder."""
    lock_name = _lock_name(_lock_key(runtime_folder() / "lock.key"), kind, secret)
    path = runtime_folder() / "locks" / lock_name
    descriptor = acquire_high(path, note)
    if descriptor is None:
        raise LaunchFailed(
            Reason.LOCK_HELD,
            f"{what} is in use by {_describe(read_holder(path))}",
            hint="a token or session file must not be used twice; stop the other bot first",
        )
    return descriptor, lock_name


def _ledger_name(context: LaunchContext, kind: str, secret: str) -> str:
    """Return the name of a lock in this fleet's folder, which is the same after a restart of the machine."""
    context.paths.logins.mkdir(mode=0o700, exist_ok=True)
    return _lock_name(_lock_key(context.paths.logins / "key"), kind, secret)


def _lock_name(key: bytes, kind: str, secret: str) -> str:
    import hmac  # here, because it loads OpenSSL: the keeper, which forks programs, stays 4 MB smaller

    return hmac.new(key, f"{kind}\0{secret}".encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:40]


def _lock_key(path: Path) -> bytes:
    """Return a key for lock names, made at first use; one winner when several make it at once."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(os.urandom(32))
    temporary.chmod(0o600)
    try:
        os.link(temporary, path)  # fails if somebody was faster: theirs counts
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_bytes()
