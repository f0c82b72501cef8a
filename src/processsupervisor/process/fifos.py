"""The FIFOs through which every bot writes, held open by the keeper so that no reader's death breaks a bot.

One pair a generation, 16 KiB each. The keeper holds both ends (O_RDWR) from before the fork until logd confirms that the
pair is drained after the bot's exit. While there is no logd for longer than DROP_AFTER_S the oldest bytes of a full FIFO are
dropped and counted, so that bots go on; the next logd writes the gap. The count is in a file beside the pair, for the next
keeper. A logd that is there but stopped reads on without hearing of a gap: bots wait for it, or for its end. Standard library only.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import struct
import termios
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.kernel.crashpoints import CrashPoint, reach
from processsupervisor.kernel.errors import SystemRefused, refused_by_system
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import FleetPaths

PIPE_BYTES = 16 * 1024
DROP_AFTER_S = 5.0
_NEARLY_FULL_BYTES = PIPE_BYTES - 4096
_DROPPED = struct.Struct("=2Q")
STREAMS = ("out", "err")


@dataclass(slots=True)
class Pair:
    """The two FIFOs of one generation; `options` is what logd is told about them."""

    bot: str
    generation: int
    options: dict[str, Any]
    descriptors: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    is_releasing: bool = False
    is_matched: bool = False

    def open_message(self, folder: Path) -> dict[str, Any]:
        """Return the line that tells logd to read this pair."""
        whose = {"bot": self.bot, "generation": self.generation, "dir": str(folder)}
        return {"op": "open", **whose, "dropped": dict(self.dropped), **self.options}


class Fifos:
    """All pairs the keeper holds, by (bot, generation)."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        self.pairs: dict[tuple[str, int], Pair] = {}

    def create(self, bot: str, generation: int, options: dict[str, Any]) -> Pair:
        """Make and open the pair of one generation; the same call again returns the same pair.

        Raises SystemRefused when the file system has no FIFOs or descriptors ran out; nothing is left behind then.
        """
        if (bot, generation) in self.pairs:
            return self.pairs[bot, generation]
        reach(CrashPoint.KEEPER_BEFORE_FIFOS)
        pair = Pair(bot, generation, options)
        try:
            for stream in STREAMS:
                path = self._path(pair, stream)
                with contextlib.suppress(FileExistsError):
                    os.mkfifo(path, 0o600)
                pair.descriptors[stream] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
                with contextlib.suppress(OSError):  # EPERM past the user's pipe pages: the kernel's default size serves
                    fcntl.fcntl(pair.descriptors[stream], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
                reach(CrashPoint.KEEPER_FIFO_MADE)
        except OSError as err:
            self._discard(pair)
            raise refused_by_system(f"cannot make a FIFO for {bot}", err, hint="see psv doctor: open files, file system") from err
        reach(CrashPoint.KEEPER_FIFOS_OPEN)
        with contextlib.suppress(OSError, struct.error):
            pair.dropped = dict(zip(STREAMS, _DROPPED.unpack(self._count_of(pair).read_bytes()), strict=True))
        self.pairs[bot, generation] = pair
        return pair

    def find(self) -> None:
        """Open every pair that an earlier keeper left: its bots may still write. psvd releases those nobody uses."""
        for path in self._paths.run.glob("bots/*/*-*"):
            stream, _, generation = path.name.partition("-")
            if stream not in STREAMS or not generation.isdigit():
                continue
            if not all((path.parent / f"{each}-{generation}").exists() for each in STREAMS):
                path.unlink(missing_ok=True)  # half made or half removed when the keeper died: no bot writes into it
                continue
            with contextlib.suppress(SystemRefused):
                self.create(path.parent.name, int(generation), _options_of(path.parent / "spec.json", int(generation)))
        reach(CrashPoint.KEEPER_FIFOS_FOUND)

    def close_all(self) -> None:
        """Close and remove all pairs; the fleet is down and logd has drained them."""
        for bot, generation in list(self.pairs):
            self.close(bot, generation)

    def release(self, bot: str, generation: int) -> bool:
        """Mark a pair for release; True when there is one (logd is then asked to drain it)."""
        pair = self.pairs.get((bot, generation))
        if pair is None:
            return False
        reach(CrashPoint.KEEPER_RELEASE_ASKED)
        pair.is_releasing = True
        return True

    def close(self, bot: str, generation: int) -> None:
        """Close and remove a pair that logd has drained."""
        reach(CrashPoint.KEEPER_DRAINED)
        pair = self.pairs.pop((bot, generation), None)
        if pair is not None:
            self._discard(pair)

    def drop_from_full(self) -> int:
        """Drop the oldest bytes of every FIFO that is nearly full and return how many; called while logd is away."""
        total = 0
        waiting = array.array("i", [0])
        for pair in self.pairs.values():
            for stream, descriptor in pair.descriptors.items():
                fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
                if waiting[0] < _NEARLY_FULL_BYTES:
                    continue
                with contextlib.suppress(BlockingIOError):
                    count = len(os.read(descriptor, PIPE_BYTES // 2))
                    pair.dropped[stream] += count
                    total += count
                    with contextlib.suppress(OSError):  # without a disk the count is in memory only
                        self._count_of(pair).write_bytes(_DROPPED.pack(*(pair.dropped[each] for each in STREAMS)))
        return total

    def forget_dropped(self, pair: Pair) -> None:
        """Begin to count anew: logd has been told."""
        if any(pair.dropped.values()):
            pair.dropped = dict.fromkeys(STREAMS, 0)
            with contextlib.suppress(OSError):
                self._count_of(pair).unlink()

    def _path(self, pair: Pair, stream: str) -> Path:
        return self._paths.bot_run(pair.bot) / f"{stream}-{pair.generation}"

    def _count_of(self, pair: Pair) -> Path:
        return self._paths.bot_run(pair.bot) / f"dropped-{pair.generation}"

    def _discard(self, pair: Pair) -> None:
        for descriptor in pair.descriptors.values():
            os.close(descriptor)
        reach(CrashPoint.KEEPER_FIFO_CLOSED)
        for stream in STREAMS:
            with contextlib.suppress(OSError):
                os.unlink(self._path(pair, stream))
            reach(CrashPoint.KEEPER_FIFO_REMOVED)
        with contextlib.suppress(OSError):
            self._count_of(pair).unlink()


def _options_of(path: Path, generation: int) -> dict[str, Any]:
    """Return what logd must know of a pair found on disk; a bot that is still starting is waited for by its ready line."""
    spec = read_json(path)
    facts = spec if isinstance(spec, dict) else {}
    ready = facts.get("ready") if facts.get("generation") == generation else None
    pattern = ready.get("value") if isinstance(ready, dict) and ready.get("kind") == "log" else None
    return {"logs": facts.get("logs"), "ready_log": pattern, "user": None}
