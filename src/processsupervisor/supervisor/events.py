"""Everything that happens in the fleet, told to whoever follows: `psv events`, `psv up`, a rollout; bounded, never waiting.

Each event is a JSON-able dict with `seq` (counts up, over every psvd of the fleet), `kind`, `at` (epoch seconds) and, where it is about
one bot, `bot`. docs/reference/json.md lists the kinds. What keeps them is chronicle.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from processsupervisor.kernel.clock import wall

Event = dict[str, object]
_QUEUE_EVENTS = 4096


class EventQueue(asyncio.Queue[Event]):
    """Drops the oldest event when full and counts it in `lost`."""

    lost = 0

    def put_nowait(self, item: Event) -> None:
        if self.full():
            self.get_nowait()
            self.lost += 1
        super().put_nowait(item)


class Events:
    """One fleet's events. Listeners are called synchronously, in order, and must not raise."""

    def __init__(self) -> None:
        self.seq = 0
        """The number of the last event; whoever keeps them sets where it begins."""
        self.life = secrets.token_hex(4)
        """Which psvd counts: a number is that of one event only together with this, until it is on disk."""
        self._listeners: dict[Callable[[Event], None], None] = {}  # in the order in which they came

    def tell(self, kind: str, **fields: object) -> None:
        """Tell all listeners; `at` is now unless given.

        With `is_restored=True` it is no news: it has no number of its own and is not kept (see ledger.py).
        """
        self.seq += not fields.get("is_restored")
        event: Event = {"seq": self.seq, "kind": kind, "at": wall(), **fields}
        for listener in list(self._listeners):
            listener(event)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event from now on."""
        self._listeners[listener] = None

    def unlisten(self, listener: Callable[[Event], None]) -> None:
        """Call it no more; doing it twice does nothing."""
        self._listeners.pop(listener, None)

    @contextmanager
    def queue(self, concerns: Callable[[Event], bool] = lambda _event: True) -> Iterator[EventQueue]:
        """Yield a queue of all events that it `concerns` from now on; one that is not emptied loses the oldest, never psvd's memory."""
        queue = EventQueue(_QUEUE_EVENTS)

        def put(event: Event) -> None:
            if concerns(event):
                queue.put_nowait(event)

        self.listen(put)
        try:
            yield queue
        finally:
            self.unlisten(put)
