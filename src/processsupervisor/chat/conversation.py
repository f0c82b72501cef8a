"""Order of work: one message at a time in a conversation, many conversations at once up to a limit.

Knows nothing of what handling means and stores nothing. Pause lets running messages end and starts none; drain gives
them a deadline. What is still queued then stays in the inbox for the next life of the bot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from processsupervisor.chat.debounce import MOST_WINDOWS, join_rows, take_joined, wait_s
from processsupervisor.chat.settings import ChatSettings, Mode
from processsupervisor.chat.turns import Turn
from processsupervisor.storage.records import InboxRow, Kind, Place

_TURN = 16  # messages of one conversation before the loop and the other conversations get their turn
_OF_A_PERSON = (Kind.MESSAGE, Kind.EDIT, Kind.BUTTON)
_DEFAULTS = ChatSettings()


class _Lane:
    """One conversation with work. `quiet_at` (0.0: nothing is waited for) and `first_at` are times of the loop."""

    __slots__ = ("again", "beside", "first_at", "heir", "is_ready", "places", "queue", "quiet_at", "timer", "turn")

    def __init__(self) -> None:
        self.places: list[Place] = []
        """Where its messages come from: the id that the conversation has, and those that it had."""
        self.queue: deque[InboxRow] = deque()
        self.turn: Turn | None = None
        """What runs."""
        self.again: Turn | None = None
        """What runs next, before the queue."""
        self.is_ready = False
        """It stands in the line for a worker."""
        self.heir: _Lane | None = None
        """The lane that took its messages over while it was at work."""
        self.beside = 0
        """How many lanes that it took over are still at work: it begins nothing before they have ended."""
        self.timer: asyncio.TimerHandle | None = None
        self.quiet_at = 0.0
        self.first_at = 0.0

    @property
    def has_work(self) -> bool:
        """Tell whether something is to be run."""
        return bool(self.queue) or self.again is not None

    @property
    def is_at_work(self) -> bool:
        """Tell whether something has begun and not ended, here or in a lane that was taken over."""
        return self.turn is not None or self.again is not None or self.beside > 0


class Conversations:
    """Queues accepted messages by place and runs `handle` on their turns; `handle` must not raise."""

    def __init__(self, handle: Callable[[Turn], Awaitable[None]], settings: ChatSettings = _DEFAULTS) -> None:
        self._handle = handle
        self._settings = settings
        self._lanes: dict[Place, _Lane] = {}
        """A place is here while it has work queued or running."""
        self._ready: deque[_Lane] = deque()
        """Lanes with work queued, due, and nothing running."""
        self._begun: dict[Turn, _Lane] = {}
        """Where each turn runs."""
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
        if row.moved_to is not None:
            self._lane_at(row.place)
            self.moved(row.place, row.moved_to)
        lane = self._lane_at(row.place)
        lane.queue.append(row)
        self._expect_quiet(lane, row)
        if self._settings.mode is Mode.INTERRUPT and lane.turn is not None and interrupts(row, lane.turn.row):
            lane.turn.interrupt()
        self._line_up(lane)
        self._staff()

    def _lane_at(self, place: Place) -> _Lane:
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane()
            lane.places.append(place)
        return lane

    def moved(self, old: Place, new: Place) -> None:
        """Take what is queued for two places for one conversation, in the order in which it came; nothing when `old` has no work."""
        one, other = self._lanes.get(old), self._lanes.get(new)
        if one is None or one is other:
            return
        if other is None:
            self._lanes[new] = one
            one.places.append(new)
            return
        gone, lane = (other, one) if other.turn is None else (one, other)
        lane.queue = deque(sorted((*lane.queue, *gone.queue), key=lambda row: row.row_id))
        lane.quiet_at, lane.first_at = max(lane.quiet_at, gone.quiet_at), max(lane.first_at, gone.first_at)
        if gone.is_at_work:
            gone.heir = lane
            lane.beside += 1
        for place in gone.places:
            self._lanes[place] = lane
        lane.places += gone.places
        gone.places, gone.queue = [], deque()
        self._line_up(gone)
        self._line_up(lane)
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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout_s, 0.0)):
                await self._idle.wait()  # not for the tasks: one whose handler asks meanwhile ends its turn and waits on
        late = tuple(self._workers)
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
        lane = self._begun.get(turn)
        if lane is not None:
            self._free(lane)
        self._staff()
        if not self._workers:
            self._idle.set()

    def again(self, turn: Turn) -> None:
        """Run a turn anew before everything else of its conversation; the task that it had is left to itself."""
        lane = self._begun.get(turn)
        if lane is not None:
            lane.again = Turn(turn.row, turn.others)
            self.waiting += 1
        self.leave(turn)

    def _free(self, lane: _Lane) -> None:
        self._ended(lane)
        self._line_up(lane)

    def _ended(self, lane: _Lane) -> None:
        """The turn of a lane is over, if it had one; so may be what its heir waits for."""
        if lane.turn is not None:
            del self._begun[lane.turn]
            lane.turn = None
        if lane.heir is not None and not lane.is_at_work:
            heir, lane.heir = lane.heir, None
            heir.beside -= 1
            if heir.turn is None:
                self._free(heir)

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

    def _line_up(self, lane: _Lane) -> None:
        """Put a conversation in which nothing runs where it belongs: ready, waiting for quiet, or done."""
        if lane.turn is not None or lane.beside:
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if lane.is_ready:
            return
        if not lane.has_work:
            for place in lane.places:
                del self._lanes[place]
            lane.places = []
            return
        if lane.quiet_at and lane.again is None and wait_s(lane.queue[0], self._settings):
            loop = asyncio.get_running_loop()
            if lane.quiet_at > loop.time():
                lane.timer = loop.call_at(lane.quiet_at, self._quiet, lane)
                return
        lane.is_ready = True
        self._ready.append(lane)

    def _quiet(self, lane: _Lane) -> None:
        lane.quiet_at = 0.0  # a timer may fire a trifle early
        self._line_up(lane)
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

    async def _work(self, lane: _Lane) -> None:
        task = asyncio.current_task()
        while True:
            lane.is_ready = False
            for _ in range(min(_TURN, len(lane.queue) + (lane.again is not None))):
                if not self._is_open or not lane.has_work or lane.beside:
                    break
                turn = self._begin(lane)
                turn.task = task
                lane.turn, self._begun[turn] = turn, lane
                try:
                    await self._handle(turn)
                except BaseException:
                    if lane.turn is turn:
                        self._free(lane)
                    raise
                if turn.is_elsewhere:
                    return  # somebody else works here already
                self._ended(lane)
                if lane.quiet_at:
                    break  # what has come meanwhile may have to wait for more
            self._line_up(lane)
            if not self._is_open or not self._ready:
                return
            await asyncio.sleep(0)
            if not self._is_open or not self._ready:
                return
            lane = self._ready.popleft()

    def _begin(self, lane: _Lane) -> Turn:
        if lane.again is not None:
            turn, lane.again = lane.again, None
            self.waiting -= 1
            return turn
        queue, mode = lane.queue, self._settings.mode
        rows = take_joined(queue, mode)
        turn = Turn(join_rows(rows), tuple(rows[:-1]))
        if mode is Mode.INTERRUPT and any(interrupts(row, rows[-1]) for row in queue):
            turn.wants_interrupt = True
        self.waiting -= len(rows)
        for row in rows:
            self.waiting_chars -= len(row.text)
        return turn


def interrupts(row: InboxRow, older: InboxRow) -> bool:
    """Tell whether a message ends the handler of an older one in mode interrupt: it does of what the same person said or did there."""
    return row.kind is Kind.MESSAGE and row.envelope.is_addressed and older.kind in _OF_A_PERSON and row.sender == older.sender
