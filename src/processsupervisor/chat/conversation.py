"""Order of work: one message at a time in a conversation, many conversations at once up to a limit.

Knows nothing of what handling means and stores nothing. Pause lets running messages end and starts none; drain gives
them a deadline. What is still queued then stays in the inbox for the next life of the bot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from processsupervisor.chat.debounce import MOST_WINDOWS, join_rows, take_joined, wait_s
from processsupervisor.chat.settings import ChatSettings, Mode
from processsupervisor.chat.turns import Turn
from processsupervisor.storage.records import InboxRow, Kind, Place

_TURN = 16  # messages of one conversation before the loop and the other conversations get their turn
_DEFAULTS = ChatSettings()


class _Lane:
    """One conversation with work. `quiet_at` (0.0: nothing is waited for) and `first_at` are times of the loop."""

    __slots__ = ("again", "first_at", "is_ready", "queue", "quiet_at", "timer", "turn")

    def __init__(self) -> None:
        self.queue: deque[InboxRow] = deque()
        self.turn: Turn | None = None
        """What runs."""
        self.again: Turn | None = None
        """What runs next, before the queue."""
        self.is_ready = False
        """Its place stands in the line for a worker."""
        self.timer: asyncio.TimerHandle | None = None
        self.quiet_at = 0.0
        self.first_at = 0.0

    @property
    def has_work(self) -> bool:
        """Tell whether something is to be run."""
        return bool(self.queue) or self.again is not None


class Conversations:
    """Queues accepted messages by place and runs `handle` on their turns; `handle` must not raise."""

    def __init__(self, handle: Callable[[Turn], Awaitable[None]], settings: ChatSettings = _DEFAULTS) -> None:
        self._handle = handle
        self._settings = settings
        self._lanes: dict[Place, _Lane] = {}
        """A place is here while it has work queued or running."""
        self._ready: deque[Place] = deque()
        """Places with work queued, due, and nothing running."""
        self._workers: set[asyncio.Task[None]] = set()
        self._is_open = True
        self.is_ending = False
        """What runs is cancelled because the bot ends: its messages are left to the next life."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.waiting = 0
        """Messages queued and not begun."""
        self.waiting_chars = 0

    def put(self, row: InboxRow) -> None:
        """Queue a message behind those of its conversation."""
        self.waiting += 1
        self.waiting_chars += len(row.text)
        lane = self._lanes.get(row.place)
        if lane is None:
            lane = self._lanes[row.place] = _Lane()
        lane.queue.append(row)
        self._expect_quiet(lane, row)
        if self._settings.mode is Mode.INTERRUPT and lane.turn is not None and interrupts(row):
            lane.turn.interrupt()
        if lane.turn is None:
            self._line_up(row.place, lane)
            self._staff()

    def following(self, place: Place) -> InboxRow | None:
        """Return the message that is queued next in a conversation."""
        lane = self._lanes.get(place)
        return lane.queue[0] if lane is not None and lane.queue else None

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
            self.is_ending = True
            return True
        _, late = await asyncio.wait(tuple(self._workers), timeout=max(timeout_s, 0.0))
        self.abandon()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)  # a handler that swallows the cancellation is left behind
        return not late

    def abandon(self) -> None:
        """Begin nothing new, and take every cancellation from now on for the bot's end."""
        self.pause()
        self.is_ending = True

    def leave(self, turn: Turn) -> None:
        """Go on without a turn whose task does not end now: its conversation gets another worker, the task is left to itself."""
        if turn.task is not None:
            self._workers.discard(turn.task)
        lane = self._lanes.get(turn.row.place)
        if lane is not None:
            self._free(lane, turn)
        self._staff()
        if not self._workers:
            self._idle.set()

    def again(self, turn: Turn) -> None:
        """Run a turn anew before everything else of its conversation; the task that it had is left to itself."""
        lane = self._lanes.get(turn.row.place)
        if lane is not None and lane.turn is turn:
            lane.again = Turn(turn.row, turn.others)
            self.waiting += 1
        self.leave(turn)

    def _free(self, lane: _Lane, turn: Turn) -> None:
        if lane.turn is turn:
            lane.turn = None
            self._line_up(turn.row.place, lane)

    def _expect_quiet(self, lane: _Lane, row: InboxRow) -> None:
        """Count the time to wait for more of the same anew from this message on; nothing waits behind one that stands alone."""
        window_s = wait_s(row, self._settings)
        if not window_s:
            lane.quiet_at = 0.0
            return
        now = asyncio.get_running_loop().time()
        if len(lane.queue) == 1 or not lane.quiet_at:
            lane.first_at = now
        lane.quiet_at = min(now + window_s, lane.first_at + MOST_WINDOWS * window_s)

    def _line_up(self, place: Place, lane: _Lane) -> None:
        """Put a conversation in which nothing runs where it belongs: ready, waiting for quiet, or done."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if lane.is_ready:
            return
        if not lane.has_work:
            del self._lanes[place]
            return
        if lane.quiet_at and lane.again is None and wait_s(lane.queue[0], self._settings):
            loop = asyncio.get_running_loop()
            if lane.quiet_at > loop.time():
                lane.timer = loop.call_at(lane.quiet_at, self._quiet, place, lane)
                return
        lane.is_ready = True
        self._ready.append(place)

    def _quiet(self, place: Place, lane: _Lane) -> None:
        lane.quiet_at = 0.0  # a timer may fire a trifle early
        if lane.turn is None:
            self._line_up(place, lane)
            self._staff()

    # --- workers -------------------------------------------------------------------------------------------------------

    def _staff(self) -> None:
        while self._is_open and self._ready and len(self._workers) < self._settings.at_once:
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
        task = asyncio.current_task()
        while True:
            lane = self._lanes[place]
            lane.is_ready = False
            for _ in range(min(_TURN, len(lane.queue) + (lane.again is not None))):
                if not self._is_open or not lane.has_work:
                    break
                turn = self._begin(lane)
                turn.task = task
                lane.turn = turn
                try:
                    await self._handle(turn)
                except BaseException:
                    self._free(lane, turn)
                    raise
                if turn.is_elsewhere:
                    return  # somebody else works here already
                lane.turn = None
                if lane.quiet_at:
                    break  # what has come meanwhile may have to wait for more
            self._line_up(place, lane)
            if not self._is_open or not self._ready:
                return
            await asyncio.sleep(0)
            if not self._is_open or not self._ready:
                return
            place = self._ready.popleft()

    def _begin(self, lane: _Lane) -> Turn:
        if lane.again is not None:
            turn, lane.again = lane.again, None
            self.waiting -= 1
            return turn
        queue, mode = lane.queue, self._settings.mode
        rows = take_joined(queue, mode)
        turn = Turn(join_rows(rows), tuple(rows[:-1]))
        if mode is Mode.INTERRUPT and any(interrupts(row) for row in queue):
            turn.wants_interrupt = True
        self.waiting -= len(rows)
        for row in rows:
            self.waiting_chars -= len(row.text)
        return turn


def interrupts(row: InboxRow) -> bool:
    """Tell whether a message ends the handler of an older one in mode interrupt."""
    return row.kind is Kind.MESSAGE and row.envelope.is_addressed
