"""How much of the time in which a bot was wanted it was ready: seconds an hour, durable, over every death of psvd and machine.

Between two transitions nothing changes, so a mark (since when it is how) is enough; time is counted by CLOCK_BOOTTIME and only put
into hours by the wall clock. What was when nobody looked is decided by what adoption finds, and is `unknown` where that cannot tell.
Time in which a bot was wanted down, had completed, or the fleet was down in order counts neither way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from processsupervisor.kernel.clock import boottime, wall
from processsupervisor.kernel.identity import boot_id
from processsupervisor.kernel.reasons import Reason
from processsupervisor.kernel.states import HAS_PROCESS, State, Wanted
from processsupervisor.process.handle import BotHandle
from processsupervisor.supervisor.store import Store

HOUR_S = 3600.0
KEPT_HOURS = 32 * 24
LOOK_EVERY_S = 60.0
"""How often psvd notes that it still looks; after the end of a machine the time since then is unknown."""
WINDOWS = {"day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0}
_READY = frozenset({State.RUNNING, State.PAUSING, State.PAUSED, State.RESUMING})
_LOOKED = ""  # the row of `marks` that belongs to no bot: when psvd looked last

UP, DOWN, UNKNOWN = range(3)


@dataclass(frozen=True, slots=True)
class Mark:
    """Since when a bot is how. `how` is UP, DOWN or UNKNOWN, None while it does not count."""

    boot: str
    boottime: float
    wall: float
    how: int | None
    generation: int


@dataclass(frozen=True, slots=True)
class Span:
    """`seconds` of one bot that ended at the wall time `until`."""

    how: int
    seconds: float
    until: float


def how_of(state: State, wanted: Wanted, *, is_going_down: bool) -> int | None:
    """Return what the present time of a bot counts as."""
    if wanted is Wanted.DOWN or is_going_down or state is State.TERMINATED:
        return None
    if state is State.UNKNOWN:
        return UNKNOWN
    return UP if state in _READY else DOWN


def hours_of(span: Span) -> Iterator[tuple[int, float]]:
    """Yield (hour since the epoch, seconds of the span in it), newest first, for at most KEPT_HOURS."""
    left_s, until = span.seconds, span.until
    for _ in range(KEPT_HOURS):
        hour = int(until // HOUR_S)
        if until == hour * HOUR_S:
            hour -= 1
        part_s = min(left_s, until - hour * HOUR_S)
        if left_s <= 0:
            return
        yield hour, part_s
        left_s, until = left_s - part_s, until - part_s


def spans_unseen(mark: Mark, looked: Mark, found: BotHandle, ended_at: float | None, now: Mark) -> list[Span]:
    """Return what the time from `mark` to `now` counts as, of which nobody looked since `looked`.

    `ended_at` is the wall time at which the generation of the mark ended, None when that is not known or it still lives.
    """
    if mark.how is None:
        return []
    if mark.boot != now.boot:
        # Another boot: the bot is gone since the machine went off, which is some time between the last look and this boot.
        seen_s = max(0.0, looked.boottime - mark.boottime) if looked.boot == mark.boot else 0.0
        seen_at = mark.wall + seen_s
        booted_at = max(seen_at, now.wall - now.boottime)
        back_s = _ready_for(found, now)
        since_boot_s = max(0.0, min(now.boottime, now.wall - booted_at))
        spans = [Span(mark.how, seen_s, seen_at), Span(UNKNOWN, booted_at - seen_at, booted_at)]
        return [*spans, Span(DOWN, max(0.0, since_boot_s - back_s), now.wall - back_s), Span(UP, back_s, now.wall)]
    total_s = max(0.0, now.boottime - mark.boottime)
    away_s = min(total_s, max(0.0, now.boottime - max(looked.boottime, mark.boottime))) if looked.boot == mark.boot else total_s
    back_s = min(total_s, _ready_for(found, now))
    if found.life.state is State.UNKNOWN:
        return [Span(mark.how, total_s - away_s, now.wall - away_s), Span(UNKNOWN, away_s, now.wall)]
    if found.generation > mark.generation + 1:
        # It had lives that we know nothing of: a psv that does not count was in our place.
        return [
            Span(mark.how, total_s - max(away_s, back_s), now.wall - max(away_s, back_s)),
            Span(UNKNOWN, max(0.0, away_s - back_s), now.wall - back_s),
            Span(UP, back_s, now.wall),
        ]
    if mark.how != UP or (found.generation == mark.generation and found.life.state in HAS_PROCESS):
        if mark.how == UP:
            return [Span(UP, total_s, now.wall)]
        return [Span(mark.how, total_s - back_s, now.wall - back_s), Span(UP, back_s, now.wall)]
    # It was ready and is gone: since its exit if somebody saw that, else nobody knows since when.
    gone_s = away_s if ended_at is None else min(total_s, max(0.0, now.wall - ended_at))
    gone_s = max(gone_s, back_s)
    since = UNKNOWN if ended_at is None else DOWN
    return [Span(UP, total_s - gone_s, now.wall - gone_s), Span(since, gone_s - back_s, now.wall - back_s), Span(UP, back_s, now.wall)]


def _ready_for(found: BotHandle, now: Mark) -> float:
    """Return for how long the process that runs now has been ready."""
    if found.life.state not in _READY or found.ready_boottime is None:
        return 0.0
    return max(0.0, now.boottime - found.ready_boottime)


class Uptime:
    """Counts for all bots of a fleet; `present` yields them, `is_going_down` tells whether the end of the fleet is asked for."""

    def __init__(self, store: Store, is_going_down: Callable[[], bool]) -> None:
        self._store = store
        self._is_going_down = is_going_down
        self._marks: dict[str, Mark] = {}
        self._hours: dict[tuple[str, int], list[float]] = {}  # not on disk yet
        self._unsaved: set[str] = set()
        self._is_open = False
        store.keepers.append(self)

    # -- counting

    def take_over(self, handles: Iterable[BotHandle]) -> None:
        """Decide what the time counts as in which no psvd looked; called once, when adoption has found what runs."""
        marks = {bot: mark for bot, text in self._store.rows("SELECT bot, mark FROM marks") if (mark := _mark_of(text)) is not None}
        self._is_open = True
        for handle in handles:
            mark = marks.get(handle.name)
            if mark is not None:
                ended = self._store.exit_of(handle.name, mark.generation)
                is_seen = ended is not None and ended.reason is not Reason.UNKNOWN_WHILE_UNSUPERVISED
                ended_at = ended.at if ended is not None and is_seen else None
                for span in spans_unseen(mark, marks.get(_LOOKED, mark), handle, ended_at, self._now(handle)):
                    self._add(handle.name, span)
            self._put(handle.name, self._now(handle))
        for bot in marks.keys() - self._marks.keys() - {_LOOKED}:
            self._store.write("DELETE FROM marks WHERE bot = ?", (bot,))  # taken out of the fleet: its time stands still

    def note(self, handle: BotHandle, ended_at: float | None = None) -> None:
        """Count the time up to now, or to the wall time at which the bot ended; from then on it is as it is now."""
        if not self._is_open:
            return
        now, before = self._now(handle), self._marks.get(handle.name)
        if before is not None:
            late_s = max(0.0, now.wall - ended_at) if ended_at is not None else 0.0
            self._close(handle.name, before, now, late_s)
        self._put(handle.name, now)

    def note_all(self, handles: Iterable[BotHandle]) -> None:
        """As `note`, for every bot: what is asked of the whole fleet has changed."""
        for handle in handles:
            self.note(handle)

    async def run(self, flush: Callable[[], None]) -> None:
        """Note now and then that psvd looks."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._look()
            flush()

    def shares(self, bot: str) -> dict[str, dict[str, float | None]]:
        """Return `{day, week, month: {percent, unknown_percent, up_s, down_s, unknown_s}}` up to now; None where nothing counts."""
        hours = self._rows(bot)
        now = wall()
        if (mark := self._marks.get(bot)) is not None and mark.how is not None:
            for hour, seconds in hours_of(Span(mark.how, max(0.0, boottime() - mark.boottime), now)):
                hours.setdefault(hour, [0.0, 0.0, 0.0])[mark.how] += seconds
        return {name: _share(hours, now - length_s, now) for name, length_s in WINDOWS.items()}

    def _now(self, handle: BotHandle) -> Mark:
        is_at_work = handle.spec.get("schedule") is None  # a task is not there to be up
        how = how_of(handle.life.state, handle.wanted, is_going_down=self._is_going_down()) if is_at_work else None
        return Mark(boot_id(), boottime(), wall(), how, handle.generation)

    def _close(self, bot: str, mark: Mark, now: Mark, late_s: float) -> None:
        if mark.how is None:
            return
        total_s = max(0.0, now.boottime - mark.boottime)
        late_s = min(total_s, late_s) if mark.how == UP and now.how == DOWN else 0.0
        self._add(bot, Span(mark.how, total_s - late_s, now.wall - late_s))
        self._add(bot, Span(DOWN, late_s, now.wall))

    def _add(self, bot: str, span: Span) -> None:
        for hour, seconds in hours_of(span):
            self._hours.setdefault((bot, hour), [0.0, 0.0, 0.0])[span.how] += seconds

    def _put(self, bot: str, mark: Mark) -> None:
        self._marks[bot] = mark
        self._unsaved.add(bot)

    def _look(self) -> None:
        self._put(_LOOKED, Mark(boot_id(), boottime(), wall(), None, 0))

    # -- disk

    @property
    def is_behind(self) -> bool:
        """See store.Keeper."""
        return bool(self._unsaved or self._hours)

    def write(self, store: Store) -> bool:
        """See store.Keeper."""
        if not self.is_behind:
            return False
        self._look()
        add = (
            "INSERT INTO uptime (bot, hour, up_s, down_s, unknown_s) VALUES (?,?,?,?,?) ON CONFLICT (bot, hour) DO UPDATE SET "
            "up_s = up_s + excluded.up_s, down_s = down_s + excluded.down_s, unknown_s = unknown_s + excluded.unknown_s"
        )
        for (bot, hour), seconds in self._hours.items():
            store.write(add, (bot, hour, *seconds))
        upsert = "INSERT INTO marks (bot, mark) VALUES (?, ?) ON CONFLICT (bot) DO UPDATE SET mark = excluded.mark"
        for bot in self._unsaved:
            store.write(upsert, (bot, json.dumps(asdict(self._marks[bot]))))
        return True

    def on_written(self) -> None:
        """See store.Keeper."""
        self._hours, self._unsaved = {}, set()

    def prune(self) -> None:
        """Forget what no window reaches; called now and then."""
        oldest = int(wall() // HOUR_S) - KEPT_HOURS
        self._store.write("DELETE FROM uptime WHERE hour < ?", (oldest,))
        self._hours = {key: value for key, value in self._hours.items() if key[1] >= oldest}

    def _rows(self, bot: str) -> dict[int, list[float]]:
        oldest = int(wall() // HOUR_S) - KEPT_HOURS
        query = "SELECT hour, up_s, down_s, unknown_s FROM uptime WHERE bot = ? AND hour >= ?"
        found = {int(row[0]): [float(value) for value in row[1:]] for row in self._store.rows(query, (bot, oldest))}
        for (name, hour), seconds in self._hours.items():
            if name == bot:
                found[hour] = [a + b for a, b in zip(found.get(hour, [0.0, 0.0, 0.0]), seconds, strict=True)]
        return found


def _mark_of(text: str) -> Mark | None:
    """Return a mark that this or another version wrote; None for what is none."""
    try:
        value: dict[str, Any] = json.loads(text)
        return Mark(**{name: value[name] for name in Mark.__slots__})
    except (ValueError, KeyError, TypeError):
        return None


def _share(hours: dict[int, list[float]], since: float, until: float) -> dict[str, float | None]:
    """Return what the hours after `since` add up to; of the hour in which that lies, the part behind it."""
    sums = [0.0, 0.0, 0.0]
    for hour, seconds in hours.items():
        if hour * HOUR_S > until:
            continue  # counted while the wall clock was ahead
        begins, length_s = hour * HOUR_S, min(HOUR_S, max(1.0, until - hour * HOUR_S))
        part = min(1.0, max(0.0, (begins + length_s - since) / length_s))
        sums = [total + part * value for total, value in zip(sums, seconds, strict=True)]
    up_s, down_s, unknown_s = sums
    known_s, all_s = up_s + down_s, up_s + down_s + unknown_s
    return {
        "percent": round(100.0 * up_s / known_s, 3) if known_s > 0 else None,
        "unknown_percent": round(100.0 * unknown_s / all_s, 3) if all_s > 0 else None,
        "up_s": round(up_s, 3),
        "down_s": round(down_s, 3),
        "unknown_s": round(unknown_s, 3),
    }
