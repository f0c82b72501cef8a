"""Everything that happens in the fleet, told to whoever follows: `psv events`, `psv up`, a rollout; bounded, never waiting.

Each event is a JSON-able dict with `kind`, `at` (epoch seconds) and, where it is about one bot, `bot`. docs/reference/json.md
lists the kinds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from processsupervisor.kernel.clock import wall

Event = dict[str, object]
_QUEUE_EVENTS = 4096


class EventQueue(asyncio.Queue[Event]):
    """Drops the oldest event when full."""

    def put_nowait(self, item: Event) -> None:
        if self.full():
            self.get_nowait()
        super().put_nowait(item)


class Events:
    """One fleet's events. Listeners are called synchronously, in order, and must not raise."""

    def __init__(self) -> None:
        self._listeners: dict[Callable[[Event], None], None] = {}  # in the order in which they came

    def tell(self, kind: str, **fields: object) -> None:
        """Tell all listeners; `at` is now unless given."""
        event: Event = {"kind": kind, "at": wall(), **fields}
        for listener in list(self._listeners):
            listener(event)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event from now on."""
        self._listeners[listener] = None

    def unlisten(self, listener: Callable[[Event], None]) -> None:
        """Call it no more; doing it twice does nothing."""
        self._listeners.pop(listener, None)

    @contextmanager
    def queue(self) -> Iterator[EventQueue]:
        """Yield a queue of all events from now on; one that is not emptied loses the oldest, never psvd's memory."""
        queue = EventQueue(_QUEUE_EVENTS)
        put = queue.put_nowait
        self.listen(put)
        try:
            yield queue
        finally:
            self.unlisten(put)
