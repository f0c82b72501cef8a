"""Order of work: one message at a time in a conversation, many conversations at once up to a limit.

Knows nothing of what handling means and stores nothing. Pause lets running messages end and starts none; drain gives
them a deadline. What is still queued then stays in the inbox for the next life of the bot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from processsupervisor.storage.records import InboxRow, Place

MAX_AT_ONCE = 32
_TURN = 16  # messages of one conversation before the loop and the other conversations get their turn


class Conversations:
    """Queues accepted messages by place and runs `handle` on them; `handle` must not raise."""

    def __init__(self, handle: Callable[[InboxRow], Awaitable[None]], limit: int = MAX_AT_ONCE) -> None:
        self._handle = handle
        self._limit = limit
        self._queues: dict[Place, deque[InboxRow]] = {}
        """A place is here while it has work queued or running."""
        self._ready: deque[Place] = deque()
        """Places with work queued and nothing running."""
        self._workers: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._idle = asyncio.Event()
        self._idle.set()
        self.waiting = 0
        """Messages queued and not begun."""
        self.waiting_chars = 0

    def put(self, row: InboxRow) -> None:
        """Queue a message behind those of its conversation."""
        self.waiting += 1
        self.waiting_chars += len(row.text)
        queue = self._queues.get(row.place)
        if queue is None:
            self._queues[row.place] = deque((row,))
            self._ready.append(row.place)
            self._staff()
        else:
            queue.append(row)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing runs; something may be queued while paused."""
        return not self._workers

    @property
    def running(self) -> int:
        """Return how many conversations are at work."""
        return len(self._workers)

    def pause(self) -> None:
        """Begin nothing new."""
        self._is_open = False

    def resume(self) -> None:
        """Go on with what is queued."""
        self._is_open = True
        self._staff()

    async def wait_idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    async def drain(self, timeout_s: float) -> bool:
        """Begin nothing new, wait for what runs, cancel it after `timeout_s`; False when something was cancelled."""
        self.pause()
        if not self._workers:
            return True
        _, late = await asyncio.wait(tuple(self._workers), timeout=max(timeout_s, 0.0))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)  # a handler that swallows the cancellation is left behind
        return not late

    def _staff(self) -> None:
        while self._is_open and self._ready and len(self._workers) < self._limit:
            task = asyncio.get_running_loop().create_task(self._work(self._ready.popleft()))
            self._workers.add(task)
            self._idle.clear()
            task.add_done_callback(self._worker_ended)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._staff()
        if not self._workers:
            self._idle.set()

    async def _work(self, place: Place) -> None:
        while True:
            queue = self._queues[place]
            for _ in range(min(_TURN, len(queue))):
                if not self._is_open:
                    break
                row = queue.popleft()
                self.waiting -= 1
                self.waiting_chars -= len(row.text)
                await self._handle(row)
            if queue:
                self._ready.append(place)
            else:
                del self._queues[place]
            if not self._is_open or not self._ready:
                return
            await asyncio.sleep(0)
            if not self._is_open or not self._ready:
                return
            place = self._ready.popleft()
