"""Time that stands still while code runs and jumps when nothing can: `VirtualTime`, and `Warp`, which makes an event loop live by it.

The clocks of psv (kernel/clock.py) and `loop.time()` show it; `datetime.now()` and `time.time()` in an author's own code do not.
What waits for something outside the process (a socket, a thread of `asyncio.to_thread`) is waited for in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol, cast

from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import UsageError

_RESOLUTION_S = 1e-6
_MANY_TURNS = 20_000
"""So often a loop turns without a rest before time goes on all the same."""
_LOOK_AGAIN_S = clock.look_again_s


class VirtualTime:
    """Seconds since `start` (epoch seconds), moved by hand."""

    def __init__(self, start: float | None = None) -> None:
        self._start = time.time() if start is None else start
        self._start_mono = time.monotonic()  # so that a loop whose time becomes this one sees no jump
        self.elapsed_s = 0.0

    def mono(self) -> float:
        """Return what `clock.mono` shows."""
        return self._start_mono + self.elapsed_s

    def wall(self) -> float:
        """Return what `clock.wall` shows."""
        return self._start + self.elapsed_s

    @property
    def now(self) -> datetime:
        """Return the time of day (UTC)."""
        return datetime.fromtimestamp(self.wall(), UTC)

    def move(self, seconds: float) -> None:
        """Let time pass; nothing runs by that."""
        self.elapsed_s += seconds

    def show(self) -> None:
        """Make psv's clocks of this process show this time."""
        clock.mono, clock.wall, clock.look_again_s = self.mono, self.wall, math.inf  # nobody sets this clock

    def hide(self) -> None:
        """Make them show the machine's time again."""
        clock.mono, clock.wall, clock.look_again_s = time.monotonic, time.time, _LOOK_AGAIN_S

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show this time until the block ends."""
        self.show()
        try:
            yield
        finally:
            self.hide()


class Verdict(Enum):
    """What an idle loop does instead of skipping time."""

    RUN = "run"
    """There is something to run now."""
    WAIT = "wait"
    """Something outside the process is waited for, in real time."""


class Pace(Protocol):
    """Who decides what an idle loop does."""

    def idle(self, wait_s: float | None, waits_outside: bool) -> float | Verdict:
        """Return how many seconds are skipped, at most `wait_s` (None: no timer is set), or what is done instead."""

    def busy(self, wait_s: float | None, waits_outside: bool) -> float | Verdict:
        """Return the same for a loop that has turned very often without coming to rest."""


class Warp:
    """Puts an event loop on virtual time, until `undo`. `pace` is asked whenever nothing can run.

    Raises UsageError for a loop that is not asyncio's own selector loop (uvloop, the proactor of Windows): they wait out of reach.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, virtual: VirtualTime, pace: Pace) -> None:
        if not isinstance(loop, asyncio.SelectorEventLoop):
            raise UsageError(f"a Lab cannot run on {type(loop).__name__}", hint="take the fixture lab, which brings a loop of its own")
        self._loop = cast(Any, loop)  # what is changed here is not in its types
        self._virtual = virtual
        self._pace = pace
        self._inner: selectors.BaseSelector = self._loop._selector
        self._own_files = len(self._inner.get_map())
        """Of asyncio: the pipe that wakes it up."""
        self._outside = 0
        self._resolution_s = self._loop._clock_resolution
        self._run_in_executor = self._loop.run_in_executor
        self._turned_mono = 0.0
        self._loop._selector = _IdleSelector(self._inner, self._idle, self._busy)
        self._loop._clock_resolution = _RESOLUTION_S
        self._loop.time = virtual.mono
        self._loop.run_in_executor = self._in_executor

    def undo(self) -> None:
        """Give the loop its own time again."""
        self._loop._selector = self._inner
        self._loop._clock_resolution = self._resolution_s
        del self._loop.time, self._loop.run_in_executor

    def _in_executor(self, *args: Any) -> Any:
        future = self._run_in_executor(*args)
        self._outside += 1
        future.add_done_callback(self._back_inside)
        return future

    def _back_inside(self, _future: object) -> None:
        self._outside -= 1

    def _idle(self, wait_s: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        verdict = self._pace.idle(wait_s, self._waits_outside)
        if verdict is Verdict.RUN:
            return []
        if verdict is Verdict.WAIT:
            began = time.monotonic()
            events = self._inner.select(wait_s)
            self._virtual.move(time.monotonic() - began)
            return events
        self._virtual.move(verdict)
        return []

    def _busy(self, is_first: bool) -> None:
        """Let time pass, or who waits for the bot go on, although something can run."""
        turned_mono, self._turned_mono = self._turned_mono, time.monotonic()
        timers = self._loop._scheduled
        verdict = self._pace.busy(max(timers[0].when() - self._virtual.mono(), 0.0) if timers else None, self._waits_outside)
        if isinstance(verdict, float):
            self._virtual.move(verdict)
        elif verdict is Verdict.WAIT and not is_first:
            self._virtual.move(self._turned_mono - turned_mono)

    @property
    def _waits_outside(self) -> bool:
        return self._outside > 0 or len(self._inner.get_map()) > self._own_files


class _IdleSelector(selectors.BaseSelector):
    """Asks `idle` instead of waiting, and tells `busy` of each turn of a loop that has not waited for very many."""

    def __init__(
        self, inner: selectors.BaseSelector, idle: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]],
        busy: Callable[[bool], None],
    ) -> None:  # fmt: skip
        self._inner = inner
        self._idle = idle
        self._busy = busy
        self._turns = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._inner.select(0)
        if events or (timeout is not None and timeout <= 0):
            self._turns += 1
            if self._turns >= _MANY_TURNS:
                self._busy(self._turns == _MANY_TURNS)
            return events
        self._turns = 0
        return self._idle(timeout)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()
