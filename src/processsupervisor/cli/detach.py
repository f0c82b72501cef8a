"""Leave a keeper behind in the background: double fork, own session, and wait until psvd answers or the keeper has ended.

The caller learns the keeper's pid through a pipe and watches it by pidfd, so a keeper that ends at once is told apart from a
slow one, and its last words are shown.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from enum import Enum
from pathlib import Path

from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import NoSupervisor, PsvError
from processsupervisor.kernel.paths import FleetPaths

RETRY_S = 0.02
OUT_BYTES = 1 << 20


class Started(Enum):
    """How a detached start came out: a new keeper, or another one was quicker."""

    NEW = "new"
    ALREADY = "already"


def start_detached(paths: FleetPaths, argv: list[str], timeout_s: float) -> Started:
    """Start `argv` as the keeper and return when psvd answers. Raises PsvError with the keeper's last words when it ends."""
    out = paths.own_logs / "keeper.out"
    with contextlib.suppress(FileNotFoundError):
        if out.stat().st_size > OUT_BYTES:
            out.unlink()
    offset = out.stat().st_size if out.exists() else 0
    pid, keeper = _spawn(argv, out)
    deadline = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            if _has_ended(keeper, 0):
                return _explain_end(paths, out, offset)
            try:
                with ControlClient(paths, max(0.1, deadline - time.monotonic())) as client:
                    # A psvd that has outlived its keeper answers too: what counts is one that knows the new keeper.
                    if _keeper_of(client.call("fleet.status")) == pid:
                        return Started.NEW
            except NoSupervisor:
                pass
            except PsvError:
                continue
            _has_ended(keeper, RETRY_S)
    finally:
        if keeper >= 0:
            os.close(keeper)
    said = last_words(paths.own_logs / "psvd.err")
    reason = f": {said}" if said else ""
    raise PsvError(f"psvd gave no answer within {timeout_s:g} s{reason}", hint=f"see {paths.own_logs}; stop it with psv down")


def _keeper_of(fleet: object) -> int | None:
    processes = fleet.get("processes") if isinstance(fleet, dict) else None
    rows = [row for row in processes if isinstance(row, dict)] if isinstance(processes, list) else []
    return next((row.get("pid") for row in rows if row.get("role") == "keeper"), None)


def _spawn(argv: list[str], out: Path) -> tuple[int, int]:
    """Double-fork `argv` and return its pid and pidfd; the pidfd is -1 when it ended before that could be had."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    middle = os.fork()
    if middle == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _become(argv, out, writing)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(middle, 0)
    with open(reading, "rb") as pipe:
        text = pipe.read()
    pid = int(text or b"0")
    try:
        return pid, os.pidfd_open(pid) if pid else -1
    except OSError:
        return pid, -1


def _become(argv: list[str], out: Path, writing: int) -> None:
    """Run in the grandchild: standard streams, tell the pid, exec; never returns."""
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        sink = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, null), (1, sink), (2, sink)):
            os.dup2(source, target, inheritable=True)
        os.chdir("/")  # a daemon keeps no mount busy
        os.write(writing, str(os.getpid()).encode())
        os.execv(argv[0], argv)
    except OSError as err:
        os.write(2, f"psv: cannot run {argv[0]}: {err.strerror}\n".encode())
    finally:
        os._exit(127)


def _has_ended(keeper: int, timeout_s: float) -> bool:
    return keeper < 0 or bool(select.select([keeper], [], [], timeout_s)[0])


def _explain_end(paths: FleetPaths, out: Path, offset: int) -> Started:
    try:
        with ControlClient(paths, 2.0) as client:
            client.call("ping")
            return Started.ALREADY  # another psv up took the lock first
    except PsvError:
        pass
    said = last_words(out, offset)
    raise PsvError(f"the keeper ended at once: {said or 'it said nothing'}", hint=f"see {paths.own_logs}")


def last_words(path: Path, offset: int = 0) -> str:
    """Return the last line that a process of ours has written to `path` from `offset` on; empty for none."""
    try:
        lines = path.read_bytes()[offset:].decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip().removeprefix("psv: ") for line in reversed(lines) if line.strip()), "")
