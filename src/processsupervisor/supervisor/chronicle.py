"""The events of a fleet in psv.db: kept in their order, at most EVENT_ROWS of them, and read again by whoever follows.

What is shown to a follower is on disk, so its number is not given again. Only while the disk refuses, a psvd that is killed has shown
what is lost with it; the next one gives those numbers again, and a follower who comes with one of them and the old `life` begins
where the disk ended: what is on disk is never passed over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator

from processsupervisor.commands.ports import Emit
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import UsageError
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.store import Store

EVENT_ROWS = 20_000
PENDING_EVENTS = 4096
"""Events that wait for a disk which refuses them; beyond that the oldest go."""
_CHUNK = 200
_PRUNE_EVERY = 2000


class Chronicle:
    """Keeps what `events` tells; `begun` is the number after which the events of this psvd come."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._pending: list[Event] = []
        self._unpruned = 0
        self.begun = events.seq = self._last()
        store.keepers.append(self)
        events.listen(self._take)

    def last(self, kind: str) -> Event | None:
        """Return the newest event of a kind that is on disk."""
        rows = self._store.rows("SELECT event FROM events WHERE event LIKE ? ORDER BY id DESC LIMIT 5", (f'%"kind": "{kind}"%',))
        return next((event for row in rows if (event := json.loads(row[0])).get("kind") == kind), None)

    def before_start(self) -> int:
        """Return the number behind which the events since the fleet was started come, over all psvds since."""
        for event in reversed(self._pending):
            if event.get("kind") == "psvd" and event.get("is_cold"):
                return _seq(event) - 1
        query = "SELECT id FROM events WHERE event LIKE ? ORDER BY id DESC LIMIT 1"
        rows = self._store.rows(query, ('%"kind": "psvd"%"is_cold": true%',))
        return int(rows[0][0]) - 1 if rows else self.begun

    async def tell(self, emit: Emit, *, after: str | None, bots: Collection[str] | None, limit: int | None, is_followed: bool) -> None:
        """Emit kept events, all or the newest `limit`, only those `after` one if it is given; with `is_followed` what happens from now on.

        First comes `{kind: "begin", life, seq}`. Where events are missing, `{kind: "lost", count}` stands in their place. `bots` None =
        everything, else only what is about these. Ends with the fleet. Raises UsageError for an `after` that is none.
        """

        def concerns(event: Event) -> bool:
            return not event.get("is_restored") and (bots is None or event.get("bot") in bots or event.get("kind") == "down")

        begin = self._begin(after, limit)
        with self._events.queue(concerns) as queue:  # before reading: nothing falls in between
            self._store.flush()
            last = self._events.seq
            await emit({"kind": "begin", "life": self._events.life, "seq": last})
            kept = self._kept(begin, last, bots, limit)
            is_all = bots is None and (after is None or limit is None)
            for number, event in enumerate(_with_gaps(kept, begin) if is_all else kept):
                if number % _CHUNK == 0:
                    await asyncio.sleep(0)  # a follower that reads as fast as we tell keeps nobody else waiting
                await emit(event)
            while is_followed:
                event = await queue.get()
                if self._pending and not self._store.problem:
                    self._store.flush()  # what is shown is on disk: its number is not given again
                if queue.lost:
                    lost, queue.lost = queue.lost, 0
                    await emit(_lost(lost))
                if _seq(event) > last:
                    await emit(event)
                if event.get("kind") == "down":
                    return

    def prune(self) -> None:
        """Drop what is beyond the bound; called now and then."""
        self._unpruned = 0
        self._store.write("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (EVENT_ROWS,))

    # -- disk

    @property
    def is_behind(self) -> bool:
        """See store.Keeper."""
        return bool(self._pending)

    def write(self, store: Store) -> bool:
        """See store.Keeper."""
        if not self._pending:
            return False
        self._renumber()
        for event in self._pending:
            store.write("INSERT INTO events (id, bot, event) VALUES (?,?,?)", (event["seq"], event.get("bot"), json.dumps(event)))
        return True

    def on_written(self) -> None:
        """See store.Keeper. Who writes much is held to the bound at once, and not when it is looked at next."""
        self._unpruned += len(self._pending)
        self._pending = []
        if self._unpruned >= _PRUNE_EVERY:
            self.prune()

    def _take(self, event: Event) -> None:
        if event.get("is_restored"):
            return
        self._pending.append(event)
        del self._pending[:-PENDING_EVENTS]

    def _last(self) -> int:
        rows = self._store.rows("SELECT max(id) FROM events")
        return int(rows[0][0] or 0) if rows else 0

    def _renumber(self) -> None:
        """A file that could not be read when this psvd began has events of its own: ours come behind them, as of another life."""
        behind = self._last() - _seq(self._pending[0]) + 1
        if behind <= 0:
            return
        self._pending = [event | {"seq": _seq(event) + behind} for event in self._pending]
        self._events.seq += behind
        self.begun = _seq(self._pending[0]) - 1
        self._events.life = f"{self._events.life[:8]}-{behind}"

    # -- reading

    def _begin(self, after: str | None, limit: int | None) -> int:
        """Return the number after which to begin: 0, or what `after` ("SEQ" or "SEQ-LIFE") means here."""
        if after is None:
            return 0
        number, _, life = after.partition("-")
        if not (number.isascii() and number.isdigit()) or len(number) > 18:
            raise UsageError(f'found --after "{after[:40]}", expected the seq of an event')
        if life and life != self._events.life:
            return min(int(number), self.begun)
        if int(number) > self._events.seq:
            hint = "is it of another fleet, or was psv.db replaced? Without --after the newest are shown"
            raise UsageError(f"found --after {number}, and the newest event has seq {self._events.seq}", hint=hint)
        return int(number)

    def _kept(self, begin: int, last: int, bots: Collection[str] | None, limit: int | None) -> Iterator[Event]:
        """Yield the kept events behind `begin` up to `last`, oldest first: all, or the newest `limit`; then what no disk has taken yet."""
        where, values = "", tuple[object, ...]()
        if bots is not None:
            where, values = f" AND bot IN ({', '.join('?' * len(bots))})", tuple(bots)
        waiting = [e for e in self._pending if begin < _seq(e) <= last and (bots is None or e.get("bot") in bots)]
        if limit is not None:
            waiting = waiting[max(0, len(waiting) - limit) :]
            begin = self._before_newest(begin, limit - len(waiting), where, values)
        query = f"SELECT id, event FROM events WHERE id > ? AND id <= ?{where} ORDER BY id LIMIT {_CHUNK}"
        while rows := self._store.rows(query, (begin, last, *values)):
            yield from (json.loads(row[1]) for row in rows)
            begin = int(rows[-1][0])
        yield from (event for event in waiting if _seq(event) > begin)

    def _before_newest(self, begin: int, count: int, where: str, values: tuple[object, ...]) -> int:
        """Return the number after which the newest `count` kept events behind `begin` stand."""
        query = f"SELECT min(id), count(*) FROM (SELECT id FROM events WHERE id > ?{where} ORDER BY id DESC LIMIT ?)"
        rows = self._store.rows(query, (begin, *values, max(0, count)))
        return int(rows[0][0]) - 1 if rows and rows[0][1] else self._last()


def _with_gaps(events: Iterator[Event], known: int) -> Iterator[Event]:
    """Yield all `events` behind the number `known` (0: whatever the first is), and where numbers are missing how many."""
    for event in events:
        if known and (count := _seq(event) - known - 1) > 0:
            yield _lost(count)
        known = _seq(event)
        yield event


def _lost(count: int) -> Event:
    return {"kind": "lost", "at": wall(), "count": count}


def _seq(event: Event) -> int:
    number = event["seq"]
    assert isinstance(number, int)
    return number
