"""The pulse of a bot: a small file in which its event loop says each few seconds that it turns, and psvd sees whether it does.

Both wings meet here: launch/ opens and writes it inside of the bot, health/ reads it. Written and read by one call each
and not mapped into memory: a file that somebody cut, or a full disk, is an error then, and a SIGBUS otherwise.
docs/reference/files.md lists the fields.
"""

from __future__ import annotations

import math
import signal
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from processsupervisor.kernel.paths import FleetPaths

VERSION = 1
PULSE_BYTES = 64
_SHORTEST_S, _LONGEST_S = 1.0, 5.0
_BEATS_IN_TIME = 6
PROOF_EVERY_S = 3.0
"""So long, a native bot may keep a proof of its network to itself after it has told one."""
_MAGIC = b"PSVP"
_LAYOUT = struct.Struct("<4sBBHIIQdddd")
_MOST_MESSAGES = (1 << 32) - 1

STACKS_SIGNAL = int(getattr(signal, "SIGRTMAX", 64)) - 4
"""Answered by faulthandler with the stacks of all threads, from C: it needs neither the interpreter's lock nor its loop."""
TASKS_SIGNAL = STACKS_SIGNAL - 1
"""Answered in Python, under the interpreter's lock, with the stacks of all threads and the asyncio tasks."""
TASKS_BEGIN = b"-- tasks\n"
TASKS_END = b"-- end of tasks\n"


class Turn(IntEnum):
    """Whether an event loop runs in the main thread of the bot; only a loop that turns can fail to beat."""

    NEVER = 0
    TURNING = 1
    ENDED = 2


class Pulse(NamedTuple):
    """What the file says. `at_mono` is CLOCK_MONOTONIC; `lag_s` how late the last beat was, `worst_lag_s` the most of the last minutes.

    `dump_fd` is the descriptor on which the bot holds its dump file, 0 for none. `every_s` is the time from beat to beat. `messages` is how
    many it has handled in this life, None for a program that counts none, and one of an older psv.
    """

    generation: int
    turn: Turn
    beats: int
    at_mono: float
    lag_s: float
    worst_lag_s: float
    dump_fd: int
    every_s: float = _SHORTEST_S
    messages: int | None = None

    def pack(self) -> bytes:
        """Return the content of the file."""
        times = self.at_mono, self.lag_s, self.worst_lag_s, self.every_s
        count = 0 if self.messages is None else min(self.messages + 1, _MOST_MESSAGES)  # 0 says that nobody counts
        body = _LAYOUT.pack(_MAGIC, VERSION, self.turn, self.dump_fd, self.generation, count, self.beats, *times)
        return body.ljust(PULSE_BYTES, b"\0")


def unpack(content: bytes) -> Pulse | None:
    """Return the pulse in `content`; None when it is none, or one of a newer version. A bot may have written anything."""
    if len(content) < _LAYOUT.size:
        return None
    magic, version, turn, dump_fd, generation, count, beats, at_mono, lag_s, worst_lag_s, every_s = _LAYOUT.unpack_from(content)
    if magic != _MAGIC or version != VERSION or turn not in (0, 1, 2) or not all(map(math.isfinite, (at_mono, lag_s, worst_lag_s))):
        return None
    every_s = every_s if _SHORTEST_S <= every_s <= _LONGEST_S else _SHORTEST_S  # an older psv wrote none and beat each second
    messages = count - 1 if count else None
    return Pulse(generation, Turn(turn), beats, at_mono, lag_s, worst_lag_s, dump_fd, every_s, messages)


def beat_every_s(hang_after_s: float) -> float:
    """Return the time between two beats of a bot that is judged after `hang_after_s` of silence, 0 for never: 1 to 5 s.

    A beat wakes an idle bot, which costs a fleet of hundreds more than the check in psvd does.
    """
    return min(_LONGEST_S, max(_SHORTEST_S, hang_after_s / _BEATS_IN_TIME)) if hang_after_s > 0 else _LONGEST_S


def pulse_path(paths: FleetPaths, bot: str) -> Path:
    """Return where the pulse of a bot lies."""
    return paths.bot_run(bot) / "pulse"


def dump_path(paths: FleetPaths, bot: str) -> Path:
    """Return the file into which a bot answers STACKS_SIGNAL and TASKS_SIGNAL."""
    return paths.bot_run(bot) / "dump"
