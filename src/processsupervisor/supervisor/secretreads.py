"""The audit of secrets: which were read for which start, and who changed them with `psv secret`. Names only, never values.

A read is noted before the launch it is for. What `psv secret` did stands in `data/secrets.audit` until it is in psv.db; whoever dies in
between leaves it there, and at most notes it twice.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import try_flock
from processsupervisor.kernel.states import State
from processsupervisor.launch.references import secret_names
from processsupervisor.supervisor.events import Event
from processsupervisor.supervisor.fleet import Fleet

_MOST_BYTES = 1 << 20
"""Of the file at a time: `psv secret` writes about a hundred bytes for each change."""


class SecretReads:
    """Notes of one fleet's secrets, written through psvd's store."""

    def __init__(self, fleet: Fleet) -> None:
        self._paths, self._store, self._handles = fleet.paths, fleet.store, fleet.handles
        fleet.events.listen(self._on_event)
        self.take_changes()

    def _on_event(self, event: Event) -> None:
        """Note what the process that is about to be launched will read; an adopted one has read it before."""
        if event["kind"] != "transition" or event["to"] != State.STARTING or event["reason"] == "adopted":
            return
        handle = self._handles[str(event["bot"])]
        if names := secret_names(handle.spec):
            self.take_changes()
            self._note(wall(), "psvd", "secret.read", {"bot": handle.name, "generation": handle.generation, "names": names})

    def take_changes(self) -> None:
        """Put what `psv secret` did meanwhile into psv.db; while it is at work, or the disk refuses, that waits for the next time."""
        path = self._paths.data / "secrets.audit"
        if not path.exists():
            return
        with contextlib.suppress(OSError, SystemRefused), _locked(self._paths.data / "secrets.lock") as is_ours:
            if is_ours:
                self._take(path)

    def _take(self, path: Path) -> None:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        for line in content.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                change = json.loads(line)
                names = [str(name) for name in change["names"]]
                self._note(float(change["at"]), str(change["by"]), f"secret.{change['act']}", {"names": names})
        self._store.flush()
        if not self._store.is_behind:
            path.unlink()

    def _note(self, at: float, by: str, op: str, facts: dict[str, object]) -> None:
        self._store.add_audit(at, by, op, json.dumps(facts))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield try_flock(descriptor)
    finally:
        os.close(descriptor)
