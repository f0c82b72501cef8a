"""The sending processes: one for each message under way, watched by the notifier's selector, ended at their deadline."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.code import Code
from processsupervisor.notify.job import Job, Result

K = TypeVar("K", bound=Hashable)
_GRACE_S = 5.0
"""What a sending process may take beyond its own deadline to start and to say how it went."""


@dataclass(slots=True)
class Courier(Generic[K]):
    """One sending process, and what it was sent for."""

    key: K
    process: subprocess.Popen[bytes]
    deadline_mono: float
    said: bytes = b""


class Couriers(Generic[K]):
    """All of them by their key."""

    def __init__(self, paths: FleetPaths, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._under_way: dict[K, Courier[K]] = {}
        # Marked like a hook: when the notifier is killed, psvd ends what it had under way (supervisor/strays.py).
        self._environment = os.environ | {"PSV_FLEET": str(paths.folder), "PSV_HOOK": "notify"}

    @property
    def keys(self) -> set[K]:
        """Return what is under way."""
        return set(self._under_way)

    def send(self, key: K, job: Job) -> None:
        """Begin a job; raises OSError when the system has no process left."""
        process = begin(job, self._environment)
        assert process.stdout is not None
        courier = Courier(key, process, mono() + job["timeout_s"] + _GRACE_S)
        self._under_way[key] = courier
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, courier)

    def read(self, courier: Courier[K]) -> Result | None:
        """Read what a sending process says; its result when it has ended."""
        assert courier.process.stdout is not None
        try:
            piece = os.read(courier.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return None
        courier.said += piece
        return None if piece else self._end(courier)

    def late(self) -> list[tuple[K, Result]]:
        """End the sending processes that are past their deadline."""
        now = mono()
        return [(c.key, self._end(c)) for c in list(self._under_way.values()) if c.deadline_mono <= now]

    def _end(self, courier: Courier[K]) -> Result:
        assert courier.process.stdout is not None
        self._selector.unregister(courier.process.stdout)
        del self._under_way[courier.key]
        courier.process.kill()
        courier.process.stdout.close()
        courier.process.wait()
        return result_of(courier.said)

    def close(self) -> None:
        """End all of them."""
        for courier in list(self._under_way.values()):
            self._end(courier)


def begin(job: Job, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a sending process and give it its job; raises OSError."""
    process = subprocess.Popen(
        Code.own().argv("processsupervisor.notify.send"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it died at once: its end says so
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.close()
    process.stdin = None  # nothing is said to it any more
    return process


def result_of(said: bytes) -> Result:
    """Return what a sending process said."""
    try:
        result: Result = json.loads(said)
    except ValueError:
        return {"ok": False, "said": "the sending process gave no answer", "retry_after_s": 0.0}
    return result


def deliver_once(job: Job) -> Result:
    """Do one job now and wait for it: for `psv notify test`."""
    process = begin(job, dict(os.environ))
    try:
        said, _ = process.communicate(timeout=job["timeout_s"] + _GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return result_of(said)
