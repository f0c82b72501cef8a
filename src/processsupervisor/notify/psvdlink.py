"""The notifier's connection to psvd: events behind the last one that was dealt with, a ping now and then, the state of the fleet.

psvd is there as long as it answers: a connection alone says nothing, because the keeper holds the listening socket while psvd is away.
"""

from __future__ import annotations

from processsupervisor.ipc.client import connect_unix
from processsupervisor.ipc.lines import LineSocket
from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.causes import Event

_RETRY_S = 0.3
_FOLLOW, _PING, _STATUS = 1, 2, 3


class PsvdLink:
    """One connection at a time; its owner watches `fileno` and calls `tick` now and then."""

    def __init__(self, paths: FleetPaths, ping_every_s: float) -> None:
        self._paths = paths
        self._ping_every_s = ping_every_s
        self._link: LineSocket | None = None
        self._retry_mono = 0.0
        self._ping_mono = 0.0
        self._status: dict[str, object] | None = None
        self._is_asked = False
        self.life = ""
        """Which psvd numbers the events that come now."""
        self.is_back = False
        """A psvd has begun to tell; its owner takes the mark away."""
        self.heard_mono = mono()

    def fileno(self) -> int:
        """Return the descriptor to watch; -1 without a connection."""
        return self._link.fileno() if self._link is not None else -1

    def tick(self, after: str) -> bool:
        """Connect when it is time, and ask whether psvd answers; True when there is a new connection to watch."""
        now = mono()
        if self._link is None:
            return now >= self._retry_mono and self._connect(after)
        if now >= self._ping_mono:
            self._ping_mono = now + self._ping_every_s
            self._link.send({"id": _PING, "op": "ping"})
        return False

    def _connect(self, after: str) -> bool:
        self._retry_mono = mono() + _RETRY_S
        try:
            link = LineSocket(connect_unix(self._paths.socket("psv"), 1.0))
        except OSError:
            return False
        link.send({"id": _FOLLOW, "op": "fleet.events", "args": {"follow": True, "after": after}})
        self._link, self._ping_mono = link, mono() + self._ping_every_s
        return True

    def ask_status(self) -> None:
        """Ask how the fleet does; the answer is at `take_status`."""
        if self._link is not None and not self._is_asked:
            self._is_asked = True
            self._link.send({"id": _STATUS, "op": "fleet.status"})

    def take_status(self) -> dict[str, object] | None:
        """Return the answer that came, once."""
        status, self._status = self._status, None
        return status

    def read(self) -> list[Event] | None:
        """Return the events that came; None when the connection has ended (its descriptor is to be forgotten before the next call)."""
        if self._link is None:
            return None
        try:
            lines = self._link.receive()
        except ProtocolError:
            lines = None
        if lines is None:
            return None
        events: list[Event] = []
        for line in lines:
            self.heard_mono = mono()
            event = line.get("event")
            if isinstance(event, dict):
                if event.get("kind") == "begin":
                    self.life, self.is_back = str(event.get("life")), True
                else:
                    events.append(event)
            elif line.get("id") == _STATUS:  # an error is no answer, but another question may have one
                status, self._is_asked = line.get("result"), False
                self._status = status if isinstance(status, dict) else None
            elif line.get("id") == _FOLLOW:
                return events or None  # it tells nothing more: begin anew
        return events

    def drop(self) -> None:
        """End the connection; the next tick makes another."""
        if self._link is not None:
            self._link.close()
            self._link, self._is_asked = None, False
            self._retry_mono = mono() + _RETRY_S
