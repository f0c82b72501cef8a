"""Looking for doubled bots all the time, from /proc alone: two sessions alive at one moment that carry the same bot's mark."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from processsupervisor.kernel.identity import read_stat

EVERY_S = 0.02


class Doubles(threading.Thread):
    """Samples until `stop`; `found` says who was doubled, `samples` how often was looked."""

    def __init__(self, folder: Path, bots: list[str]) -> None:
        super().__init__(name="doubles", daemon=True)
        self.found: list[str] = []
        self.samples = 0
        self._folder = os.fsencode(folder)
        self._marks = {bot: (f"psv: bot {bot}\0".encode(), f"PSV_BOT={bot}\0".encode()) for bot in bots}
        self._strangers = set(os.listdir("/proc"))
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(EVERY_S):
            self._look()
            self.samples += 1

    def stop(self) -> None:
        """Look no longer."""
        self._end.set()
        self.join(10)

    def _look(self) -> None:
        seen: dict[str, dict[int, tuple[int, int]]] = {bot: {} for bot in self._marks}
        for name in os.listdir("/proc"):
            bot = self._bot_of(name) if name.isdigit() and name not in self._strangers else None
            facts = read_stat(int(name)) if bot is not None else None
            if bot is None or facts is None or facts[0] in "ZX":
                continue
            # Seen one after the other is not alive at once: the one seen before must still live now.
            for session, (pid, started) in seen[bot].items():
                again = read_stat(pid)
                if session != facts[2] and again is not None and again[3] == started and again[0] not in "ZX":
                    self.found.append(f"{bot}: pid {pid} and pid {name}")
            seen[bot][facts[2]] = int(name), facts[3]

    def _bot_of(self, name: str) -> str | None:
        try:
            text = Path(f"/proc/{name}/cmdline").read_bytes() + b"\0" + Path(f"/proc/{name}/environ").read_bytes() + b"\0"
            if self._folder not in text and os.fsencode(os.readlink(f"/proc/{name}/cwd")) != self._folder:
                return None  # a bot of another fleet on this machine
        except OSError:
            return None
        return next((bot for bot, marks in self._marks.items() if any(mark in text for mark in marks)), None)
