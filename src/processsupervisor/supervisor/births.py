"""Which bot a process is, for the exits that the keeper tells; an exit may come before its birth was reported.

Such early ones, and those of processes that are nobody's, are kept for a moment: at most EARLY_EXITS, the oldest go first.
"""

from __future__ import annotations

from typing import Any

from processsupervisor.kernel.identity import Identity
from processsupervisor.process.handle import BotHandle

EARLY_EXITS = 4096


class Births:
    """Brings births and exits together in whatever order they come."""

    def __init__(self) -> None:
        self._bots: dict[tuple[int, int], BotHandle] = {}
        self._keys: dict[str, tuple[int, int]] = {}  # one a bot: a process whose exit no keeper told is forgotten at the next birth
        self._early: dict[tuple[int, int], tuple[int, float]] = {}

    def on_born(self, handle: BotHandle, identity: Identity) -> None:
        """Note whose process this is; if its exit came already, the bot hears of it now."""
        key = identity.pid, identity.start_ticks
        self._bots.pop(self._keys.get(handle.name, key), None)
        self._keys[handle.name] = key
        early = self._early.pop(key, None)
        if early is not None:
            handle.on_status(*early)
        else:
            self._bots[key] = handle

    def on_exit(self, message: dict[str, Any]) -> None:
        """Tell the bot whose present process has ended."""
        key = int(message["pid"]), int(message["start_ticks"])
        status, at = int(message["status"]), float(message["at"])
        handle = self._bots.pop(key, None)
        present = handle.process if handle is not None else None
        if handle is not None and present is not None and (present.pid, present.start_ticks) == key:
            handle.on_status(status, at)
            return
        self._early[key] = status, at
        if len(self._early) > EARLY_EXITS:
            del self._early[next(iter(self._early))]
