"""A configuration on its way to psvd and back: the candidate file in which it comes, and the parts in which a version is read.

Only psvd keeps versions; a candidate is a private file that lives for one call. Nothing is printed here: the command line and the
child that psvd starts for a reload say it each in its way.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from processsupervisor.config.content import pack, unpack
from processsupervisor.config.spec import Applied
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import PsvError, SystemRefused
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths

_LEFT_OVER_S = 3600.0

Event = dict[str, Any]
Sources = Mapping[str, bytes | str]
"""The files of a configuration: their content by their path from the fleet folder, fleet.toml first."""


def running(client: ControlClient) -> dict[str, Any]:
    """Return what psvd says of the version that runs: number, at, author, reason, source_digest, rejected, rollout."""
    answer: dict[str, Any] = client.call("config.running")
    return answer


def content(client: ControlClient, number: int | None = None) -> tuple[Applied, dict[str, str]]:
    """Return a kept version (None: the running one) and the text of its files. Raises PsvError for one that cannot be read."""
    parts: list[bytes] = []
    for event in client.stream("config.content", {"number": number}):
        if event.get("kind") == "part":
            parts.append(base64.b64decode(str(event.get("data"))))
    try:
        return unpack(b"".join(parts))
    except ValueError as err:
        what = "the running version" if number is None else f"version {number}"
        raise PsvError(f"{what} cannot be read: it is not whole", hint="psv config versions lists the others") from err


def apply(
    client: ControlClient, paths: FleetPaths, applied: Applied, sources: Sources, arguments: Mapping[str, object]
) -> Generator[Event, None, dict[str, Any]]:
    """Have psvd apply a configuration: yield its events and return its result. `arguments` are base, reason, now and again.

    Raises SystemRefused when the candidate cannot be written, and what psvd refuses with; nothing has changed then.
    """
    token = _put(paths, applied, sources)
    try:
        result: dict[str, Any] = yield from client.stream("config.apply", {"token": token, **arguments}, timeout_s=0)
        return result
    finally:  # psvd takes it away itself, unless the call never got there
        with contextlib.suppress(OSError):
            (_folder(paths) / token).unlink(missing_ok=True)


def _folder(paths: FleetPaths) -> Path:
    return paths.data / "candidates"


def _sweep(folder: Path) -> None:
    """Remove what a client that was killed has left, which may hold tokens of bots."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < wall() - _LEFT_OVER_S:
                path.unlink()


def _put(paths: FleetPaths, applied: Applied, sources: Sources) -> str:
    """Write the candidate for whoever owns the fleet, and return its token."""
    token = secrets.token_hex(16)
    folder = _folder(paths)
    texts = {path: text if isinstance(text, str) else text.decode("utf-8", "surrogateescape") for path, text in sources.items()}
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _sweep(folder)
        write_atomic(folder / token, pack(applied, texts), mode=0o600)
        owner = paths.data.stat()
        if os.geteuid() != owner.st_uid:
            for path in (folder, folder / token):
                os.chown(path, owner.st_uid, owner.st_gid)
    except OSError as err:
        with contextlib.suppress(OSError):
            (folder / token).unlink(missing_ok=True)
        what = f"cannot write in {folder}: {err.strerror}"
        raise SystemRefused(what, hint="only who owns the fleet changes its settings; check free space too. Nothing was changed") from err
    return token
