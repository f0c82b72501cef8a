"""The beat of a bot's event loop: each second to each five, from the loop itself, without a line in the program.

Every loop, asyncio's or uvloop's, says through `asyncio._set_running_loop` that it begins and ends to run. The zygote puts a
listener there before anything else imports asyncio (uvloop keeps what it finds there at its import); in the bot it sets a
timer on the loop. No task is made, no frame is added to a traceback, and what a forked child of the bot does is its own.
Only loops of the main thread count.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import contextvars
import os
import threading
from collections.abc import Callable
from time import monotonic

from processsupervisor.kernel.pulse import Pulse, Turn

_WORST_OF_BEATS = 60
_PHASES = 4
"""All bots of a machine beat at these moments of a period, in turns by their pid. Woken together they find each other's code in
the processor's caches: half the cost of beats that are spread (docs/decisions/0009)."""
_MARK = 1_000_000_007
"""Where the offset of the pulse's descriptor stands, with the pid added; it is written without moving it."""
_set_running_loop = asyncio.events._set_running_loop
_heart: Heart | None = None


class Heart:
    """Beats for the loop that runs each `every_s`, into the pulse open at `descriptor`."""

    def __init__(self, descriptor: int, generation: int, dump_fd: int, every_s: float) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = descriptor
        self._mark = os.lseek(descriptor, _MARK + os.getpid(), os.SEEK_SET)
        self._generation = generation
        self._dump_fd = dump_fd
        self._thread = threading.get_ident()
        self._context = contextvars.Context()  # of its own: the timer keeps nothing of the program's alive
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._every_s = every_s
        self._phase_s = os.getpid() % _PHASES * every_s / _PHASES
        self._beats = 0
        self._worst_s = self._worst_before_s = 0.0
        self.messages: Callable[[], int] | None = None
        self._write(Turn.NEVER, 0.0)

    def listen(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Hear that `loop` begins to run in this thread, or with None that the one that ran has ended."""
        if threading.get_ident() != self._thread or loop is self.loop:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.loop = loop
        if loop is None:
            self._write(Turn.ENDED, 0.0)
        else:
            self._plan(loop)

    def _plan(self, loop: asyncio.AbstractEventLoop, lag_s: float = 0.0) -> None:
        now = monotonic()
        delay_s = self._every_s - (now + self._phase_s) % self._every_s
        if delay_s < self._every_s / 2:  # a timer may come a little early
            delay_s += self._every_s
        self._due = now + delay_s
        try:
            self._timer = loop.call_later(delay_s, self._beat, loop, context=self._context)
        except Exception:  # noqa: BLE001 - a loop of the program's own making: then it has no pulse, and runs as it does elsewhere
            self._write(Turn.ENDED, 0.0)
        else:
            self._write(Turn.TURNING, lag_s)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._plan(loop, max(0.0, monotonic() - self._due))

    def _write(self, turn: Turn, lag_s: float) -> None:
        """Write a beat; what cannot be written is left out, and psvd does not blame the bot for it."""
        self._beats += 1
        if self._beats % _WORST_OF_BEATS == 0:
            self._worst_before_s, self._worst_s = self._worst_s, 0.0
        self._worst_s = max(self._worst_s, lag_s)
        worst_s = max(self._worst_s, self._worst_before_s)
        messages = self.messages() if self.messages is not None else None
        pulse = Pulse(self._generation, turn, self._beats, monotonic(), lag_s, worst_s, self._dump_fd, self._every_s, messages)
        try:
            # A program may close what it did not open, and the number then be another file's. An offset that no other file
            # has tells it; fstat would tell it too, and was a fifth of a beat's cost.
            if os.lseek(self._descriptor, 0, os.SEEK_CUR) == self._mark:
                os.pwrite(self._descriptor, pulse.pack(), 0)
        except OSError:
            pass


def install() -> None:
    """Listen to every loop of this process and of those forked from it; does nothing until `begin`."""
    asyncio.events._set_running_loop = asyncio._set_running_loop = _listen
    os.register_at_fork(after_in_child=_end)


def begin(descriptor: int, generation: int, dump_fd: int, every_s: float) -> None:
    """Beat for the loops of this process each `every_s` seconds from now on; called in its only thread."""
    global _heart
    _heart = Heart(descriptor, generation, dump_fd, every_s)


def count_messages(count: Callable[[], int]) -> None:
    """Let each beat say how many messages were handled in this life, as `count` has it; does nothing in a process without a pulse."""
    if _heart is not None:
        _heart.messages = count


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in the main thread, whichever thread asks."""
    return _heart.loop if _heart is not None else None


def _listen(loop: asyncio.AbstractEventLoop | None) -> None:
    _set_running_loop(loop)
    if _heart is not None:
        _heart.listen(loop)


def _end() -> None:
    global _heart
    _heart = None
