"""Looks through /proc many times a second for bots that run twice, and remembers every process that was seen as a bot.

A bot's process is known by its title or by PSV_BOT in its environment, together with the fleet's folder as working folder;
nothing that psv writes is asked.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

EVERY_S = 0.12
_GROWN_AFTER_S = 3.0
_TITLE = b"psv: bot "
_VARIABLE = b"\0PSV_BOT="

Process = tuple[int, int]
"""(pid, start ticks)"""


def start_ticks(pid: int) -> int | None:
    """Return when a process was started, None when it is gone or only a zombie is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


class Sampler(threading.Thread):
    """Samples until `end`; `doubled` and `seen` may be read at any time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self._folder = os.fsencode(folder)
        self._ended = threading.Event()
        self._known: dict[Process, tuple[str | None, float]] = {}
        self.samples = 0
        self.doubled: list[str] = []
        self.seen: dict[str, set[Process]] = {}

    def run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.sample()

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()
        if self.is_alive():
            self.join(10)

    def sample(self) -> None:
        """Look once."""
        for bot, found in self._bots().items():
            self.seen.setdefault(bot, set()).update(found)
            if len(found) > 1 and len(self._still_there(bot, found)) > 1:
                self.doubled.append(f"{bot} ran twice: pids {', '.join(str(pid) for pid, _ in found)}")
        self.samples += 1

    def _still_there(self, bot: str, found: list[Process]) -> list[Process]:
        """One look is not one moment: of two that were seen, one may have died before the other was born."""
        time.sleep(0.05)
        return [p for p in found if start_ticks(p[0]) == p[1] and self._bot_of(p[0]) == bot]

    def _bots(self) -> dict[str, list[Process]]:
        now, found, living = time.monotonic(), {}, {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or (ticks := start_ticks(int(entry))) is None:
                continue
            process = int(entry), ticks
            name, since = self._known.get(process, (None, now))
            if name is None and now - since < _GROWN_AFTER_S:  # a fork gets its title some steps later
                name = self._bot_of(process[0])
            living[process] = name, since
            if name is not None:
                found.setdefault(name, []).append(process)
        self._known = living
        return found

    def _bot_of(self, pid: int) -> str | None:
        try:
            if os.fsencode(os.readlink(f"/proc/{pid}/cwd")) != self._folder:
                return None
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 1)[0]
            if title.startswith(_TITLE):
                return title[len(_TITLE) :].decode()
            environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
        return environment.partition(_VARIABLE)[2].partition(b"\0")[0].decode() or None
