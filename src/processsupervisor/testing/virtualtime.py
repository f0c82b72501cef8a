"""Time that stands still while code runs and jumps when nothing can: `VirtualTime`, and the event loop that lives by it.

The clocks of psv (kernel/clock.py) and `loop.time()` show it; `datetime.now()` and `time.time()` in an author's own code do not.
What waits for something outside the process (a socket, a thread of `asyncio.to_thread`) is waited for in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol

from processsupervisor.kernel import clock

_EPOCH_MONO = 1_000.0  # a monotonic clock that starts anywhere but at 0, where "never" is often kept
_RESOLUTION_S = 1e-6


class VirtualTime:
    """Seconds since `start` (epoch seconds), moved by hand."""

    def __init__(self, start: float | None = None) -> None:
        self._start = time.time() if start is None else start
        self.elapsed_s = 0.0

    def mono(self) -> float:
        """Return what `clock.mono` shows."""
        return _EPOCH_MONO + self.elapsed_s

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

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Make psv's clocks of this process show this time, until the block ends."""
        before = clock.mono, clock.wall
        clock.mono, clock.wall = self.mono, self.wall
        try:
            yield
        finally:
            clock.mono, clock.wall = before


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


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on `VirtualTime`. `pace` is asked whenever nothing can run."""

    def __init__(self, virtual: VirtualTime) -> None:
        self._virtual = virtual
        super().__init__(_IdleSelector(self._idle))
        self._clock_resolution = _RESOLUTION_S
        self._outside = 0
        self.pace: Pace | None = None
        self._own_files = len(self._selector.get_map())  # type: ignore[attr-defined]  # of asyncio: the pipe that wakes it up

    def time(self) -> float:
        """Return the virtual monotonic time."""
        return self._virtual.mono()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]  # overloads by Unpack
        """Run in a thread, during which time does not jump."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._back_inside)
        return future

    def _back_inside(self, _future: object) -> None:
        self._outside -= 1

    @property
    def waits_outside(self) -> bool:
        """Tell whether a thread or a socket may still bring something."""
        return self._outside > 0 or len(self._selector.get_map()) > self._own_files  # type: ignore[attr-defined]

    def _idle(self, inner: selectors.BaseSelector, wait_s: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        verdict: float | Verdict
        if self.pace is not None:
            verdict = self.pace.idle(wait_s, self.waits_outside)
        else:
            verdict = Verdict.WAIT if wait_s is None or self.waits_outside else wait_s
        if verdict is Verdict.RUN:
            return []
        if verdict is Verdict.WAIT:
            began = time.monotonic()
            events = inner.select(wait_s)
            self._virtual.move(time.monotonic() - began)
            return events
        self._virtual.move(verdict)
        return []


class _IdleSelector(selectors.BaseSelector):
    """Asks `idle` instead of waiting."""

    def __init__(self, idle: Callable[[selectors.BaseSelector, float | None], list[tuple[selectors.SelectorKey, int]]]) -> None:
        self._inner = selectors.DefaultSelector()
        self._idle = idle

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._inner.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        return self._idle(self._inner, timeout)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()
